"""What ``mtl-report`` prints beside its files."""

import io
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console

from mtl_sharing.cli import report
from mtl_sharing.cli.groups_table import groups_table
from mtl_sharing.report.build import Written
from mtl_sharing.utils.summary import print_summary

FLAG = "sst at or below a constant answer"


def written(count: int, file: Path | None = Path("report/tables/comparison.csv")) -> Written:
    """A report of some groups, each with a note."""
    rows = [
        {"group": f"S{n}", "seeds": 1, "performance": 0.5, "kept %": 90.0, "score": 1.5,
         "clock": "measured on a machine", "flagged": FLAG if n == 1 else None}
        for n in range(count)
    ]  # fmt: skip
    notes = [f"note {n}" for n in range(count)]
    answer, paths = ["Take S0.", "Surely."], (Path("report/tables"),)
    return Written(pd.DataFrame(rows), answer, notes, paths, file)


@pytest.mark.parametrize(("file", "where"), [
    (Path("report/tables/comparison.csv"), "report/tables/comparison.csv"),
    (None, "not written: see --formats"),
])  # fmt: skip
def test_what_is_cut_is_counted_and_said_where_it_stands(capsys, file, where):
    print_summary(report._summary(written(23, file)))
    out = capsys.readouterr().out
    assert "note 19\nand 3 more; the clocks of all groups are in the comparison" in out
    assert out.count(f"({where})") == 1 and "note 20" not in out
    assert out.startswith("Take S0.\n\nSurely.\n\ngroup")


def test_nothing_is_said_where_nothing_is_cut(capsys):
    print_summary(report._summary(written(20)))
    assert "more" not in capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_a_flag_is_shown_at_every_width(width):
    stream = io.StringIO()
    table = groups_table(written(3).comparison, width)
    Console(file=stream, width=width).print(table)
    out = stream.getvalue()
    assert "flagged" in out and "constant" in out
    assert ("measured on" in out) == (width == 200)
