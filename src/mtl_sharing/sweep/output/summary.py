"""Writes a sweep's files when it ends or is interrupted, and prints its best trials."""

import logging
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich import get_console
from rich.console import Console
from rich.table import Table

from mtl_sharing.plotting.sweep import draw_sweep
from mtl_sharing.sweep.jobs.launcher import JobPool
from mtl_sharing.sweep.jobs.measure_best import Measurement, measure_best, read_measurement
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.study.attributes import METRICS, OVERRIDES, REGIME, is_reference, trained
from mtl_sharing.sweep.study.records import best_trial, rank, rows, write_best, write_table
from mtl_sharing.sweep.study.study import SweepStudy, folder_lock
from mtl_sharing.utils.files import short_path

log = logging.getLogger(__name__)
_SHOWN = 5
_WIDE = 200


def end_sweep(reporter: StudyReporter, jobs: JobPool, complete: bool) -> None:
    """Writes sweep.csv, best.yaml and sweep.png, and prints the best regimes.

    Args:
        complete: the sweep came to its end; then its winner is measured, too.
    """
    study, spec = reporter.study, reporter.spec
    objectives = spec.objectives
    if not study.trials():
        return
    write_table(study, objectives)
    best, reference = best_trial(study), reporter.dev_reference()
    if best is None:
        log.info("no trial has been completed yet")
        return
    measured = read_measurement(study.folder, best.number)
    if complete and spec.config.score.clock == "flops":
        measured = measure_best(jobs, study, best)
    facts = {
        "trial": str(best.number),
        "regime": str(best.user_attrs.get(REGIME)),
        "kept": _kept(best, reference),
    }
    content = spec.standalone_config(best.user_attrs[OVERRIDES], reference)
    with folder_lock(study.folder):  # another sweep on this study may end at the same moment
        write_best(study, content, facts)
        selecting, table = reporter.reference(), rows(study, objectives)
        draw_sweep(study.folder, table, objectives, selecting, study.copy())
    _print_summary(study, objectives, best, reference, measured)


def _kept(trial: FrozenTrial, reference: float | None) -> str:
    performance = trial.user_attrs[METRICS]["dev_performance"]
    if not reference:
        return f"performance {performance:.4f}"
    return f"{performance / reference:.1%} of separate models' performance on dev"


def _print_summary(
    study: SweepStudy,
    objectives: Sequence[str],
    best: FrozenTrial,
    reference: float | None,
    measured: Measurement | None,
) -> None:
    """Prints the best trials and the reference, then lines on the best and on the files."""
    total = _reference_parameters(study)
    cells = [_cells(t, objectives, reference, total) for t in _best_trials(study, objectives)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in cells[0]:
        table.add_column(name, justify="left" if name == "regime" else "right")
    for row in cells:
        table.add_row(*row.values())
    console = get_console()
    console.print()
    if not console.is_terminal:
        console = Console(width=_WIDE)  # a file or a pipe has no width of its own
    console.print(table, highlight=False)
    console.print()
    for label, text in _lines(study, best, reference, total, measured):
        console.print(f"{label:<10}{text}", soft_wrap=True, markup=False, highlight=False)


def _best_trials(study: SweepStudy, objectives: Sequence[str]) -> list[FrozenTrial]:
    """The best few, or the Pareto front; then the reference."""
    complete = [t for t in trained(study.trials()) if t.state == TrialState.COMPLETE]
    if len(objectives) == 1:
        direction = study.directions[0]
        best = sorted(complete, key=lambda t: rank(t, direction), reverse=True)[:_SHOWN]
    else:
        front = {trial.number for trial in study.copy().best_trials}
        best = [trial for trial in complete if trial.number in front]
        best.sort(key=lambda trial: float(trial.user_attrs[METRICS]["performance"]), reverse=True)
    return [*best, *(trial for trial in complete if is_reference(trial) and trial not in best)]


def _reference_parameters(study: SweepStudy) -> int | None:
    """The parameters of separate models, if the sweep has trained them."""
    first = study.trials()[0]
    metrics = first.user_attrs.get(METRICS) or {}
    return metrics.get("parameters") if is_reference(first) else None


def _cells(
    trial: FrozenTrial, objectives: Sequence[str], reference: float | None, total: int | None
) -> dict[str, str]:
    """A row of the table by the names of its columns."""
    metrics: dict[str, Any] = trial.user_attrs[METRICS]
    drawn = " ".join(
        f"{name.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in trial.params.items()
        if name not in ("split", "sharing")
    )
    regime = f"{trial.user_attrs.get(REGIME)}{' (reference)' if is_reference(trial) else ''}"
    cells = {"trial": str(trial.number), "regime": f"{regime}  {drawn}".rstrip()}
    cells |= {name: f"{v:.3f}" for name, v in zip(objectives, trial.values, strict=True)}
    cells["performance"] = f"{metrics['performance']:.4f}"
    cells["dev"] = f"{metrics['dev_performance']:.4f}"
    cells["kept"] = f"{metrics['dev_performance'] / reference:.1%}" if reference else "-"
    cells["parameters"] = _share(metrics["parameters"], total)
    cells["time"] = "-" if metrics["time"] is None else f"{metrics['time']:.2f}"
    return cells


def _share(parameters: float, total: int | None) -> str:
    return f"{parameters:,.0f}" if total is None else f"{parameters / total:.1%}"


def _lines(
    study: SweepStudy,
    best: FrozenTrial,
    reference: float | None,
    total: int | None,
    measured: Measurement | None,
) -> list[tuple[str, str]]:
    """Labelled lines on the best trial, the number of trials and the files."""
    parameters, folder = best.user_attrs[METRICS]["parameters"], short_path(study.folder)
    share = "" if total is None else f" at {_share(parameters, total)} of the parameters"
    lines = [("best", f"{best.user_attrs.get(REGIME)}: {_kept(best, reference)}{share}")]
    if measured is not None:
        times = measured["time"]
        text = f"{times['train']:.2f} x the time to train and {times['predict']:.2f} x to predict"
        lines.append(("measured", f"separate models take {text}"))
    return [
        *lines,
        ("trials", _counts(study.trials())),
        ("sweep", f"{folder} (sweep.csv, sweep.png)"),
        ("train it", f"mtl-train --config-dir {folder} --config-name best"),
    ]


def _counts(trials: Sequence[FrozenTrial]) -> str:
    """Numbers of trials by state, then of duplicates."""
    states = [trial.state for trial in trained(trials)]
    text = ", ".join(f"{states.count(s)} {s.name.lower()}" for s in TrialState if s in states)
    equal = len(trials) - len(states)
    return text + (f"; {equal} more equal to earlier ones" if equal else "")
