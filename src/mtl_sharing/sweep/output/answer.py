"""The table of a search's answer."""

from mtl_sharing.run_folder.decision import Decision, probability_text
from mtl_sharing.utils.tables import FoldingTable, table_of


def answer_table(decision: Decision, heading: str = "") -> FoldingTable:
    """A row for separate models and for each regime that was trained or is in doubt."""
    rows = [_cells(decision, position) for position in decision.shown()]
    return table_of(rows, ("regime", ""), heading=heading)


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
