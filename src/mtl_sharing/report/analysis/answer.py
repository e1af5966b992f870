"""The answer of a report in one sentence: which regime to take, and how sure that is."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from mtl_sharing.report.analysis.comparisons import Comparison
from mtl_sharing.report.analysis.statistics import FEWEST
from mtl_sharing.report.analysis.values import group_flags, summary_of
from mtl_sharing.report.analysis.verdicts import Verdict, make_verdicts, percent, percent_interval
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.sweeps import SweepHistory
from mtl_sharing.run_folder.decision import Decision, DevComparison, probability_text

# The facts of the data that a performance is measured on.
_OF_DEV = re.compile(r"data\..*\.(metric|examples|floor|digests\.dev)")
_MOST_SETS = 6


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


def make_answer(
    groups: Sequence[Group], comparisons: Sequence[Comparison], histories: Sequence[SweepHistory]
) -> Answer:
    """The answer of a search if there is one, else of the groups' own statistics.

    Groups that were measured on other data, tasks or metrics are never compared: each set of data
    has its own answer then.
    """
    verdicts = make_verdicts(groups, comparisons)
    sets: dict[object, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        sets[_measured_on(verdict.group)].append(verdict)
    answers = [_of_set(members, histories) for members in sets.values()]
    probabilities = {k: v for answer in answers for k, v in answer.probabilities.items()}
    if len(answers) == 1:
        one = answers[0]
        return Answer(one.sentence, one.details, one.chosen, tuple(verdicts), probabilities)
    sentence = (
        f"These runs cannot be compared with each other: they were measured on {len(answers)}"
        " different data (tasks, dev examples or metrics), so each has an answer of its own"
    )
    named = [f"{_data_name(v)}: {a.sentence}" for v, a in zip(sets.values(), answers, strict=True)]
    more = [f"{len(named) - _MOST_SETS} more data are in the table"] * (len(named) > _MOST_SETS)
    details = (*named[:_MOST_SETS], *more)
    return Answer(sentence, details, None, tuple(verdicts), probabilities)


def _measured_on(group: Group) -> object:
    dev = {name: text for name, text in group.differs.items() if _OF_DEV.fullmatch(name)}
    return group.tasks, tuple(sorted(dev.items()))


def _data_name(verdicts: Sequence[Verdict]) -> str:
    """What the data of these groups is called: their tasks, and the first of their runs."""
    first = verdicts[0].group
    return f"{', '.join(first.tasks)} as in {first.runs[0].name}"


def _of_set(verdicts: Sequence[Verdict], histories: Sequence[SweepHistory]) -> Answer:
    """The answer of groups on the same data."""
    sweeps = {run.sweep for verdict in verdicts for run in verdict.group.runs}
    searches = [(h.name, h.decision) for h in histories if h.decision and h.name in sweeps]
    if len(searches) == 1:
        return _of_search(verdicts, *searches[0])
    answer = _of_groups(verdicts)
    told = [f"The search {name}: {_search_sentence(decision)}" for name, decision in searches]
    return Answer(answer.sentence, (*answer.details, *told), answer.chosen)


def _of_search(verdicts: Sequence[Verdict], name: str, decision: Decision) -> Answer:
    by_trial = {
        (run.sweep, run.trial): verdict.group for verdict in verdicts for run in verdict.group.runs
    }
    probabilities, groups = dict[str, str](), dict[int, Group]()
    for position, regime in enumerate(decision.regimes):
        of_trials = [by_trial.get((name, trial)) for trial in regime.trials]
        group = next((group for group in of_trials if group is not None), None)
        if group is not None:
            groups[position] = group
            if regime.point is not None:
                text = f"probability {probability_text(regime.probability)}"
                probabilities[group.label] = text
    chosen, point = groups.get(decision.chosen), decision.regimes[decision.chosen].point
    if chosen is None and point is None:
        chosen = next((v.group for v in verdicts if v.group.separate), None)
    details = [] if decision.dev is None else [_on_dev(decision, decision.dev)]
    if decision.next is not None and decision.decided:
        regime = decision.regimes[decision.next.regime].name
        details.append(f"The next best evidence: {regime} with seed {decision.next.seed}")
    sentence = _search_sentence(decision)
    return Answer(sentence, tuple(details), chosen, (), probabilities)


def _search_sentence(decision: Decision) -> str:
    regime, dev = decision.regimes[decision.chosen], decision.dev
    if not decision.decided:
        return f"Not decided: {decision.sentence}"
    if regime.point is None:
        return f"Keep separate models: {decision.sentence}"
    share = "" if dev is None else _dev_share(dev)
    reached = f"{share} of separate models' performance on dev and " if share else ""
    return (
        f"Take {regime.name}: it keeps {reached}at least {percent(decision.question.keep, 4)} "
        f"{'' if share else 'of it '}with probability {probability_text(regime.probability)} "
        f"({decision.trainings} trainings), at {regime.parameters:.0%} of the parameters; "
        f"{_confirmed(decision, dev)}"
    )


def _dev_share(dev: DevComparison) -> str:
    """What is kept on dev with its interval; empty where it is unknown."""
    if dev.kept is None:
        return ""
    if dev.low is None or dev.high is None:
        return percent(dev.kept)
    low, high = ((dev.reference + end) / dev.reference for end in (dev.low, dev.high))
    return f"{percent(dev.kept)} [{percent(low)}, {percent(high)}]"


def _confirmed(decision: Decision, dev: DevComparison | None) -> str:
    """Whether dev, which made no choice, agrees."""
    if dev is None or dev.kept is None:
        return "not compared on dev"
    if dev.low is None or dev.high is None or dev.reference <= 0:
        return "dev has no test of it"
    keep = decision.question.keep
    if dev.reference + dev.low >= keep * dev.reference:
        return "dev confirms it"
    if dev.reference + dev.high < keep * dev.reference:
        return "dev contradicts it"
    return "dev agrees without being sure" if dev.kept >= keep else "dev does not confirm it"


def _on_dev(decision: Decision, dev: DevComparison) -> str:
    return f"{decision.regimes[decision.chosen].name} on dev, which made no choice: {dev.text}"


def _of_groups(verdicts: Sequence[Verdict]) -> Answer:
    sharing = [v for v in verdicts if not v.group.separate]
    measured = sorted((v for v in sharing if v.kept.mean is not None), key=_cost)
    details = []
    if measured and (rest := len(sharing) - len(measured)):
        details.append(f"{rest} more have no separate models with their settings")
    if not measured:
        return _without_share(verdicts, sharing)
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
    text = f"{verdict.group.label}: it keeps {percent_interval(verdict.kept)} of separate models'"
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
        f"{_described(best)} ({seeds}{over}); more seeds of {best.group.label} and of separate"
        " models would tell"
    )
    if best.seeds < FEWEST:
        details.insert(
            0, f"{seeds.capitalize()} say nothing sure of other seeds: {FEWEST} or more do"
        )
    return Answer(sentence, tuple(details), best.group)


def _none_keeps(measured: Sequence[Verdict], details: list[str]) -> Answer:
    """The nearest of those that learned all tasks; without any, whether separate models did."""
    fair = [v for v in measured if not v.flags]
    best = max(fair or measured, key=lambda v: v.kept.mean or 0.0)
    baseline = best.baseline
    flags = f"{best.group.label}: {best.flags}"
    if not fair and (baseline is None or group_flags(baseline)):
        details.append("Train longer or on more examples, or start from a pretrained encoder")
        return Answer(f"No answer: nothing here learned all tasks ({flags})", tuple(details))
    nearest = (
        f"; nearest is {_described(best)} (95% interval, {best.seeds} seeds)"
        if fair
        else f": none learned all tasks ({flags})"
    )
    keeps = f"no regime here keeps {percent(best.keep, 4)} of their performance"
    return Answer(f"Keep separate models: {keeps}{nearest}", tuple(details), baseline)


def _without_share(verdicts: Sequence[Verdict], sharing: Sequence[Verdict]) -> Answer:
    """Where no share can be computed: only separate models, or none to compare with."""
    best = max(verdicts, key=lambda v: summary_of(v.group, "performance").mean or 0.0)
    reached = summary_of(best.group, "performance").mean or 0.0
    seeds = len(best.group.seeds)
    best_text = (
        f"{best.group.label} has the best performance, {reached:.4f}"
        f" ({seeds} seed{'s' * (seeds != 1)})"
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
