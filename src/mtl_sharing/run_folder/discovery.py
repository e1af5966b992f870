"""Finds the runs below a folder and names them."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import (
    CHECKPOINT,
    CONFIG,
    HYDRA_CONFIG,
    HYDRA_JOB,
    MEASURED,
    MULTIRUN,
    RESULT,
    SETTINGS,
    STUDY,
    SWEEP_TABLE,
    TOKENIZER,
    resume_command,
)
from mtl_sharing.run_folder.lock import check_plain_folder
from mtl_sharing.run_folder.manifest import read_listed_object
from mtl_sharing.run_folder.results import read_yaml
from mtl_sharing.utils.nested import get

_RUN_FILES = (RESULT, CHECKPOINT, CONFIG, TOKENIZER)
_ALLOWED = "a folder of a run or a sweep, or one above them"


@dataclass(frozen=True)
class RunLocation:
    """The folder of a run, and its name among others.

    Attributes:
        name: path below the common parent folder of all runs.
        sweep: name of the sweep that the run is a trial of; None for a single run.
        trial: number of the trial.
    """

    folder: Path
    name: str
    sweep: str | None
    trial: int | None


def find_runs(paths: Iterable[Path | str]) -> tuple[list[RunLocation], list[tuple[Path, str]]]:
    """Finds every run at or below the paths.

    A run's own folder is not searched further. Links to runs and sweeps are followed; a folder
    counts once.

    Returns:
        The runs, sorted by name, and the folders that cannot be read, with the reason.

    Raises:
        UserError: a path is no folder or has no run in it, or there is no path.
    """
    folders: dict[Path, Path] = {}
    unreadable: list[tuple[Path, str]] = []
    for path in map(Path, paths):
        if not path.is_dir():
            raise UserError(str(path), "a file" if path.exists() else "nothing", _ALLOWED)
        below = dict(_runs_below(path, unreadable))
        if not below:
            reason = f"no run ({unreadable[-1][1]})" if unreadable else "no run"
            raise UserError(str(path), reason, _ALLOWED)
        folders = below | folders
    if not folders:
        raise UserError("the folders to report", "none", _ALLOWED)
    return _locations(list(folders)), unreadable


def _runs_below(top: Path, unreadable: list[tuple[Path, str]]) -> Iterator[tuple[Path, Path]]:
    """Each run's folder with links resolved, and as it was reached."""
    seen: set[Path] = set()
    pending = [top]
    while pending:
        folder = pending.pop()
        resolved = folder.resolve()
        if resolved in seen:
            continue
        seen.add(resolved)
        try:
            entries = {entry.name: entry for entry in os.scandir(folder)}
            inner = [folder / n for n, e in entries.items() if n[0] != "." and _is_entered(e)]
        except OSError as error:
            unreadable.append((folder, error.strerror or str(error)))
            continue
        # In earlier versions the job that measures a sweep's best trial had .hydra, too.
        is_run = RESULT in entries or SETTINGS in entries
        if is_run or (HYDRA_CONFIG.parts[0] in entries and MEASURED not in entries):
            yield resolved, folder
        else:
            pending += inner


def _is_entered(entry: os.DirEntry[str]) -> bool:
    """Whether to look for runs in an entry: of links in those to a run or a sweep alone.

    One to any other folder might lead through the whole file system.
    """
    names = (RESULT, SETTINGS, HYDRA_CONFIG, SWEEP_TABLE, STUDY, MULTIRUN)
    if entry.is_symlink():
        return any(Path(entry.path, name).is_file() for name in names)
    return entry.is_dir()


def _locations(folders: Sequence[Path]) -> list[RunLocation]:
    sweeps = {folder: sweep_folder(folder) for folder in folders}
    top = Path(os.path.commonpath([sweep or folder.parent for folder, sweep in sweeps.items()]))
    locations = [_location(folder, sweep, top) for folder, sweep in sweeps.items()]
    return sorted(locations, key=lambda location: natural_key(location.name))


def _location(folder: Path, sweep: Path | None, top: Path) -> RunLocation:
    name = str(folder.relative_to(top))
    if sweep is None:
        return RunLocation(folder, name, None, None)
    number = folder.relative_to(sweep).parts[0]
    sweep_name = str(sweep.relative_to(top)) if sweep != top else sweep.name
    return RunLocation(folder, name, sweep_name, int(number) if number.isdecimal() else None)


def sweep_folder(folder: Path) -> Path | None:
    """The folder of the sweep that a run is a trial of; None for a single run.

    It is the parent folder, or the parent's parent where each seed of a trial has a folder.
    """
    above = [folder.parent, *([folder.parent.parent] * folder.name.startswith("seed_"))]
    files = (SWEEP_TABLE, STUDY, MULTIRUN)
    return next((path for path in above if any((path / name).is_file() for name in files)), None)


def refuse_used_folder(folder: Path) -> None:
    """Raises UserError for a folder that holds a run, or a link among the names of its files."""
    if any((folder / name).exists() for name in _RUN_FILES):
        allowed = f"a new folder; to go on with that run: {resume_command(folder)}"
        raise UserError("the run's folder", f"{folder}, which holds a run", allowed)
    check_plain_folder(folder)


def start_folder(folder: Path) -> Path | None:
    """The folder that a run was started in, outside of its own; None if it is gone or not named.

    Raises:
        UserError: the file that names it is damaged.
    """
    name: Any = None
    if (folder / SETTINGS).is_file():
        name = read_listed_object(folder, SETTINGS).get("cwd")
    elif (folder / HYDRA_JOB).is_file():  # of an earlier version
        name = get(read_yaml(folder / HYDRA_JOB), "hydra.runtime.cwd")
    if not isinstance(name, str) or "\0" in name or not Path(name).is_dir():
        return None
    # Real names alone: what a process has as its folder (/proc/self/cwd) is no name of a place.
    path = Path(name)
    is_inside = path.is_relative_to(folder.resolve())
    return path if path.is_absolute() and path.resolve() == path and not is_inside else None


def natural_key(text: str) -> list[str | int]:
    """Sort key that compares the numbers in a name by value: 2 before 10."""
    parts = re.split(r"(\d+)", text)
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
