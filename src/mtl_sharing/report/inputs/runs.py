"""Reads runs from their folders: finished, running, failed or damaged ones."""

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.run_folder.discovery import RunLocation, find_runs
from mtl_sharing.run_folder.layout import (
    CONFIG,
    HYDRA_CONFIG,
    METRICS,
    PREDICTIONS,
    RESULT,
    SETTINGS,
    Status,
)
from mtl_sharing.run_folder.lock import is_held
from mtl_sharing.run_folder.manifest import check_listed, read_listed, read_listed_object
from mtl_sharing.run_folder.results import Result, read_result, read_yaml, result_problem
from mtl_sharing.utils.nested import get

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Record = dict[str, Any]
Omission = tuple[str, str]
"""A part of the input that a report leaves out, and the reason."""

# The keys of a command that trains nothing.
_PREVIEWS = {"dry_run": "a dry run", "check_data": "a check of the data"}


@dataclass(frozen=True, eq=False)
class Run(RunLocation):
    """One run. Files other than result.json are read on first use.

    Attributes:
        status: a :class:`Status`.
        reason: the cause of a status other than finished or running; else empty.
        result: the content of result.json; empty if the file is missing or damaged.
        problems: descriptions of the damaged files among those read so far.
    """

    status: str
    reason: str = ""
    result: Result = field(default_factory=dict, repr=False)
    problems: list[str] = field(default_factory=list, repr=False)

    @property
    def finished(self) -> bool:
        """Whether the run has all its metrics."""
        return self.status == Status.FINISHED

    @property
    def plan(self) -> str:
        """The plan in canonical notation; ``?`` if unknown."""
        return str(self.result.get("plan", "?"))

    @property
    def regime(self) -> str:
        """The plan with its parts; ``?`` if unknown."""
        return str(self.result.get("regime", self.plan))

    @property
    def parts(self) -> Record:
        """The regime's additions to its plan, and how the text is read."""
        parts = self.result.get("parts")
        return parts if isinstance(parts, dict) else {}

    @property
    def seed(self) -> int | None:
        """The seed; None if unknown."""
        seed = self.result.get("seed", self.settings.get("seed"))
        return seed if isinstance(seed, int) else None

    @cached_property
    def settings(self) -> Record:
        """The nested config from config.json, or else as the run began; empty if unreadable."""
        settings = None
        try:
            settings = read_listed_object(self.folder, CONFIG).get("settings")
        except FileNotFoundError:
            pass  # the run ended early
        except (OSError, UserError) as error:
            self._add_damage(CONFIG, error)
        return settings if isinstance(settings, dict) else self._first_settings()

    def _first_settings(self) -> Record:
        """The settings that the run began with, as far as they were written."""
        name = SETTINGS if (self.folder / SETTINGS).is_file() else str(HYDRA_CONFIG)
        path = self.folder / name
        try:
            if name == SETTINGS:
                settings = read_listed_object(self.folder, SETTINGS).get("settings")
            else:
                settings = read_yaml(path) if path.exists() else None
        except (OSError, UserError) as error:
            found = error.found if isinstance(error, UserError) else error
            self.add_problem(f"{name}: {found}")
            return {}
        return {str(k): v for k, v in settings.items()} if isinstance(settings, dict) else {}

    @cached_property
    def history(self) -> "pd.DataFrame":
        """metrics.csv, one row for each evaluation; empty if missing or damaged."""
        import pandas as pd

        try:
            text = read_listed(self.folder, METRICS).decode("utf-8")
            complete = text[: text.rfind("\n") + 1]
            if complete != text:
                self.add_problem(f"{METRICS}: the last line is cut and was left out")
            table = pd.read_csv(io.StringIO(complete)) if complete else pd.DataFrame()
            numbers = table.drop(columns="phase", errors="ignore")
            if numbers.select_dtypes("number").shape != numbers.shape:
                raise ValueError("a value that is no number")
            if complete and ("step" not in table or table["step"].isna().any()):
                raise ValueError("a row without its step")
        except FileNotFoundError:
            return pd.DataFrame()
        except (OSError, ValueError, UserError) as error:
            self._add_damage(METRICS, error)
            return pd.DataFrame()
        return table

    def predictions_table(self, columns: Sequence[str] | None = None) -> "pa.Table | None":
        """Reads columns of predictions.parquet, or all; None if it is missing or damaged."""
        import pyarrow as pa
        from pyarrow import parquet

        names = None if columns is None else list(columns)
        try:
            return parquet.read_table(self._checked_predictions, columns=names)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, UserError, pa.ArrowException) as error:
            self._add_damage(PREDICTIONS, error)
            return None

    @cached_property
    def _checked_predictions(self) -> Path:
        """The path of predictions.parquet, whose digest is right."""
        check_listed(self.folder, PREDICTIONS)
        return self.folder / PREDICTIONS

    def _add_damage(self, file: str, error: Exception) -> None:
        reason = error.found if isinstance(error, UserError) else first_line(error)
        self.add_problem(f"{file}: {reason}")

    def add_problem(self, problem: str) -> None:
        """Records a problem once."""
        if problem not in self.problems:
            self.problems.append(problem)


@dataclass(frozen=True)
class RunCollection:
    """The runs of a report of any status, sorted by name, and folders that hold none."""

    runs: tuple[Run, ...]
    omissions: tuple[Omission, ...]

    @property
    def finished(self) -> tuple[Run, ...]:
        """The runs that have all their metrics."""
        return tuple(run for run in self.runs if run.finished)


def finished_run(folder: Path) -> Run | None:
    """The finished run in a folder; None where there is none that can be read."""
    try:
        return next(iter(read_runs([folder]).finished), None)
    except (OSError, UserError):
        return None


def read_runs(paths: Iterable[Path | str]) -> RunCollection:
    """Reads every run at or below the paths: folders of runs, of sweeps, or above them.

    Raises:
        UserError: a path is no folder or has no run in it.
    """
    locations, unreadable = find_runs(paths)
    omissions = [(str(folder), reason) for folder, reason in unreadable]
    runs = []
    for run in map(_read, locations):
        kind = next(
            (kind for key, kind in _PREVIEWS.items() if run.settings.get(key) is True), None
        )
        if run.status == Status.UNREADABLE and kind is not None:
            omissions.append((run.name, f"{kind}, which trains nothing"))
        else:
            runs.append(run)
    return RunCollection(tuple(runs), tuple(omissions))


def _read(location: RunLocation) -> Run:
    def run(status: str, reason: str = "", result: Result | None = None) -> Run:
        return Run(**vars(location), status=status, reason=reason, result=result or {})

    try:
        result = read_result(location.folder)
    except UserError as error:
        return run(Status.UNREADABLE, f"{Path(error.where).name}: {error.found}")
    except OSError as error:
        return run(Status.UNREADABLE, f"{RESULT}: {error}")
    if result is None:
        if is_held(location.folder):
            return run(Status.RUNNING)
        return run(Status.UNREADABLE, f"no {RESULT}: it ended before its training began")
    if problem := result_problem(result):
        return run(Status.UNREADABLE, f"{RESULT}: {problem}", result)
    status = result["status"]
    if status == Status.RUNNING and not is_held(location.folder):
        return run(Status.STOPPED, "lost: its process is gone", result)
    return run(status, _reason(status, result), result)


def _reason(status: str, result: Result) -> str:
    causes = {Status.FAILED: result, Status.PRUNED: result.get("pruned")}
    if status in causes:
        reason = get(causes[Status(status)], "reason")
        return "no reason given" if reason is None else str(reason)
    return "asked to stop" if status == Status.STOPPED else ""
