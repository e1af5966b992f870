"""Writes a sweep's files when it ends or is interrupted, and prints its best trials."""

import logging
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich import get_console
from rich.console import Console
from rich.table import Table

from mtl_sharing.plotting.sweep import draw_sweep
from mtl_sharing.sweep.jobs.launcher import JobPool, Measurement, measure_best, read_measurement
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.study.attributes import METRICS, OVERRIDES, REGIME, is_reference, trained
from mtl_sharing.sweep.study.records import (
    best_trials,
    complete_trials,
    rows,
    write_best,
    write_table,
)
from mtl_sharing.sweep.study.study import folder_lock
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
    best_first, reference = best_trials(study), reporter.dev_reference()
    if not best_first:
        log.info("no trial has been completed yet")
        return
    best = best_first[0]
    measured = read_measurement(study.folder, best.number)
    if complete and spec.config.score.clock == "flops":
        measured = measure_best(jobs, study, best)
    facts = {"trial": best.number, "regime": best.user_attrs.get(REGIME),
             "kept": _kept(best, reference)}  # fmt: skip
    content = spec.standalone_config(best.user_attrs[OVERRIDES], reference)
    with folder_lock(study.folder):  # another sweep on this study may end at the same moment
        write_best(study, content, facts)
        selecting, table = reporter.reference(), rows(study, objectives)
        draw_sweep(study.folder, table, objectives, selecting, study.copy())
    _print_summary(reporter, best_first, measured)


def _kept(trial: FrozenTrial, reference: float | None) -> str:
    performance = trial.user_attrs[METRICS]["dev_performance"]
    if not reference:
        return f"performance {performance:.4f}"
    return f"{performance / reference:.1%} of separate models' performance on dev"


def _print_summary(
    reporter: StudyReporter, best: Sequence[FrozenTrial], measured: Measurement | None
) -> None:
    """Prints the best trials and the reference, then lines on the best and on the files."""
    study, objectives = reporter.study, reporter.spec.objectives
    shown = [*best] if len(objectives) > 1 else [*best[:_SHOWN]]
    shown += [t for t in complete_trials(study) if is_reference(t) and t not in shown]
    reference, separate = reporter.dev_reference(), reporter.reference_metrics()
    total = None if separate is None else separate.get("parameters")
    cells = [_cells(trial, objectives, reference, total) for trial in shown]
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
    for label, text in _lines(reporter, best[0], total, measured):
        console.print(f"{label:<10}{text}", soft_wrap=True, markup=False, highlight=False)


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
    reporter: StudyReporter, best: FrozenTrial, total: int | None, measured: Measurement | None
) -> list[tuple[str, str]]:
    """Labelled lines on the best trial, the number of trials and the files."""
    study, parameters = reporter.study, best.user_attrs[METRICS]["parameters"]
    folder, kept = short_path(study.folder), _kept(best, reporter.dev_reference())
    share = "" if total is None else f" at {_share(parameters, total)} of the parameters"
    lines = [("best", f"{best.user_attrs.get(REGIME)}: {kept}{share}")]
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
