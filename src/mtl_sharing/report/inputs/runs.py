"""Runs as their folders tell them: finished, running, failed or damaged."""

import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.discovery import RunLocation, find_runs
from mtl_sharing.run_folder.layout import CONFIG, HYDRA_CONFIG, METRICS, PREDICTIONS, RESULT, Status
from mtl_sharing.run_folder.lock import is_held
from mtl_sharing.run_folder.results import read_result, result_problem

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Record = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Run:
    """One run.

    Attributes:
        folder: where it lies.
        name: its path below the folder that all runs of the report have in common.
        status: a :class:`Status`.
        why: the reason of a status other than finished or running; else empty.
        sweep: name of its sweep, or None.
        trial: its number there, or None.
        result: the content of result.json; empty where that cannot be read.
        troubles: files that proved damaged when they were read, with what is wrong. Files are
            read when they are first asked for.
    """

    folder: Path
    name: str
    status: str
    why: str = ""
    sweep: str | None = None
    trial: int | None = None
    result: Record = field(default_factory=dict, repr=False)
    troubles: list[str] = field(default_factory=list, repr=False)

    @property
    def finished(self) -> bool:
        """Whether every figure is there."""
        return self.status == Status.FINISHED

    @property
    def plan(self) -> str:
        """The canonical plan; ``?`` where it is not known."""
        return str(self.result.get("plan", "?"))

    @property
    def regime(self) -> str:
        """The plan with its parts; ``?`` where it is not known."""
        return str(self.result.get("regime", self.plan))

    @property
    def parts(self) -> Record:
        """What the regime adds to its plan, and how it reads the text."""
        found = self.result.get("parts")
        return found if isinstance(found, dict) else {}

    @property
    def seed(self) -> int | None:
        """The seed; None where it is not known."""
        found = self.result.get("seed", self.settings.get("seed"))
        return found if isinstance(found, int) else None

    @cached_property
    def settings(self) -> Record:
        """The whole config, nested; empty where it cannot be read.

        From config.json, or for a run that ended before it wrote one, from Hydra's own files.
        """
        path = self.folder / CONFIG
        try:
            found = json.loads(path.read_text(encoding="utf-8")).get("settings")
        except FileNotFoundError:
            return self._composed()
        except (OSError, ValueError, AttributeError) as error:
            self._damaged(path.name, error)
            return self._composed()
        return found if isinstance(found, dict) else self._composed()

    def _composed(self) -> Record:
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException
        from yaml import YAMLError

        path = self.folder / HYDRA_CONFIG
        try:
            found = OmegaConf.to_container(OmegaConf.load(path), resolve=True)
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
            self._damaged(str(HYDRA_CONFIG), error)
            return {}
        return {str(k): v for k, v in found.items()} if isinstance(found, dict) else {}

    @cached_property
    def history(self) -> "pd.DataFrame":
        """metrics.csv, a row for each evaluation; empty where there is none or it is damaged."""
        import pandas as pd

        path = self.folder / METRICS
        try:
            text = path.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]
            if whole != text:
                self.note(f"{path.name}: the last line is cut and was left out")
            found = pd.read_csv(io.StringIO(whole)) if whole else pd.DataFrame()
            numbers = found.drop(columns="phase", errors="ignore")
            if numbers.select_dtypes("number").shape != numbers.shape:
                raise ValueError("a figure that is no number")
            if whole and ("step" not in found or found["step"].isna().any()):
                raise ValueError("a row without its step")
        except FileNotFoundError:
            return pd.DataFrame()
        except (OSError, ValueError) as error:
            self._damaged(path.name, error)
            return pd.DataFrame()
        return found

    @property
    def has_predictions(self) -> bool:
        """Whether predictions.parquet is there, damaged or not."""
        return (self.folder / PREDICTIONS).is_file()

    def read_predictions(self) -> "pd.DataFrame | None":
        """All of predictions.parquet, read anew at each call; None as :meth:`predictions_table`."""
        table = self.predictions_table(None)
        return None if table is None else table.to_pandas()

    def predictions_table(self, columns: Sequence[str] | None) -> "pa.Table | None":
        """Some columns of predictions.parquet; None where it is not there or damaged.

        Args:
            columns: task, id, text, text_pair, label, prediction, probability, error (see
                ``evaluation/predictions.py``); None for all.
        """
        import pyarrow as pa
        from pyarrow import parquet

        wanted = None if columns is None else list(columns)
        try:
            table = parquet.read_table(self.folder / PREDICTIONS, columns=wanted)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, pa.ArrowException) as error:
            self._damaged(PREDICTIONS, error)
            return None
        return table

    def _damaged(self, file: str, error: Exception) -> None:
        self.note(f"{file}: {str(error).partition(chr(10))[0] or type(error).__name__}")

    def note(self, trouble: str) -> None:
        """Adds to the troubles, once."""
        if trouble not in self.troubles:
            self.troubles.append(trouble)


@dataclass(frozen=True)
class Omission:
    """Something that a report leaves out, and why."""

    what: str
    why: str


@dataclass(frozen=True)
class RunCollection:
    """What was found.

    Attributes:
        runs: every run, whatever became of it, in the order of their names.
        left_out: folders that are no runs or could not be searched. What single runs lack stands
            with them (``tables.left_out`` has it all together).
    """

    runs: tuple[Run, ...]
    left_out: tuple[Omission, ...]

    @property
    def finished(self) -> tuple[Run, ...]:
        """The runs that have all their figures."""
        return tuple(run for run in self.runs if run.finished)


def read_runs(paths: Iterable[Path | str]) -> RunCollection:
    """Reads every run at or below the paths: folders of runs, of sweeps, or above them.

    A damaged run is listed with what is wrong. Other files than result.json are read when they
    are first asked for.

    Raises:
        UserError: a path that is no folder, or has no run in it.
    """
    places, closed = find_runs(paths)
    left_out = [Omission(str(folder), why) for folder, why in closed]
    runs = []
    for place in places:
        run = _read(place)
        if run.status == Status.UNREADABLE and run.settings.get("dry_run") is True:
            left_out.append(Omission(run.name, "a dry run, which trains nothing"))
        else:
            runs.append(run)
    return RunCollection(tuple(runs), tuple(left_out))


def _read(place: RunLocation) -> Run:
    def run(status: str, why: str = "", result: Record | None = None) -> Run:
        return Run(place.folder, place.name, status, why, place.sweep, place.trial, result or {})

    try:
        result = read_result(place.folder)
    except (OSError, UserError) as error:
        reason = error.found if isinstance(error, UserError) else error
        return run(Status.UNREADABLE, f"{RESULT}: {reason}")
    if result is None:
        if is_held(place.folder):
            return run(Status.RUNNING)
        return run(Status.UNREADABLE, f"no {RESULT}: it ended before its training began")
    if problem := result_problem(result):
        return run(Status.UNREADABLE, f"{RESULT}: {problem}", result)
    status = result["status"]
    if status == Status.RUNNING and not is_held(place.folder):
        return run(Status.STOPPED, "lost: its process is gone", result)
    return run(status, _why(status, result), result)


def _why(status: str, result: Record) -> str:
    if status == Status.FAILED:
        return str(result.get("reason", "no reason given"))
    if status == Status.PRUNED:
        found = result.get("pruned")
        return str(found.get("reason")) if isinstance(found, dict) else "no reason given"
    return "asked to stop" if status == Status.STOPPED else ""
