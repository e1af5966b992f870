"""The answer of a report in one sentence: which regime to take, and how sure that is."""

import re
from collections import defaultdict
from collections.abc import Sequence

from mtl_sharing.report.analysis.comparisons import Comparison
from mtl_sharing.report.analysis.search_answer import search_details, search_sentence
from mtl_sharing.report.analysis.verdict_answer import Answer, answer_of_groups
from mtl_sharing.report.analysis.verdicts import Verdict, make_verdicts
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.sweeps import SweepHistory
from mtl_sharing.run_folder.decision import Decision, probability_text

# The facts of the data that a performance is measured on.
_OF_DEV = re.compile(r"data\..*\.(metric|examples|floor|digests\.dev)")
_MOST_SETS = 6


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
    """A name for the data of these groups: their tasks, and the first of their runs."""
    first = verdicts[0].group
    return f"{', '.join(first.tasks)} as in {first.runs[0].name}"


def _of_set(verdicts: Sequence[Verdict], histories: Sequence[SweepHistory]) -> Answer:
    """The answer of groups on the same data."""
    sweeps = {run.sweep for verdict in verdicts for run in verdict.group.runs}
    searches = [(h.name, h.decision) for h in histories if h.decision and h.name in sweeps]
    if len(searches) == 1:
        return _of_search(verdicts, *searches[0])
    answer = answer_of_groups(verdicts)
    told = [f"The search {name}: {search_sentence(decision)}" for name, decision in searches]
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
    details = tuple(search_details(decision))
    return Answer(search_sentence(decision), details, chosen, (), probabilities)
