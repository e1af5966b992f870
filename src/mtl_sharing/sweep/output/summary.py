"""Writes a sweep's files when it ends or is interrupted, and prints its best trials."""

import logging
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial
from rich.table import Table

from mtl_sharing.plotting.sweep import draw_sweep
from mtl_sharing.score.clock import clock_of_rows
from mtl_sharing.sweep.jobs.launcher import JobPool, Measurement, measure_best, read_measurement
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.output.printing import (
    measured_text,
    print_table,
    split_text,
    state_counts,
)
from mtl_sharing.sweep.space.space import point_text
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.attributes import METRICS, OVERRIDES, REGIME, is_reference
from mtl_sharing.sweep.study.records import (
    References,
    best_trials,
    complete_trials,
    rows,
    train_command,
    trial_flags,
    write_best,
    write_table,
)
from mtl_sharing.sweep.study.study import folder_lock
from mtl_sharing.utils.files import short_path

log = logging.getLogger(__name__)
_SHOWN = 5


def end_sweep(reporter: StudyReporter, jobs: JobPool, complete: bool) -> None:
    """Writes sweep.csv, best.yaml and sweep.png, and prints the best regimes.

    Args:
        complete: the sweep came to its end; then its winner is measured, too.
    """
    study, spec = reporter.study, reporter.spec
    objectives = spec.objectives
    if not study.trials():
        return
    references = reporter.references()
    write_table(study, objectives, references)
    best_first = best_trials(study)
    if not best_first:
        log.info("no trial has been completed yet")
        return
    best = best_first[0]
    measured = read_measurement(study.folder, best.number)
    if complete and spec.config.score.clock == "flops":
        measured = measure_best(jobs, study, best)
    facts = {"trial": best.number, "regime": best.user_attrs.get(REGIME),
             "on dev": _on_dev(best, references)}  # fmt: skip
    content = spec.standalone_config(best.user_attrs[OVERRIDES], references.dev)
    with folder_lock(study.folder):  # another sweep on this study may end at the same moment
        write_best(study, content, facts)
        table = rows(study, objectives, references)
        score = spec.config.score
        draw_sweep(study.folder, table, objectives, references.selecting, score, study.copy())
    _print_summary(reporter, best_first, measured)


def _on_dev(trial: FrozenTrial, references: References) -> str:
    """The trial's metrics on dev."""
    metrics: dict[str, Any] = trial.user_attrs[METRICS]
    text, kept = f"performance {metrics['dev_performance']:.4f}", references.kept(metrics)
    if (floor := metrics.get("dev_floor_performance")) is not None:
        text += f", by a constant answer {floor:.4f}"
    if kept["dev_kept"] is not None:
        text += f"; {kept['dev_kept']:.1%} of separate models' performance"
    if kept["dev_kept_above_floor"] is not None:
        text += f", {kept['dev_kept_above_floor']:.1%} of what they have above a constant answer"
    flag = trial_flags(metrics, "dev_")
    return f"{text}  [{flag}]" if flag else text


def _print_summary(
    reporter: StudyReporter, best: Sequence[FrozenTrial], measured: Measurement | None
) -> None:
    """Prints the best trials and the reference, then lines on the best and on the files."""
    study, objectives = reporter.study, reporter.spec.objectives
    shown = [*best] if len(objectives) > 1 else [*best[:_SHOWN]]
    shown += [t for t in complete_trials(study) if is_reference(t) and t not in shown]
    references, separate = reporter.references(), reporter.reference_metrics()
    total = None if separate is None else separate.get("parameters")
    cells = [_cells(trial, objectives, references, total) for trial in shown]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in cells[0]:
        justify: Any = "left" if name in ("regime", "flagged") else "right"
        if any(row[name] for row in cells):
            table.add_column(name, justify=justify)
    for row in cells:
        table.add_row(*(row[str(column.header)] for column in table.columns))
    split, lines = split_text(best[0]), _lines(reporter, shown, total, measured)
    print_table("" if split is None else f"{split}:", table, lines)


def _cells(
    trial: FrozenTrial, objectives: Sequence[str], references: References, total: int | None
) -> dict[str, str]:
    """A row of the table by the names of its columns, on the split that selects."""
    metrics: dict[str, Any] = trial.user_attrs[METRICS]
    drawn = point_text({n: v for n, v in trial.params.items() if n not in ("split", "sharing")})
    regime = f"{trial.user_attrs.get(REGIME)}{' (reference)' if is_reference(trial) else ''}"
    cells = {"trial": str(trial.number), "regime": f"{regime}  {drawn}".rstrip()}
    cells |= {name: f"{v:.3f}" for name, v in zip(objectives, trial.values, strict=True)}
    kept = references.kept(metrics)
    cells["performance"] = f"{metrics['performance']:.4f}"
    cells["floor"] = _number(metrics.get("floor_performance"), ".4f")
    cells["kept"] = _number(kept["kept"], ".1%")
    cells["kept above floor"] = _number(kept["kept_above_floor"], ".1%")
    cells["parameters"] = _share(metrics["parameters"], total)
    cells["time"] = _number(metrics["time"], ".2f")
    return cells | {"flagged": trial_flags(metrics)}


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _share(parameters: float, total: int | None) -> str:
    return f"{parameters:,.0f}" if total is None else f"{parameters / total:.1%}"


def _lines(
    reporter: StudyReporter,
    shown: Sequence[FrozenTrial],
    total: int | None,
    measured: Measurement | None,
) -> list[tuple[str, str]]:
    """Labelled lines on the best trial, the clock of all shown ones, the trials and the files."""
    study, best = reporter.study, shown[0]
    parameters = best.user_attrs[METRICS]["parameters"]
    folder = short_path(study.folder)
    share = "" if total is None else f", {_share(parameters, total)} of the parameters"
    lines = [("best", f"{_none_keeps(reporter.spec, best)}{best.user_attrs.get(REGIME)}{share}")]
    lines.append(("on dev", _on_dev(best, reporter.references())))
    clock = clock_of_rows(trial.user_attrs[METRICS] for trial in shown)
    if clock.machines:
        lines.append(("clock", str(clock)))
    if measured is not None:
        lines.append(("measured", f"separate models take {measured_text(measured)}"))
    return [
        *lines,
        ("trials", state_counts(study.trials())),
        ("sweep", f"{folder} (sweep.csv, sweep.png)"),
        ("train it", train_command(folder)),
    ]


def _none_keeps(spec: SweepSpec, best: FrozenTrial) -> str:
    """Says so where even the best trial does not keep enough; empty otherwise."""
    if "keep" not in spec.objectives or best.values[spec.objectives.index("keep")] >= 0:
        return ""
    keep = f"{spec.config.score.keep:.0%} of separate models' performance"
    return f"no regime keeps {keep} with all tasks above their floors; the nearest is "
