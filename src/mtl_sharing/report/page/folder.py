"""The names of a report's files, and whether a folder may take a report."""

import re
from contextlib import suppress
from pathlib import Path

from mtl_sharing.errors import UserError
from mtl_sharing.report.page.contents import NOTES
from mtl_sharing.utils.files import open_regular

PAGE, SUMMARY, TABLES, FIGURES = "report.html", "report.md", "tables", "figures"
FIGURE = re.compile(r"trade_off|splits_\d+_layers|schedules|curves_\w+|cosines|sweep_\d+(_answer)?")
_ALLOWED = "an empty folder, one of an earlier report, or the name of a new one"
# Pages and summaries have it in their first bytes.
_MARK, _MARKED_BYTES = b"mtl-sharing", 1 << 16


def check_folder(out: Path) -> None:
    """Refuses a file, and a folder with something else than an earlier report.

    Files that a user keeps beside a page or among its tables stay as they are.

    Raises:
        UserError: naming what was found.
        OSError: the folder cannot be read.
    """
    if out.exists() and not out.is_dir():
        raise UserError("--out", f"{out}, a file", "a folder, or the name of a new one")
    if not out.is_dir():
        return
    names = sorted(path.name for path in out.iterdir() if not path.name.startswith("."))
    others = [name for name in (PAGE, SUMMARY) if name in names and not _is_ours(out / name)]
    if not others and not any(name in names and _is_ours(out / name) for name in (PAGE, SUMMARY)):
        others = [name for name in names if not _has_parts(out / name)]
    if others:
        raise UserError("--out", f"{out}, a folder with {others[0]}", _ALLOWED)


def _is_ours(path: Path) -> bool:
    """Whether a file says that this program wrote it."""
    with suppress(OSError, UserError), open_regular(path) as file:
        return _MARK in file.read(_MARKED_BYTES)
    return False


def _has_parts(path: Path) -> bool:
    """Whether a folder has the name and a file of a report's tables or figures, or no file."""
    if path.name not in (TABLES, FIGURES) or not path.is_dir():
        return False
    stems = [one.stem for one in path.iterdir() if not one.name.startswith(".")]
    known = (s in NOTES if path.name == TABLES else FIGURE.fullmatch(s) for s in stems)
    return not stems or any(known)
