"""The answer of a search in one sentence, with what dev says of it."""

from mtl_sharing.report.analysis.verdicts import percent
from mtl_sharing.run_folder.decision import Decision, DevComparison, probability_text


def search_sentence(decision: Decision) -> str:
    """Which regime to take, or that it is not decided; without a full stop."""
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
    """The share kept on dev with its interval; empty where it is unknown."""
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


def search_details(decision: Decision) -> list[str]:
    """Sentences on the chosen regime: its estimate, dev, and what would tell more."""
    chosen, details = decision.regimes[decision.chosen], []
    if chosen.point is not None:
        share = "" if chosen.kept is None else f", {percent(chosen.kept)} of separate models'"
        details.append(
            f"{chosen.name} as estimated over seeds: performance {chosen.mean:.4f}"
            f" [{chosen.low:.4f}, {chosen.high:.4f}] (90% interval){share},"
            f" at {chosen.parameters:.0%} of their parameters"
        )
    if decision.dev is not None:
        details.append(_dev_sentence(decision, decision.dev))
    if decision.next is not None and decision.decided:
        regime = decision.regimes[decision.next.regime].name
        details.append(f"The next best evidence: {regime} with seed {decision.next.seed}")
    return details


def _dev_sentence(decision: Decision, dev: DevComparison) -> str:
    """The comparison of the chosen regime with separate models on dev."""
    return f"{decision.regimes[decision.chosen].name} on dev, which made no choice: {dev.text}"
