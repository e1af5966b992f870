"""Where runs lie below a folder, and what each is called."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import RESULT

# What the sweeper, Hydra's own multirun, or a measurement of a sweep's winner leaves.
_SWEEP_FILES = ("sweep.csv", "study.db", "multirun.yaml")
_MEASURED = "measured.json"
_ALLOWED = "a folder of a run or a sweep, or one above them"


@dataclass(frozen=True)
class Place:
    """Where one run lies.

    Attributes:
        name: its path below the folder that all runs have in common.
        sweep: the same of the sweep that it is a trial of; None for a run of its own.
        trial: its number there.
    """

    folder: Path
    name: str
    sweep: str | None
    trial: int | None


def find_places(paths: Iterable[Path | str]) -> tuple[list[Place], list[tuple[Path, str]]]:
    """Every run at or below the paths, once, in the order of their names.

    A run's own folder is not searched. Links are followed, each folder behind them once.

    Returns:
        The places, and what could not be searched, with the reason.

    Raises:
        UserError: a path that is no folder, or has no run in it; or no path at all.
    """
    found: dict[Path, Path] = {}
    closed: list[tuple[Path, str]] = []
    for path in map(Path, paths):
        if not path.is_dir():
            kind = "a file" if path.exists() else "nothing"
            raise UserError(str(path), kind, _ALLOWED)
        here = dict(_runs_below(path, closed))
        if not here:
            why = f"no run ({closed[-1][1]})" if closed else "no run"
            raise UserError(str(path), why, _ALLOWED)
        found = here | found
    if not found:
        raise UserError("the folders to report", "none", _ALLOWED)
    return _places(list(found)), closed


def _runs_below(top: Path, closed: list[tuple[Path, str]]) -> Iterator[tuple[Path, Path]]:
    """Each run's folder, links resolved, and as it was reached."""
    seen: set[Path] = set()
    waiting = [top]
    while waiting:
        folder = waiting.pop()
        real = folder.resolve()
        if real in seen:
            continue
        seen.add(real)
        try:
            names = {entry.name: entry for entry in os.scandir(folder)}
            inner = [folder / n for n, e in names.items() if n[0] != "." and e.is_dir()]
        except OSError as error:
            closed.append((folder, error.strerror or str(error)))
            continue
        if RESULT in names or (".hydra" in names and _MEASURED not in names):
            yield real, folder
        else:
            waiting += inner


def _places(folders: Sequence[Path]) -> list[Place]:
    sweeps = {folder: _sweep_of(folder) for folder in folders}
    top = Path(os.path.commonpath([sweep or folder.parent for folder, sweep in sweeps.items()]))
    places = [_place(folder, sweep, top) for folder, sweep in sweeps.items()]
    return sorted(places, key=lambda place: natural(place.name))


def _place(folder: Path, sweep: Path | None, top: Path) -> Place:
    name = str(folder.relative_to(top))
    if sweep is None:
        return Place(folder, name, None, None)
    number = folder.relative_to(sweep).parts[0]
    inside = str(sweep.relative_to(top)) if sweep != top else sweep.name
    return Place(folder, name, inside, int(number) if number.isdecimal() else None)


def _sweep_of(folder: Path) -> Path | None:
    """The sweep's folder: the one above, or with several seeds a trial the one above that."""
    above = [folder.parent, *([folder.parent.parent] * folder.name.startswith("seed_"))]
    return next((p for p in above if any((p / name).is_file() for name in _SWEEP_FILES)), None)


def natural(text: str) -> list[str | int]:
    """A key that sorts names with numbers in them by the numbers: 2 before 10."""
    parts = re.split(r"(\d+)", text)
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]
