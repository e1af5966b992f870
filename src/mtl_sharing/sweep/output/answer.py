"""The answer of a search in words: one sentence, a table, and the confirmation on dev."""

from rich.table import Table

from mtl_sharing.run_folder.decision import (
    Decision,
    DevComparison,
    NextTraining,
    Question,
    probability_text,
)
from mtl_sharing.sweep.loop.search import SearchReport


def make_decision(report: SearchReport, dev: DevComparison | None) -> Decision:
    """The content of decision.json."""
    asked = report.question
    return Decision(
        question=Question(asked.keep, asked.confidence, tuple(asked.seeds)),
        decided=report.decided,
        sentence=sentence(report),
        chosen=report.chosen,
        rivals=report.rivals,
        next=None if report.next is None else NextTraining(*report.next),
        missing=report.missing,
        regimes=report.regimes,
        dev=dev,
    )


def sentence(report: SearchReport) -> str:
    """The answer in one sentence: what keeps enough, that nothing does, or what is undecided."""
    if not report.decided:
        parts = [_undecided(report), f"so far {report.belief} after {_trainings(report)}"]
    elif report.regimes[report.chosen].point is None:
        parts = [_none_keeps(report), _trainings(report)]
    else:
        chosen = report.regimes[report.chosen]
        share = f"at {chosen.parameters:.0%} of their parameters"
        parts = [f"{chosen.name} keeps {_keep(report)} with probability "
                 f"{probability_text(chosen.probability)} {share}", _trainings(report)]  # fmt: skip
    if report.next is not None:
        regime, seed = report.next
        name = report.regimes[regime].name
        parts.append(f"the next best evidence would be {name} with seed {seed}")
    return "; ".join(parts)


def _none_keeps(report: SearchReport) -> str:
    confidence = probability_text(report.question.confidence)
    text = f"no cheaper regime keeps {_keep(report)} with probability {confidence}"
    cheaper = [one for one in report.regimes[1:] if one.cost < 1]
    likeliest = max(cheaper, key=lambda one: one.probability, default=None)
    if likeliest is None:
        return f"{text}: none costs less"
    if not likeliest.probability:
        return f"{text}: each failed or is no better than a constant answer"
    return f"{text}: {likeliest.name} comes nearest with {probability_text(likeliest.probability)}"


def _undecided(report: SearchReport) -> str:
    between = " and ".join(report.regimes[rival].name for rival in report.rivals)
    text = f"undecided between {between}" if len(report.rivals) > 1 else "not yet sure"
    if report.next is None:
        return f"{text}: no training is left"
    if report.missing is None:
        return f"{text}: many more trainings"
    return f"{text}: about {_count(report.missing, 'more training')}"


def _keep(report: SearchReport) -> str:
    return f"{100 * report.question.keep:.4g}% of separate models"


def _trainings(report: SearchReport) -> str:
    return _count(report.trainings, "training")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def answer_table(decision: Decision) -> Table:
    """A row for separate models and for each regime that was trained or is in doubt."""
    rows = [_cells(decision, position) for position in decision.shown()]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in rows[0]:
        table.add_column(name, justify="left" if name in ("regime", "") else "right")
    for row in rows:
        table.add_row(*row.values())
    return table


def _cells(decision: Decision, position: int) -> dict[str, str]:
    one = decision.regimes[position]
    is_reference = one.point is None
    return {
        "regime": f"{one.label}{' (reference)' if is_reference else ''}",
        "trainings": str(len(one.trials)),
        "performance": f"{one.mean:.4f}",
        "90% interval": f"{one.low:.4f} to {one.high:.4f}",
        "kept": "-" if one.kept is None else f"{one.kept:.1%}",
        "probability": "-" if is_reference else probability_text(one.probability),
        "parameters": f"{one.parameters:.1%}",
        "cost": f"{one.cost:.2f}",
        "": _mark(decision, position),
    }


def _mark(decision: Decision, position: int) -> str:
    if position == decision.chosen:
        return "chosen" if decision.decided else "so far"
    return "rival" if position in decision.rivals else ""
