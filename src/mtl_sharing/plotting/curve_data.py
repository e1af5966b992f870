"""The lines of a run's training curves, read off its evaluations; ``records`` draws them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from mtl_sharing.run_folder.metrics import MAIN, Row

# The last two are of the split that judges: dev, or what was held out of train.
TRAINING, LOSS, METRIC = PANELS = ("training loss", "loss", "metric")
PERFORMANCE = "performance"


@dataclass(frozen=True)
class Line:
    """One figure over the steps.

    Attributes:
        panel: one of :data:`PANELS`.
        task: whose figure it is, or ``performance``, which is of all tasks.
        points: step and value of each evaluation. A training loss ends with its phase, as that
            of the next phase may be another loss.
    """

    panel: str
    task: str
    points: tuple[tuple[int, float], ...]


@dataclass(frozen=True)
class Span:
    """The steps of one phase: those after ``begin``, up to ``end``."""

    phase: str
    begin: int
    end: int


@dataclass(frozen=True)
class Curves:
    """What the picture shows.

    Attributes:
        metrics: each task and what it is measured by, in the order of the evaluations, so that
            a task's place does not depend on what trained first; None where it never was.
        spans: the phases in their order; none where there is the main training alone.
        split: what judges: ``dev``, or ``select``, the part held out of train.
    """

    lines: tuple[Line, ...]
    metrics: dict[str, str | None]
    spans: tuple[Span, ...]
    split: str = "dev"

    def title(self, panel: str) -> str:
        """What stands over a panel."""
        return {TRAINING: panel, LOSS: f"{self.split} loss", METRIC: self.split}[panel]


def read_curves(history: Sequence[Row]) -> Curves:
    """The curves of a run.

    Args:
        history: the rows of metrics.csv in their order.
    """
    trained = [line for phase, rows in _phases(history) for line in _training(phase, rows)]
    judges = ("dev/", "select/")
    parted = [tuple(name.split("/")) for name in _names(history) if name.startswith(judges)]
    evaluated = [
        _line(history, LOSS if figure == "loss" else METRIC, task, f"{split}/{task}/{figure}")
        for split, task, figure in parted
    ]
    overall = [
        _line(history, METRIC, name, name) for name in _names(history) if name == PERFORMANCE
    ]
    metrics: dict[str, str | None] = {t: figure for _, t, figure in parted if figure != "loss"}
    without = dict.fromkeys(line.task for line in trained if line.task not in metrics)
    split = parted[0][0] if parted else "dev"
    return Curves((*trained, *evaluated, *overall), metrics | without, _spans(history), split)


def _names(rows: Sequence[Row]) -> dict[str, None]:
    return dict.fromkeys(name for row in rows for name in row)


def _phases(history: Sequence[Row]) -> list[tuple[str, list[Row]]]:
    runs = groupby(history, key=lambda row: str(row.get("phase", MAIN)))
    return [(phase, list(rows)) for phase, rows in runs]


def _training(phase: str, rows: Sequence[Row]) -> Iterator[Line]:
    prefix = "train/" if phase == MAIN else f"train/{phase}."
    for name in _names(rows):
        if name.startswith(prefix) and name.endswith("/loss"):
            task = name.removeprefix(prefix).removesuffix("/loss")
            yield _line(rows, TRAINING, task, name)


def _line(rows: Sequence[Row], panel: str, task: str, name: str) -> Line:
    return Line(panel, task, tuple((row["step"], row[name]) for row in rows if name in row))


def _spans(history: Sequence[Row]) -> tuple[Span, ...]:
    ends = [(phase, int(rows[-1]["step"])) for phase, rows in _phases(history)]
    begins = [0, *(end for _, end in ends)]
    if {phase for phase, _ in ends} <= {MAIN}:
        return ()
    return tuple(Span(phase, b, end) for (phase, end), b in zip(ends, begins, strict=False))
