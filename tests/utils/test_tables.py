"""A table of any width keeps every cell whole."""

import io

import pytest
from rich.console import Console

from mtl_sharing.utils.tables import FoldingTable, table_of
from mtl_sharing.utils.terminal import show

ROWS = [
    {"group": "S6-I6  sampler=annealed start=0.3", "seeds": "5", "performance": "0.7581 ± 0.0493",
     "kept above floor %": "89.3 ± 9.9", "parameters": "1,624,135", "flagged": ""},
    {"group": "I12", "seeds": "12", "performance": "0.7980 ± 0.0200",
     "kept above floor %": "100.0", "parameters": "943,431",
     "flagged": "sst, quora at or below a constant answer"},
]  # fmt: skip
TABLE = table_of(ROWS, ("group", "flagged"))


def printed(table, width):
    stream = io.StringIO()
    show(table, Console(file=stream, width=width, force_terminal=True, color_system=None))
    return stream.getvalue()


@pytest.mark.parametrize("width", [30, 45, 60, 80, 120, 200])
def test_nothing_is_cut_at_any_width(width):
    out = printed(TABLE, width)
    assert "…" not in out and max(map(len, out.splitlines())) <= width
    words = {word for row in ROWS for word in " ".join(row.values()).split()}
    numbers = {word for word in words if word[0].isdigit()}
    assert numbers <= set(out.split())
    joined = "".join(out.split())
    assert all("".join(header.split()) in joined for header in ("seeds", "performance", "flagged"))
    blocks = out.split("\n\n")
    assert (len(blocks) > 1) == (width < 120)
    assert all("group" in block and "I12" in block for block in blocks)


def test_a_table_that_fits_is_one_block_with_whole_headers():
    head, *rows = printed(TABLE, TABLE.width).splitlines()
    assert len(rows) == len(ROWS) and "kept above floor %" in head
    assert len(printed(TABLE, TABLE.width - 1).splitlines()) > 1 + len(rows)


def test_a_heading_stands_above_and_a_column_may_have_no_name():
    table = FoldingTable({"regime": ["S2"], "": ["chosen"]}, ("regime", ""), heading="on dev:")
    assert printed(table, 60).splitlines() == ["on dev:", "regime        ", "S2      chosen"]
