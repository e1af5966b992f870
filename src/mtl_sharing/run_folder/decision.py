"""The answer of a search as a value: what decision.json holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_SHOWN = 12
"""Regimes in a table or picture, beside separate models."""
_CLOSE = 1e-9


@dataclass(frozen=True)
class RegimeEstimate:
    """The estimate of one regime by a search.

    Attributes:
        label: the regime and its settings, such as ``S6-I6  sampler=annealed start=0.3``.
        point: its parameters; None for separate models.
        trials: the numbers of its trials that ended with a result.
        seeds, performances: of these trials, in the same order.
        mean: expected performance over seeds, on the part that selects.
        low, high: interval that holds it with probability 0.9.
        kept: ``mean`` relative to separate models'; None where theirs is not above 0.
        probability: that it keeps enough.
        cost: what the score counts for it, relative to separate models.
        parameters: its parameters, relative to separate models'.
    """

    regime: str
    label: str
    point: Mapping[str, Any] | None
    trials: tuple[int, ...]
    seeds: tuple[int, ...]
    performances: tuple[float, ...]
    mean: float
    low: float
    high: float
    kept: float | None
    probability: float
    cost: float
    parameters: float

    @property
    def name(self) -> str:
        """Its name in a sentence."""
        return "separate models" if self.point is None else " ".join(self.label.split())


@dataclass(frozen=True)
class DevComparison:
    """The chosen regime minus separate models on dev, by the paired test of reports.

    Attributes:
        seeds: those that both were trained with; empty where there are none.
        performance, reference: means of both over these seeds, else over their own.
        kept: their ratio; None where the reference is not above 0.
        difference, low, high, p: mean difference, its 95% interval and p-value; None without test.
        test: its name.
        note: why there is no test, or what it does not show.
    """

    seeds: tuple[int, ...]
    performance: float
    reference: float
    kept: float | None
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    test: str
    note: str

    @property
    def text(self) -> str:
        """The comparison in one line."""
        kept = "" if self.kept is None else f", {self.kept:.1%} of separate models' performance"
        text = f"performance {self.performance:.4f}, theirs {self.reference:.4f}{kept}"
        if None not in (self.difference, self.low, self.high, self.p):
            text += f"; difference {self.difference:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"
            text += f", p {self.p:.2g}, {self.test}"
        if self.seeds:
            listed = ", ".join(map(str, self.seeds))
            text += f"; seed{'' if len(self.seeds) == 1 else 's'} {listed}"
        return f"{text} ({self.note})" if self.note else text


@dataclass(frozen=True)
class Question:
    """The question that a search answers: the cheapest regime that keeps enough.

    Attributes:
        keep: share of separate models' performance that is enough.
        confidence: probability of keeping enough at which an answer is given.
        seeds: the seeds that a regime may be trained with.
    """

    keep: float
    confidence: float
    seeds: tuple[int, ...]


@dataclass(frozen=True)
class NextTraining:
    """The training that would sharpen an answer most: position of its regime, and seed."""

    regime: int
    seed: int


@dataclass(frozen=True)
class Decision:
    """The answer of a search.

    Attributes:
        decided: whether the chosen regime keeps enough with the asked confidence.
        chosen: position in ``regimes`` of the one to take.
        rivals: positions of the regimes between which it is in doubt.
        next: None where no training is left.
        missing: about how many more trainings decide; None where that cannot be told.
        regimes: separate models first, the others from the dearest to the cheapest.
        dev: None where the chosen regime is separate models, or one of the two was not trained.
        held_out: standard deviation of a regime's performance, relative to others', over choices of
            the held-out examples.
    """

    question: Question
    decided: bool
    sentence: str
    chosen: int
    rivals: tuple[int, ...]
    next: NextTraining | None
    missing: int | None
    regimes: tuple[RegimeEstimate, ...]
    dev: DevComparison | None
    held_out: float = 0.0

    @property
    def trainings(self) -> int:
        """The number of trainings that the answer rests on."""
        return sum(len(regime.trials) for regime in self.regimes)

    @property
    def choice_text(self) -> str:
        """The regime to take as far as is known, such as ``S8-I4 with probability .72``."""
        chosen = self.regimes[self.chosen]
        if chosen.point is None:
            return chosen.name
        return f"{chosen.name} with probability {probability_text(chosen.probability)}"

    @property
    def reference(self) -> RegimeEstimate:
        """Separate models."""
        return self.regimes[0]

    def shown(self, most: int = MOST_SHOWN) -> list[int]:
        """Positions of separate models and of at most ``most`` regimes: trained, or in doubt.

        Of those that differ in settings alone and were not trained, only the most doubtful counts.
        """
        named = {self.chosen, *self.rivals, *([self.next.regime] if self.next else [])}

        def rank(position: int) -> tuple[bool, bool, float]:
            one = self.regimes[position]
            return position not in named, not one.trials, abs(one.probability - 0.5)

        positions, shown = list[int](), set[str]()
        for position in sorted(range(1, len(self.regimes)), key=rank):
            one = self.regimes[position]
            if position in named or one.trials or (self._in_doubt(one) and one.regime not in shown):
                positions.append(position)
                shown.add(one.regime)
        return [0, *sorted(positions[:most])]

    def _in_doubt(self, one: RegimeEstimate) -> bool:
        confidence = self.question.confidence
        return 1 - confidence < one.probability < confidence


def probability_text(value: float) -> str:
    """A probability with two digits, rounded down: none is shown as the bound that it misses."""
    hundredths = int(100 * value + _CLOSE)
    if hundredths >= 100:
        return "1" if value >= 1 - _CLOSE else ">.99"
    return f".{hundredths:02d}" if hundredths or value < _CLOSE else "<.01"
