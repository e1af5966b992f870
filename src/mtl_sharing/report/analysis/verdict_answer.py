"""The answer of groups by their own statistics, in one sentence."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from mtl_sharing.report.analysis.statistics import FEWEST
from mtl_sharing.report.analysis.values import group_flags, summary_of
from mtl_sharing.report.analysis.verdicts import Verdict, percent, percent_interval
from mtl_sharing.report.inputs.groups import Group


@dataclass(frozen=True)
class Answer:
    """The answer to a report's question.

    Attributes:
        sentence: says all that matters, without a full stop.
        details: how sure that is and what would tell more, a sentence each.
        chosen: the group to take, also where it is not decided yet; None without any.
        probabilities: what a search says of its groups, by label.
    """

    sentence: str
    details: tuple[str, ...] = ()
    chosen: Group | None = None
    verdicts: tuple[Verdict, ...] = ()
    probabilities: dict[str, str] = field(default_factory=dict)


def answer_of_groups(verdicts: Sequence[Verdict]) -> Answer:
    """The cheapest regime that surely keeps enough, or what is open, of groups on the same data."""
    sharing = [v for v in verdicts if not v.group.separate]
    measured = sorted((v for v in sharing if v.kept.mean is not None), key=_cost)
    details = []
    if measured and (rest := len(sharing) - len(measured)):
        details.append(f"{rest} more have no separate models with their settings")
    if not measured:
        return _without_share(verdicts, sharing)
    cheaper = [v for v in measured if v.parameters is None or v.parameters < 1]
    if not cheaper and not all(v.flags for v in measured):
        return Answer(
            "Keep separate models: no regime here has fewer parameters", tuple(details),
            measured[0].baseline,
        )  # fmt: skip
    return _of_cheaper(cheaper or measured, details)


def _of_cheaper(measured: Sequence[Verdict], details: list[str]) -> Answer:
    """The answer of regimes that save parameters, the cheapest first."""
    passing = next((v for v in measured if v.enough), None)
    still_open = [v for v in measured if v.enough is None and _is_cheaper(v, passing)]
    if passing is not None:
        details += [f"Cheaper, but not decided: {_described(v)}" for v in still_open[:2]]
        details.append(
            "Regimes were chosen and measured on the same dev examples: no other data confirms it"
        )
        return Answer(f"Take {_described(passing)}{_surely(passing)}", tuple(details),
                      passing.group)  # fmt: skip
    if still_open:
        return _undecided(still_open, details)
    return _none_keeps(measured, details)


def _cost(verdict: Verdict) -> tuple[float, float]:
    return verdict.parameters or 1.0, -(verdict.kept.mean or 0.0)


def _is_cheaper(verdict: Verdict, other: Verdict | None) -> bool:
    return other is None or _cost(verdict) < _cost(other)


def _described(verdict: Verdict) -> str:
    """A regime, what it keeps and what it costs."""
    text = f"{verdict.name}: it keeps {percent_interval(verdict.kept)} of separate models'"
    text += " performance"
    if verdict.parameters is not None:
        text += f" at {verdict.parameters:.0%} of their parameters"
        text += "" if verdict.time is None else f" and {verdict.time:.0%} of their time"
    return text


def _surely(verdict: Verdict) -> str:
    return (f", surely at least {percent(verdict.keep, 4)} (95% interval, {verdict.seeds} seeds);"
            " not confirmed on other data")  # fmt: skip


def _undecided(still_open: Sequence[Verdict], details: list[str]) -> Answer:
    """The cheapest that keeps enough so far, else the one that comes nearest."""
    enough = [v for v in still_open if (v.kept.mean or 0.0) >= v.keep]
    best = enough[0] if enough else max(still_open, key=lambda v: v.kept.mean or 0.0)
    seeds = f"{best.seeds} seed{'s' * (best.seeds != 1)}"
    over = "" if best.kept.low is None else ", 95% interval"
    so_far = "So far" if enough else "Nearest is"
    sentence = (
        f"Not decided whether any regime keeps {percent(best.keep, 4)}. {so_far} "
        f"{_described(best)} ({seeds}{over}); more seeds of {best.name} and of separate"
        " models would tell"
    )
    if best.seeds < FEWEST:
        details.insert(0, f"{FEWEST} seeds or more of both are needed to say anything of others")
    return Answer(sentence, tuple(details), best.group)


def _none_keeps(measured: Sequence[Verdict], details: list[str]) -> Answer:
    """The nearest of those that learned all tasks; without any, whether separate models did."""
    fair = [v for v in measured if not v.flags]
    best = max(fair or measured, key=lambda v: v.kept.mean or 0.0)
    baseline = best.baseline
    flags = f"{best.name}: {best.flags}"
    if not fair and (baseline is None or group_flags(baseline)):
        details.append("Train longer or on more examples, or start from a pretrained encoder")
        return Answer(f"No answer: nothing here learned all tasks ({flags})", tuple(details))
    nearest = (
        f"; nearest is {_described(best)} (95% interval, {best.seeds} seeds)"
        if fair
        else f": none learned all tasks ({flags})"
    )
    keeps = f"no cheaper regime here keeps {percent(best.keep, 4)} of their performance"
    return Answer(f"Keep separate models: {keeps}{nearest}", tuple(details), baseline)


def _without_share(verdicts: Sequence[Verdict], sharing: Sequence[Verdict]) -> Answer:
    """Where no share can be computed: only separate models, or none to compare with."""
    best = max(verdicts, key=lambda v: summary_of(v.group, "performance").mean or 0.0)
    reached = summary_of(best.group, "performance").mean or 0.0
    seeds = len(best.group.seeds)
    best_text = (
        f"{best.name} has the best performance, {reached:.4f} ({seeds} seed{'s' * (seeds != 1)})"
    )
    flagged = f" [{best.flags}]" if best.flags else ""
    if not sharing:
        return Answer(f"Only separate models are here, so there is nothing to choose yet: "
                      f"{best_text}{flagged}")  # fmt: skip
    details = ("Train them with the same settings and sharing=individual, for the same seeds",)
    return Answer(
        "No answer: what is kept is unknown without separate models of the same settings and data;"
        f" {best_text}{flagged}", details,
    )  # fmt: skip
