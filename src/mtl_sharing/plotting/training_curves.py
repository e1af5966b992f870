"""The losses and metrics of a run over its steps, from the rows of metrics.csv."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

from mtl_sharing.run_folder.results import MAIN, Row

# The last two are of the split that selects: dev, or the part held out of train.
TRAINING, LOSS, METRIC = ("training loss", "loss", "metric")
PERFORMANCE = "performance"
_RAW_PERFORMANCE = "performance_raw_r"
# Split, task and metric. A metrics.csv that somebody else wrote may have other columns.
_EVALUATED = re.compile(r"(dev|select)/[^/]+/[^/]+")


@dataclass(frozen=True)
class Line:
    """One metric over the steps.

    Attributes:
        task: name of the task, or ``performance``, the mean over all tasks.
        points: step and value of each evaluation. A line of a training loss ends with its phase:
            the next phase may have another loss.
        phase: of a training loss; empty for others.
    """

    panel: str
    task: str
    points: tuple[tuple[int, float], ...]
    phase: str = ""


@dataclass(frozen=True)
class Span:
    """The steps of one phase: those after ``begin``, up to ``end``."""

    phase: str
    begin: int
    end: int


@dataclass(frozen=True)
class Curves:
    """Everything that metrics.csv tells of a training.

    Attributes:
        metrics: each task's metric, None if it was never evaluated. The order is that of the
            evaluations, so that a task's colour does not depend on which trained first.
        spans: the phases in order; empty for a main training alone.
        split: the split that selects: ``dev``, or ``select``, the part held out of train.
    """

    lines: tuple[Line, ...]
    metrics: dict[str, str | None]
    spans: tuple[Span, ...]
    split: str = "dev"


def read_curves(history: Sequence[Row], pearson: str = "unit") -> Curves:
    """The curves of a run, from the rows of metrics.csv in their order.

    Args:
        pearson: how the line of the performance counts correlations, as ``score.pearson``.
    """
    phases = [
        (phase, list(rows))
        for phase, rows in groupby(history, key=lambda row: str(row.get("phase", MAIN)))
    ]
    trained = [line for phase, rows in phases for line in _training_lines(phase, rows)]
    names = _columns(history)
    columns = [tuple(name.split("/")) for name in names if _EVALUATED.fullmatch(name)]
    evaluated = [
        _line(history, LOSS if metric == "loss" else METRIC, task, f"{split}/{task}/{metric}")
        for split, task, metric in columns
    ]
    overall = PERFORMANCE if pearson == "unit" else _RAW_PERFORMANCE
    if overall in names:
        evaluated.append(_line(history, METRIC, PERFORMANCE, overall))
    metrics: dict[str, str | None] = {t: metric for _, t, metric in columns if metric != "loss"}
    unevaluated = dict.fromkeys(line.task for line in trained if line.task not in metrics)
    split = columns[0][0] if columns else "dev"
    return Curves((*trained, *evaluated), metrics | unevaluated, _spans(phases), split)


def _columns(rows: Iterable[Row]) -> dict[str, None]:
    return dict.fromkeys(name for row in rows for name in row)


def _training_lines(phase: str, rows: Sequence[Row]) -> Iterator[Line]:
    prefix = "train/" if phase == MAIN else f"train/{phase}."
    for name in _columns(rows):
        if name.startswith(prefix) and name.endswith("/loss"):
            task = name.removeprefix(prefix).removesuffix("/loss")
            yield replace(_line(rows, TRAINING, task, name), phase=phase)


def _line(rows: Sequence[Row], panel: str, task: str, name: str) -> Line:
    return Line(panel, task, tuple((row["step"], row[name]) for row in rows if name in row))


def _spans(phases: Sequence[tuple[str, list[Row]]]) -> tuple[Span, ...]:
    if {phase for phase, _ in phases} <= {MAIN}:
        return ()
    steps = [0, *(int(rows[-1]["step"]) for _, rows in phases)]
    bounds = pairwise(steps)
    return tuple(Span(phase, *bound) for (phase, _), bound in zip(phases, bounds, strict=True))
