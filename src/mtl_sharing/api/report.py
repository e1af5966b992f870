"""A report from Python."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from mtl_sharing.api.errors import options_as_arguments
from mtl_sharing.errors import UserError, check_known
from mtl_sharing.report import build
from mtl_sharing.report.build import DEFAULT_FORMATS, FORMATS, Written
from mtl_sharing.utils.files import expand_user


def write_report(
    folders: str | Path | Iterable[str | Path],
    out: str | Path = "report",
    title: str | None = None,
    formats: Sequence[str] = DEFAULT_FORMATS,
) -> Written:
    """Compares every run at or below the folders, as the command ``mtl-report`` does.

    Args:
        folders: runs, sweeps, or folders above them.
        out: where report.html, tables and figures go.
        title: heading of the page; None for one with the folders.
        formats: ``html``; ``csv``, ``md``, ``tex`` for tables; ``svg``, ``png``, ``pdf`` for
            figures.

    Returns:
        The report's table of groups (``comparison``, a DataFrame), its sentences and its files.

    Raises:
        UserError: a folder has no run, no run is finished, or ``out`` is a file.
        OSError: ``out`` cannot be written.
    """
    listed = [folders] if isinstance(folders, str | Path) else folders
    if not isinstance(listed, Iterable) or not (paths := list(listed)):
        raise UserError("folders", repr(folders), "a folder, or a list of them")
    if isinstance(formats, str):
        raise UserError("formats", formats, f"a list, as in [{formats!r}]")
    for name in formats:
        check_known("formats", name, FORMATS)
    expanded = [expand_user("folders", path) for path in paths]
    with options_as_arguments():
        return build.write_report(expanded, expand_user("out", out), title, formats)
