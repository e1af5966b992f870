"""The answer of a search in one sentence."""

from mtl_sharing.run_folder.decision import Decision, probability_text


def sentence(decision: Decision) -> str:
    """The answer in one sentence: what keeps enough, that nothing does, or what is undecided."""
    if not decision.decided:
        parts = [
            _undecided(decision),
            f"so far {decision.choice_text} after {_trainings(decision)}",
        ]
    elif decision.regimes[decision.chosen].point is None:
        parts = [_none_keeps(decision), _trainings(decision)]
    else:
        chosen = decision.regimes[decision.chosen]
        share = f"at {chosen.parameters:.0%} of their parameters"
        sure = f"with probability {probability_text(chosen.probability)}"
        parts = [f"{chosen.name} keeps {_keep(decision)} {sure} {share}", _trainings(decision)]
    if decision.next is not None:
        name = decision.regimes[decision.next.regime].name
        parts.append(f"the next best evidence would be {name} with seed {decision.next.seed}")
    return "; ".join(parts)


def _none_keeps(decision: Decision) -> str:
    confidence = probability_text(decision.question.confidence)
    text = f"no cheaper regime keeps {_keep(decision)} with probability {confidence}"
    if decision.reference.kept is None:
        return f"{text}: nothing is a share of their performance, which is not above 0"
    cheaper = [one for one in decision.regimes[1:] if one.cost < 1]
    likeliest = max(cheaper, key=lambda one: one.probability, default=None)
    if likeliest is None:
        return f"{text}: none costs less"
    if not likeliest.probability:
        return f"{text}: each failed or is no better than a constant answer"
    return f"{text}: {likeliest.name} comes nearest with {probability_text(likeliest.probability)}"


def _undecided(decision: Decision) -> str:
    between = " and ".join(decision.regimes[rival].name for rival in decision.rivals)
    text = f"undecided between {between}" if len(decision.rivals) > 1 else "not yet sure"
    if decision.next is None:
        return f"{text}: no training is left"
    if decision.missing is None:
        return f"{text}: many more trainings"
    return f"{text}: about {_count(decision.missing, 'more training')}"


def _keep(decision: Decision) -> str:
    return f"{100 * decision.question.keep:.4g}% of separate models"


def _trainings(decision: Decision) -> str:
    return _count(decision.trainings, "training")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
