"""The page by itself: everything is escaped, tables are cut and say so, nothing is loaded."""

import base64
import hashlib
import json
import os
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from mtl_sharing.report.build import write_report
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.report.inputs.sweeps import read_sweep_histories
from mtl_sharing.report.page.page import (
    Cell,
    FigureView,
    Grid,
    Page,
    Section,
    Sentences,
    TableView,
    cut,
    render,
    table_view,
)
from report_pages import NASTY, Reader


def page_of(*sections: Section, title: str = "Title") -> Page:
    return Page(title, (("read", NASTY),), sections, ("csv",))


def nasty_page() -> Page:
    frame = pd.DataFrame({"text": [NASTY] * 3, "error": [1.0, 2.0, 3.0]})
    table = table_view(frame, NASTY, "examples")
    matrix = TableView(NASTY, (Cell("label"), Cell(NASTY)), ((Cell(NASTY), Cell("3", shade=1)),), 1)
    figure = FigureView("one", {"svg": b"<svg/>"}, NASTY, NASTY)
    blocks = (table, Grid((matrix,), NASTY), figure, Sentences((NASTY,)))
    return page_of(Section("nasty", NASTY, blocks, NASTY), title=NASTY)


def test_what_stands_in_a_text_is_shown_and_never_interpreted():
    reader = Reader(render(nasty_page()))
    assert len(reader.all("script")) == 1 and reader.all("script")[0] == {}
    assert [image["src"][:26] for image in reader.all("img")] == ["data:image/svg+xml;base64,"]
    assert reader.all("img")[0]["alt"] == NASTY
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    # Title twice, heading, intro, contents, fact, three cells, captions, ...
    assert sum(NASTY in text for text in reader.texts) >= 12


def test_the_page_loads_nothing_and_its_policy_knows_its_own_script_alone():
    html = render(nasty_page())
    reader = Reader(html)
    assert not reader.all("link") and not reader.all("iframe")
    assert "http" not in re.sub(r"http-equiv", "", html)
    assert "url(" not in html and "@import" not in html
    policy = next(m["content"] for m in reader.all("meta") if "http-equiv" in m)
    (script,) = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy and "default-src 'none'" in policy


def test_a_long_table_is_cut_and_says_so():
    frame = pd.DataFrame({"run": [f"run {n}" for n in range(1234)]})
    view = table_view(frame, "Runs.", "runs", 5)
    assert view.cut == 1229
    text = " ".join(" ".join(Reader(render(page_of(Section("s", "S", (view,))))).texts).split())
    assert "The first 5 of 1,234 rows; the csv file has all." in text
    alone = render(Page("Title", (), (Section("s", "S", (view,)),)))
    assert "The first 5 of 1,234 rows.</strong>" in alone
    whole = table_view(frame.head(5), "Runs.", "runs", 5)
    assert "The first" not in render(page_of(Section("s", "S", (whole,))))


def test_a_label_is_said_once_for_rows_below_each_other():
    frame = pd.DataFrame({"group": ["a", "a", "b", "b"], "task": ["x", "x", "x", "y"],
                          "value": [1.5, 0.25, float("nan"), 4.0]})  # fmt: skip
    view = table_view(frame, "", "t")
    assert [[cell.same for cell in row] for row in view.rows] == [
        [False, False, False], [True, True, False], [False, False, False], [True, False, False]
    ]  # fmt: skip
    assert [row[2].order for row in view.rows] == ["1.5", "0.25", "", "4.0"]
    assert [cell.number for cell in view.rows[0]] == [False, False, True]


def test_a_very_long_text_is_cut_and_says_by_how_much():
    assert cut("a" * 700) == "a" * 700
    assert cut("ab" * 1000, 700) == "ab" * 350 + " … (1,300 more characters)"


def test_sections_stand_in_the_contents():
    html = render(page_of(Section("one", "One", ()), Section("two", "Two & more", ())))
    links = [link["href"] for link in Reader(html).all("a")]
    ids = {section["id"] for section in Reader(html).all("section")}
    assert links == ["#one", "#two"] and ids == {"answer", "one", "two"}


def test_names_of_others_are_never_interpreted(real_runs, tmp_path, without_drawing):
    """Of folders, sweeps, tasks, metrics, regimes, and reasons of failures."""
    nasty = "<img src=x onerror=alert(2)>"
    for name in (f"a{nasty}", f"sweep{nasty}/0", f"sweep{nasty}/1", f"lost{nasty}"):
        folder = Path(shutil.copytree(real_runs / "single", tmp_path / "runs" / name))
        (folder / "manifest.json").unlink(missing_ok=True)
        result = json.loads((folder / "result.json").read_text())
        result["tasks"] = {nasty if n == "sst" else n: t for n, t in result["tasks"].items()}
        result["tasks"][nasty]["metric"] = f"metric{nasty}"
        result |= {"regime": f"regime{nasty}", "plan": f"plan{nasty}"}
        if name.startswith("lost"):
            result |= {"status": "failed", "reason": f"reason{nasty}"}
        (folder / "result.json").write_text(json.dumps(result))
    rows = f"trial,state,regime,split,objective/keep,same_as,reason\n0,COMPLETE,{nasty},6,1.5,,\n"
    rows += f"1,PRUNED,{nasty},6,,,why{nasty}\n"
    (tmp_path / "runs" / f"sweep{nasty}" / "sweep.csv").write_text(rows)
    out = tmp_path / "report"
    write_report([tmp_path / "runs"], out, formats=["html", "csv", "md", "tex"])
    reader = Reader((out / "report.html").read_text())
    assert all(image["src"].startswith("data:") for image in reader.all("img"))
    assert not any(name.startswith("on") for _, attributes in reader.tags for name in attributes)
    text = " ".join(reader.texts)
    for place in ("a", "sweep", "lost", "reason"):
        assert f"{place}{nasty}" in text, place
    for table in (out / "tables").glob("*.md"):
        assert "<img" not in table.read_text(), table


@pytest.mark.parametrize(("row", "reason"), [
    ("1,COMPLETE,1e308,,", "objective/keep 1e+308, where a number is expected"),
    ("1,COMPLETE,inf,,", "objective/keep inf, where a number is expected"),
    ("1,COMPLETE,foo,,", "objective/keep foo, where a number is expected"),
    ("a,COMPLETE,1.5,,", "trial a, where a number is expected"),
])  # fmt: skip
def test_a_sweeps_table_without_numbers_is_left_out(tmp_path, row, reason):
    (tmp_path / "sweep" / "0").mkdir(parents=True)
    (tmp_path / "sweep" / "study.db").touch()
    header = "trial,state,objective/keep,same_as,reason"
    (tmp_path / "sweep" / "sweep.csv").write_text(f"{header}\n0,COMPLETE,1.5,,\n{row}\n")
    run = Run(tmp_path / "sweep" / "0", "sweep/0", "sweep", 0, "finished")
    histories, omissions = read_sweep_histories([run])
    assert not histories and omissions == [("history of sweep", f"sweep.csv: {reason}")]


def test_a_pipe_for_a_sweeps_table_is_left_out(tmp_path):
    (tmp_path / "sweep" / "0").mkdir(parents=True)
    os.mkfifo(tmp_path / "sweep" / "sweep.csv")
    (tmp_path / "sweep" / "study.db").touch()
    run = Run(tmp_path / "sweep" / "0", "sweep/0", "sweep", 0, "finished")
    histories, omissions = read_sweep_histories([run])
    assert not histories
    assert omissions == [("history of sweep", "sweep.csv: " + omissions[0][1].partition(": ")[2])]
    assert "found a pipe" in omissions[0][1]
