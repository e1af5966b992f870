"""What replays say of a strategy, in numbers and in tables."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev

from benchmarks.search.replay import Outcome
from benchmarks.tables import Row

LIMIT = 0.005
"""A larger shortfall is counted as a bad choice."""
HEADER: Row = (
    "strategy", "trainings", "shortfall", f"shortfall > {LIMIT:g}", "layers not shared that could",
    "decided", "right where decided", "s a question",
)  # fmt: skip
PAGE = Path(__file__).resolve().parents[2] / "docs" / "sweeps.md"
BEGIN, END = "<!-- search: begin -->", "<!-- search: end -->"


@dataclass(frozen=True)
class Summary:
    """The means over a strategy's replays.

    Attributes:
        trainings: in full ones.
        shortfall, shortfall_error: mean, and its standard error.
        short: share of replays with a shortfall above ``LIMIT``.
        missed: layers not shared that could be.
        decided: share of replays in which the strategy stated an answer; None where it never does.
        right: share of these answers that keep enough.
        question_s: seconds of a question for the next training; None where none is asked.
    """

    source: str
    strategy: str
    replays: int
    trainings: float
    shortfall: float
    shortfall_error: float
    short: float
    missed: float
    decided: float | None
    right: float | None
    question_s: float | None

    def row(self) -> Row:
        """The cells of a table, as :data:`HEADER` names them."""
        return (
            self.strategy,
            f"{self.trainings:.1f}",
            f"{self.shortfall:.4f} +- {self.shortfall_error:.4f}",
            f"{self.short:.2f}",
            f"{self.missed:.2f}",
            "" if self.decided is None else f"{self.decided:.2f}",
            "" if self.right is None else f"{self.right:.2f}",
            "" if self.question_s is None else f"{self.question_s:.3f}",
        )


def summarise(outcomes: Iterable[Outcome]) -> list[Summary]:
    """A summary for each strategy on each source, in the order of their first replay."""
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for one in outcomes:
        groups.setdefault((one.source, one.strategy), []).append(one)
    return [_summary(*names, group) for names, group in groups.items()]


def _summary(source: str, name: str, group: Sequence[Outcome]) -> Summary:
    shortfalls = [one.shortfall for one in group]
    stated = [one for one in group if one.decided is not None]
    answers = [one for one in stated if one.decided]
    questions = sum(one.questions for one in group)
    return Summary(
        source=source,
        strategy=name,
        replays=len(group),
        trainings=fmean(one.trainings for one in group),
        shortfall=fmean(shortfalls),
        shortfall_error=stdev(shortfalls) / len(group) ** 0.5 if len(group) > 1 else 0.0,
        short=fmean(one.shortfall > LIMIT for one in group),
        missed=fmean(one.missed for one in group),
        decided=len(answers) / len(stated) if stated else None,
        right=fmean(one.keeps for one in answers) if answers else None,
        question_s=sum(one.asking_s for one in group) / questions if questions else None,
    )


def outcomes_text(outcomes: Sequence[Outcome]) -> str:
    """All replays as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [*asdict(outcomes[0]), "missed"], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(one) | {"missed": one.missed} for one in outcomes)
    return text.getvalue()


def markdown(summaries: Sequence[Summary]) -> str:
    """A Markdown table for each source."""
    parts = []
    for source in dict.fromkeys(one.source for one in summaries):
        own = [one for one in summaries if one.source == source]
        lines = [HEADER, tuple("---" for _ in HEADER), *(one.row() for one in own)]
        rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        parts.append(f"{source[0].upper()}{source[1:]}, {own[0].replays} replays:\n\n{rows}")
    return "\n\n".join(parts) + "\n"


def rewritten(page: str, tables: str) -> str:
    """The page with the tables between its two marker lines."""
    pattern = re.compile(f"{BEGIN}\n.*?{END}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{tables}{END}", page)
