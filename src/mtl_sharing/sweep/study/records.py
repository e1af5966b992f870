"""Records of a sweep: results in its trials' folders, its best trials, sweep.csv, best.yaml."""

import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from omegaconf import OmegaConf
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import SWEEP_TABLE, Status
from mtl_sharing.run_folder.results import Result, read_result
from mtl_sharing.score.clock import clock_of
from mtl_sharing.score.objectives import Metrics
from mtl_sharing.score.performance import (
    flags,
    floor_performance,
    is_at_floor,
    kept,
    kept_above_floor,
    performance_of,
)
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.sweep.study import attributes as keys
from mtl_sharing.sweep.study.attributes import METRICS, SEED, is_reference, trained
from mtl_sharing.sweep.study.study import SweepStudy, folder_lock
from mtl_sharing.utils.files import replace_text
from mtl_sharing.utils.terminal import printable

BEST = "best.yaml"
Row = dict[str, Any]
# A metric's column where its own name is that of a parameter.
_COLUMNS = {"split": "selected_on"}
_STATES = {Status.FINISHED: TrialState.COMPLETE, Status.PRUNED: TrialState.PRUNED,
           Status.FAILED: TrialState.FAIL}  # fmt: skip


@dataclass(frozen=True)
class TrialResult:
    """The end of a trial.

    Attributes:
        metrics: of a complete trial, by the names of sweep.csv.
        reason: why it failed or was pruned.
    """

    state: TrialState
    metrics: Metrics
    reason: str | None = None


def read_trial_result(folders: Sequence[Path], score: ScoreConfig) -> TrialResult | None:
    """The result of a trial over its runs (one for each seed); None while it has not ended.

    A run that the machine ended, as by a full disk, has not ended: another start goes on with it.
    """
    results = [_read(folder) for folder in folders]
    for result in results:
        if result is None or result["status"] not in _STATES or result.get("retryable"):
            return None
        state = _STATES[result["status"]]
        if state != TrialState.COMPLETE:
            reason = result.get("reason") or result.get("pruned", {}).get("reason")
            train_s = (result.get("time") or {}).get("train_s")
            return TrialResult(state, {"train_s": train_s}, reason)
    runs = [_metrics(result, score) for result in results if result is not None]
    metrics: Metrics = {name: _mean([run[name] for run in runs]) for name in runs[0]}
    metrics |= _facts([result for result in results if result is not None])
    if not math.isfinite(metrics["performance"]):
        return TrialResult(TrialState.FAIL, {}, f"its performance is {metrics['performance']}")
    return TrialResult(TrialState.COMPLETE, metrics)


def _read(folder: Path) -> Result | None:
    try:
        return read_result(folder)
    except (OSError, UserError):
        return None


def _metrics(result: Mapping[str, Any], score: ScoreConfig) -> Metrics:
    """The metrics of a finished run; ``performance`` is on the held-out part, if there is one."""
    selection = result.get("selection") or result
    saved = result.get("multipliers") or {}
    metrics: Metrics = {}
    for prefix, part in (("", selection), ("dev_", result)):
        metrics[f"{prefix}performance"] = performance_of(part, score.pearson)
        metrics[f"{prefix}floor_performance"] = floor_performance(part["tasks"], score.pearson)
    metrics |= {f"dev_{name}": task["value"] for name, task in result["tasks"].items()}
    metrics |= {"parameters": result["params"]["total"]}
    for cost in ("memory", "time"):
        ratio = saved.get(cost)
        metrics[cost] = None if ratio is None else 1 / ratio
    return metrics | {"score": result.get("score"), "train_s": result["time"]["train_s"]}


def _facts(results: Sequence[Result]) -> Metrics:
    """The texts: the split that selects, flagged tasks, how the score was timed."""
    selections = [result.get("selection") or result for result in results]
    return {
        "split": "select" if results[0].get("selection") else "dev",
        "at_floor": _at_floor(selections),
        "dev_at_floor": _at_floor(results),
        "untrained": " ".join(results[0].get("untrained", ())),
        **clock_of(results).columns,
    }


def _at_floor(parts: Sequence[Mapping[str, Any]]) -> str:
    """The tasks whose mean metric is at or below the mean floor, by names with spaces between."""

    def mean(task: str, name: str) -> float | None:
        return _mean([part["tasks"][task].get(name) for part in parts])

    names = parts[0]["tasks"]
    return " ".join(n for n in names if is_at_floor(mean(n, "value") or 0.0, mean(n, "floor")))


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None


@dataclass(frozen=True)
class References:
    """Separate models' performance on the split that selects and on dev; None until known."""

    selecting: float | None = None
    dev: float | None = None

    def kept(self, metrics: Metrics) -> Metrics:
        """The share of it that a complete trial keeps on each split, also above a floor."""
        shares: Metrics = {}
        for prefix, reference in (("", self.selecting), ("dev_", self.dev)):
            performance = metrics[f"{prefix}performance"]
            floor = metrics.get(f"{prefix}floor_performance")  # missing in old studies
            shares[f"{prefix}kept"] = kept(performance, reference)
            above = kept_above_floor(performance, reference, floor)
            shares[f"{prefix}kept_above_floor"] = above
        return shares


