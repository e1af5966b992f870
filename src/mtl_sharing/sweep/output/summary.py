"""What happens when a sweep ends or is interrupted: files, pictures, and a short table."""

import logging
from collections.abc import Sequence
from typing import Any

from optuna.trial import FrozenTrial, TrialState
from rich import get_console
from rich.console import Console
from rich.table import Table

from mtl_sharing.plotting.sweep import draw_sweep
from mtl_sharing.sweep.jobs.launcher import JobPool
from mtl_sharing.sweep.jobs.measure_best import Measured, measure_winner, read_measured
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.study.records import best_trial, rank, rows, write_best, write_table
from mtl_sharing.sweep.study.study import (
    FIGURES,
    OVERRIDES,
    REGIME,
    SweepStudy,
    is_reference,
    trained,
)
from mtl_sharing.utils.files import short_path

log = logging.getLogger(__name__)
_SHOWN = 5
_WIDE = 200


def end_sweep(teller: StudyReporter, jobs: JobPool, complete: bool) -> None:
    """Writes sweep.csv, best.yaml and sweep.png, and prints the best regimes.

    Args:
        complete: the sweep came to its end; then its winner is measured, too.
    """
    book, search = teller.book, teller.search
    objectives = search.objectives
    if not book.trials():
        return
    write_table(book, objectives)
    best, reference = best_trial(book), teller.dev_reference()
    if best is None:
        log.info("no trial has been completed yet")
        return
    measured = read_measured(book.folder, best.number)
    if complete and search.config.score.clock == "flops":
        measured = measure_winner(jobs, book, best)
    facts = {
        "trial": str(best.number),
        "regime": str(best.user_attrs.get(REGIME)),
        "kept": _kept(best, reference),
    }
    content = search.standalone_config(best.user_attrs[OVERRIDES], reference)
    with book.alone():  # another sweep on this study may end at the same moment
        write_best(book, content, facts)
        drawn = teller.selecting_reference()
        draw_sweep(book.folder, rows(book, objectives), objectives, drawn, book.study)
    print_table(book, objectives, best, reference, measured)


def _kept(trial: FrozenTrial, reference: float | None) -> str:
    figures = trial.user_attrs[FIGURES]
    if not reference:
        return f"performance {figures['dev_performance']:.4f}"
    return f"{figures['dev_performance'] / reference:.1%} of separate models' performance on dev"


def print_table(
    book: SweepStudy,
    objectives: Sequence[str],
    best: FrozenTrial,
    reference: float | None,
    measured: Measured | None,
) -> None:
    """The best trials and the reference, a sentence on the best, and where things lie."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    names = ("trial", "regime", *objectives, "performance", "dev", "kept", "parameters", "time")
    for name in dict.fromkeys(names):
        table.add_column(name, justify="left" if name == "regime" else "right")
    shown = _shown(book, best, objectives)
    whole = _separate_parameters(book)
    for trial in shown:
        table.add_row(*_cells(trial, objectives, reference, whole).values())
    console = get_console()
    console.print()
    if not console.is_terminal:
        console = Console(width=_WIDE)  # a file or a pipe has no width to keep to
    console.print(table, highlight=False)
    console.print()
    for line in _lines(book, best, reference, whole, measured):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def _shown(book: SweepStudy, best: FrozenTrial, objectives: Sequence[str]) -> list[FrozenTrial]:
    """The best few, or the Pareto front; the reference last."""
    complete = [t for t in trained(book.trials()) if t.state == TrialState.COMPLETE]
    if len(objectives) == 1:
        direction = book.study.direction
        ranked = sorted(complete, key=lambda t: rank(t, direction), reverse=True)[:_SHOWN]
    else:
        front = {t.number for t in book.study.best_trials}
        ranked = sorted((t for t in complete if t.number in front), key=_performance, reverse=True)
    return [*ranked, *(t for t in complete if is_reference(t) and t not in ranked)]


def _performance(trial: FrozenTrial) -> float:
    return float(trial.user_attrs[FIGURES]["performance"])


def _separate_parameters(book: SweepStudy) -> int | None:
    first = book.trials()[0]
    figures = first.user_attrs.get(FIGURES) or {}
    return figures.get("parameters") if is_reference(first) else None


def _cells(
    trial: FrozenTrial, objectives: Sequence[str], reference: float | None, whole: int | None
) -> dict[str, str]:
    figures: dict[str, Any] = trial.user_attrs[FIGURES]
    drawn = " ".join(
        f"{name.rpartition('.')[2]}={value:.3g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in trial.params.items()
        if name not in ("split", "sharing")
    )
    regime = f"{trial.user_attrs.get(REGIME)}{' (reference)' if is_reference(trial) else ''}"
    cells = {"trial": str(trial.number), "regime": f"{regime}  {drawn}".rstrip()}
    cells |= {name: f"{v:.3f}" for name, v in zip(objectives, trial.values, strict=True)}
    cells["performance"] = f"{figures['performance']:.4f}"
    cells["dev"] = f"{figures['dev_performance']:.4f}"
    cells["kept"] = f"{figures['dev_performance'] / reference:.1%}" if reference else "-"
    cells["parameters"] = _share(figures["parameters"], whole)
    cells["time"] = "-" if figures["time"] is None else f"{figures['time']:.2f}"
    return cells


def _share(parameters: float, whole: int | None) -> str:
    return f"{parameters:,.0f}" if whole is None else f"{parameters / whole:.1%}"


def _lines(
    book: SweepStudy,
    best: FrozenTrial,
    reference: float | None,
    whole: int | None,
    measured: Measured | None,
) -> list[str]:
    figures = best.user_attrs[FIGURES]
    share = "" if whole is None else f" at {_share(figures['parameters'], whole)} of the parameters"
    lines = [("best", f"{best.user_attrs.get(REGIME)}: {_kept(best, reference)}{share}")]
    if measured is not None:
        times = measured["time"]
        words = f"{times['train']:.2f} x the time to train and {times['predict']:.2f} x to predict"
        lines.append(("measured", f"separate models take {words}"))
    place = short_path(book.folder)
    lines += [
        ("trials", _counts(book.trials())),
        ("sweep", f"{place} (sweep.csv, sweep.png)"),
        ("train it", f"mtl-train --config-dir {place} --config-name best"),
    ]
    return [f"{label:<10}{text}" for label, text in lines]


def _counts(trials: Sequence[FrozenTrial]) -> str:
    """How many ended in which way; those answered by an earlier one apart."""
    states = [trial.state for trial in trained(trials)]
    words = [f"{states.count(s)} {s.name.lower()}" for s in TrialState if s in states]
    equal = len(trials) - len(states)
    return ", ".join(words) + (f"; {equal} more equal to earlier ones" if equal else "")
