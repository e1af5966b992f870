"""The table of groups of runs on a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mtl_sharing.report.page.table_files import shown
from mtl_sharing.utils.tables import FoldingTable
from mtl_sharing.utils.terminal import results_console, width_of

if TYPE_CHECKING:
    import pandas as pd

_MOST_LINES = 20
# Shown whatever the width.
_MAIN = ("group", "seeds", "performance", "kept %", "kept above floor %", "parameters %", "score",
         "flagged")  # fmt: skip
_TEXTS = ("group", "flagged", "clock")


def groups_contents(comparison: "pd.DataFrame") -> list[object]:
    """The table of the first groups at the terminal's width, and how many others there are."""
    table = groups_table(comparison, width_of(results_console()))
    rest = len(comparison) - _MOST_LINES
    return [table, *[f"and {rest:,} more"] * (rest > 0)]


def groups_table(comparison: "pd.DataFrame", width: int) -> FoldingTable:
    """The first groups of a comparison: the main columns, and more of them where they fit."""
    # Intervals are only on the page.
    ends = [name for name in comparison if str(name).endswith((" low", " high"))]
    cells = shown(comparison.drop(columns=ends).head(_MOST_LINES))
    columns = {str(name): list(cells[name]) for name in cells}
    chosen = [name for name in _MAIN if name in columns]
    for name in columns:
        names = sorted({*chosen, name}, key=list(columns).index)
        if _table(columns, names).width <= width:
            chosen = names
    return _table(columns, sorted(chosen, key=list(columns).index))


def _table(columns: Mapping[str, Sequence[str]], names: Sequence[str]) -> FoldingTable:
    return FoldingTable({name: columns[name] for name in names}, _TEXTS)
