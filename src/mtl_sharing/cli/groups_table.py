"""The table of groups of runs on a terminal."""

from typing import TYPE_CHECKING

from rich import get_console
from rich.table import Table
from rich.text import Text

from mtl_sharing.report.page.table_files import shown
from mtl_sharing.utils.terminal import show

if TYPE_CHECKING:
    import pandas as pd

_MOST_LINES = 20
# Characters; a longer label of a group is folded.
_LABEL_WIDTH = 26
# Shown whatever their width.
_FOLDED = ("group", "flagged")


def show_groups(comparison: "pd.DataFrame") -> None:
    """Prints the first groups, and how many others there are."""
    show(groups_table(comparison, get_console().width))
    if (rest := len(comparison) - _MOST_LINES) > 0:
        show(f"and {rest:,} more")


def groups_table(comparison: "pd.DataFrame", width: int) -> Table:
    """The comparison, with as many columns as fit; the most important are chosen first."""
    # Intervals are only on the page.
    ends = [name for name in comparison if str(name).endswith((" low", " high"))]
    texts = shown(comparison.drop(columns=ends).head(_MOST_LINES))
    names = _fitting(texts, width)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in names:
        if name in _FOLDED:
            table.add_column(Text(name), overflow="fold")
        else:
            table.add_column(Text(name), justify="right", no_wrap=True, overflow="ellipsis")
    for row in texts[names].itertuples(index=False, name=None):
        table.add_row(*(Text(cell) for cell in row))
    return table


def _fitting(texts: "pd.DataFrame", width: int) -> list[str]:
    """The columns that fit beside each other, in the table's order; flags always do."""
    important = (
        *_FOLDED,
        "seeds",
        "performance",
        "kept %",
        "kept above floor %",
        "parameters %",
        "score",
    )
    names = [str(name) for name in texts]
    chosen: list[str] = []
    for name in dict.fromkeys((*(n for n in important if n in names), *names)):
        longest = max(len(name), *texts[name].map(len))
        width -= 2 + (min(longest, _LABEL_WIDTH) if name in _FOLDED else longest)
        if width >= 0 or name in _FOLDED:
            chosen.append(name)
    return sorted(chosen, key=names.index)