NO_REFERENCES = References()


def trial_flags(metrics: Metrics, split: str = "") -> str:
    """The warnings that belong to a trial's score; ``split`` is ``dev_`` for that on dev."""
    at_floor, untrained = (metrics.get(n) or "" for n in (f"{split}at_floor", "untrained"))
    return flags(at_floor.split(), untrained.split())


def rows(
    study: SweepStudy, objectives: Sequence[str], references: References = NO_REFERENCES
) -> list[Row]:
    """A row for each trial, in the order of their numbers."""
    trials = study.trials()
    seeds = _seed_columns(trials)
    return [
        _row(trial, objectives, study.folder, references, seeds.get(trial.number, {}))
        for trial in trials
    ]


def _seed_columns(trials: Sequence[FrozenTrial]) -> dict[int, Row]:
    """The seed of each trial of a search, and the first trial of the same regime, if earlier."""
    first: dict[tuple[bool, frozenset[tuple[str, Any]]], int] = {}
    columns = {}
    for trial in trials:
        if SEED in trial.user_attrs:
            key = is_reference(trial), frozenset(trial.params.items())
            number = first.setdefault(key, trial.number)
            repeat_of = None if number == trial.number else number
            columns[trial.number] = {"seed": trial.user_attrs[SEED], "repeat_of": repeat_of}
    return columns


def _row(
    trial: FrozenTrial, objectives: Sequence[str], folder: Path, references: References, seed: Row
) -> Row:
    attributes, reports = trial.user_attrs, trial.intermediate_values
    values = trial.values if trial.state == TrialState.COMPLETE else [None] * len(objectives)
    same = attributes.get(keys.SAME_AS)
    row: Row = {"trial": trial.number, "state": trial.state.name}
    row |= {"regime": attributes.get(keys.REGIME), **seed, **trial.params}
    row |= {f"objective/{name}": value for name, value in zip(objectives, values, strict=True)}
    if metrics := attributes.get(METRICS):
        named = {_COLUMNS.get(name, name): value for name, value in metrics.items()}
        row |= named | references.kept(metrics)
    row |= {"evaluations": len(reports), "last_report": reports.get(max(reports, default=0))}
    row |= {"seconds": attributes.get(keys.SECONDS), "same_as": same}
    row |= {"reason": attributes.get(keys.REASON)}
    return row | {"folder": str(folder / str(trial.number if same is None else same))}


def write_table(
    study: SweepStudy, objectives: Sequence[str], references: References = NO_REFERENCES
) -> None:
    """Replaces sweep.csv."""
    with folder_lock(study.folder):  # another sweep on this study writes the same file
        table = pd.DataFrame(rows(study, objectives, references))
        for name in ("trial", "seed", "repeat_of", "same_as", "evaluations", "parameters"):
            if name in table:
                table[name] = table[name].astype("Int64")
        replace_text(study.folder / SWEEP_TABLE, table.to_csv(index=False))


def complete_trials(study: SweepStudy) -> list[FrozenTrial]:
    """The complete trials without duplicates."""
    return [t for t in trained(study.trials()) if t.state == TrialState.COMPLETE]


def best_trials(study: SweepStudy) -> list[FrozenTrial]:
    """The complete trials, or with several objectives their Pareto front, best first.

    Performance breaks ties of one objective, and sorts the front of several.
    """
    trials, several = complete_trials(study), len(study.study.directions) > 1
    if several and trials:
        front = {trial.number for trial in study.copy().best_trials}
        trials = [trial for trial in trials if trial.number in front]

    def rank(trial: FrozenTrial) -> tuple[float, float, int]:
        value = float(f"{trial.values[0]:.9g}")  # without the rounding errors of equal costs
        sign = 1 if study.study.directions[0] == StudyDirection.MAXIMIZE else -1
        performance = trial.user_attrs[METRICS]["performance"]
        return 0.0 if several else sign * value, performance, -trial.number

    return sorted(trials, key=rank, reverse=True)


def write_best(study: SweepStudy, content: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """Replaces best.yaml, a config that trains the best trial's regime; ``facts`` are comments."""
    head = [train_command(study.folder), *(f"{label}: {text}" for label, text in facts.items())]
    comments = [f"# {printable(line)}" for line in "\n".join(head).splitlines()]
    body = OmegaConf.to_yaml(OmegaConf.create(dict(content)))
    replace_text(study.folder / BEST, "\n".join([*comments, body]))


def train_command(folder: Path) -> str:
    """The shell command that trains best.yaml of a sweep's folder."""
    return shlex.join(["mtl-train", "--config-dir", str(folder), "--config-name", "best"])
