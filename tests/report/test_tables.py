"""The tables of a report: figures by hand, and what is written."""

import io

import numpy as np
import pandas as pd
import pytest

from mtl_sharing.report.analysis import tables, task_tables
from mtl_sharing.report.analysis.values import kept
from mtl_sharing.report.inputs.groups import baseline_of, make_groups
from mtl_sharing.report.inputs.runs import read_runs
from mtl_sharing.report.page.contents import NOTES, make_contents
from mtl_sharing.report.page.table_files import (
    as_csv,
    as_latex,
    as_markdown,
    rounded,
    rounded_p,
    shown,
    write_tables,
)
from mtl_sharing.score.performance import floor_performance

PERFORMANCES = {"I12": {0: 0.8, 1: 0.9, 2: 1.0}, "S6-I6": {0: 0.76, 1: 0.9, 3: 0.1, 4: 0.2}}


@pytest.fixture
def reading(make_run):
    """A baseline and a hybrid that have two seeds in common."""
    for plan, each in PERFORMANCES.items():
        for seed, value in each.items():
            size = {"I12": 1000, "S6-I6": 560}[plan]
            facts = {"performance": value, "params.total": size, "time.epoch_s": 2.0 + seed,
                     "baseline": {"params": {"total": 1000}}, "score": value * 2,
                     "tasks.sst.f1": value / 2}  # fmt: skip
            make_run(f"{plan}/{seed}", plan, seed, result=facts)
    make_run("failed", "S12", result={"status": "failed", "reason": "a | b_c"})
    return read_runs([make_run.top])


def test_the_comparison_is_what_a_person_would_reckon(reading):
    groups = make_groups(reading.runs)
    table = tables.comparison_table(groups).set_index("group")
    base, hybrid = table.loc["I12"], table.loc["S6-I6"]
    values = list(PERFORMANCES["S6-I6"].values())
    assert (base["seeds"], hybrid["seeds"]) == (3, 4)
    assert hybrid["performance"] == pytest.approx(np.mean(values))
    assert hybrid["performance sd"] == pytest.approx(np.std(values, ddof=1))
    # Paired on seeds 0 and 1 alone: 95% and 100%; two values have no interval.
    assert hybrid["kept %"] == pytest.approx(97.5)
    assert hybrid["kept % sd"] == pytest.approx(np.std([95, 100], ddof=1))
    assert pd.isna(hybrid.get("kept % low"))
    # Held against themselves they have no spread.
    assert base["kept %"] == 100 and pd.isna(base["kept % sd"]) and pd.isna(base.get("kept % low"))
    floor = floor_performance(reading.runs[0].result["tasks"], "unit")
    above = [(0.76 - floor) / (0.8 - floor), 1.0]
    assert hybrid["kept above floor %"] == pytest.approx(100 * np.mean(above))
    assert (base["kept above floor %"], base["floor"]) == (100, pytest.approx(floor))
    assert (hybrid["parameters"], hybrid["parameters %"]) == (560, pytest.approx(56))
    assert hybrid["score"] == pytest.approx(2 * np.mean(values))
    value = reading.runs[0].result["tasks"]["sst"]["value"]
    assert hybrid["sst accuracy"] == value and hybrid["sst accuracy sd"] == 0


def test_what_a_narrow_page_shows_comes_first(reading):
    groups = make_groups(reading.runs)
    columns = list(shown(tables.comparison_table(groups)))
    first = ["group", "seeds", "performance", "floor", "kept %", "kept above floor %",
             "parameters %", "score"]  # fmt: skip
    assert columns[:8] == first
    columns = list(shown(contents_of(reading).tables["tests"]))
    assert columns[:6] == ["group", "against", "figure", "difference", "p", "p (Holm)"]


def test_a_repeated_seed_counts_once(make_run):
    for name, seed, value in (("a", 0, 0.2), ("b", 0, 0.4), ("c", 1, 0.6)):
        make_run(name, seed=seed, result={"performance": value})
    reading = read_runs([make_run.top])
    groups = make_groups(reading.runs)
    row = tables.comparison_table(groups).iloc[0]
    assert (row["seeds"], row["performance"]) == (2, pytest.approx(0.45))
    told = tables.left_out_table(reading, groups).to_numpy().tolist()
    assert told == [["I12", "2 runs of seed 0 count once: a, b"]]


def test_raw_correlations_are_kept_where_the_score_counts_them(make_run):
    raw = {"scored_by.pearson": "raw", "performance": 0.5}
    make_run("base", result=raw | {"performance_raw_r": 0.8})
    make_run("shared", "S12", result=raw | {"performance_raw_r": 0.4})
    groups = make_groups(read_runs([make_run.top]).runs)
    assert kept(groups[1], groups[0]).mean == pytest.approx(0.5)


def test_without_a_baseline_the_results_own_share_counts(make_run):
    make_run("a", "S12", result={"kept": 0.98})
    make_run("b", "S12", seed=1, result={"kept": 1.0})
    groups = make_groups(read_runs([make_run.top]).runs)
    assert baseline_of(groups[0], groups) is None
    assert kept(groups[0], None).mean == pytest.approx(0.99)


def test_changes_are_paired_or_the_runs_own(reading, make_run):
    groups = make_groups(reading.runs)
    table = task_tables.class_table(groups).set_index(["group", "task", "figure"])
    row = table.loc[("S6-I6", "sst", "f1")]
    assert row["value"] == pytest.approx(0.245)
    assert row["against separate %"] == pytest.approx((-5 + 0) / 2)
    assert pd.isna(table.loc[("I12", "sst", "f1"), "against separate %"])
    own = {"against": {"separate": {"sst": {"f1": 7.0}}, "untuned": {"sst": {"f1": 50.0}}}}
    make_run("own", "S9-I3", result=own)
    groups = make_groups(read_runs([make_run.top]).runs)
    table = task_tables.class_table(groups).set_index(["group", "task", "figure"])
    row = table.loc[("S9-I3", "sst", "f1")]
    assert (row["against separate %"], row["against untuned %"]) == (7.0, 50.0)
    assert pd.isna(table.loc[("S6-I6", "sst", "f1"), "against untuned %"])


def test_a_figure_of_0_has_no_change(make_run):
    make_run("base", result={"tasks.sst.f1": 0.0, "tasks.sts.pearson": -0.2})
    make_run("shared", "S12", result={"tasks.sst.f1": 0.5, "tasks.sts.pearson": 0.1})
    table = task_tables.class_table(make_groups(read_runs([make_run.top]).runs))
    rows = table[table["group"] == "S12"].set_index(["task", "figure"])["against separate %"]
    assert pd.isna(rows["sst", "f1"])
    assert rows["sts", "pearson"] == pytest.approx(150)


def test_costs_and_classes_come_from_the_results(reading):
    groups = make_groups(reading.runs)
    cost = tables.cost_table(groups).set_index("group")
    assert cost.loc["I12", "s/epoch"] == 3.0 and cost.loc["I12", "s/epoch sd"] == 1.0
    run = groups[0].runs[0]
    size = run.result["memory"]["model_bytes"]
    assert cost.loc["I12", "model MB"] == pytest.approx(size / 1e6)
    classes = task_tables.by_class_table(groups)
    assert len(classes) == 2 * (5 + 2)  # nobody asked for classes of the regression
    one = classes[(classes["task"] == "quora") & (classes["class"] == "1")].iloc[0]
    assert one["recall"] == run.result["tasks"]["quora"]["by_class"]["1"]["recall"]


def test_every_run_is_listed(reading):
    groups = make_groups(reading.runs)
    table = tables.runs_table(reading.runs, groups).set_index("run")
    assert len(table) == 8
    assert table.loc["failed", "status"] == "failed" and table.loc["failed", "why"] == "a | b_c"
    assert table.loc["S6-I6/3", "group"] == "S6-I6"
    told = tables.left_out_table(reading, groups).to_numpy().tolist()
    assert told == [["failed", "failed: a | b_c"]]


def contents_of(collection):
    groups = make_groups(collection.runs)
    return make_contents(collection, groups, groups)


def test_every_table_is_written_with_all_digits_and_in_the_same_bytes_again(reading, tmp_path):
    contents = contents_of(reading)
    tables = contents.tables | {"left_out": contents.left_out()}
    assert list(tables) == [
        "answer", "comparison", "tasks", "apart", "tests", "precision_recall_f1", "classes", "cost",
        "runs", "confusion", "examples", "parting_examples", "left_out",
    ]  # fmt: skip
    assert list(NOTES) == list(tables) and all(NOTES.values())
    out = tmp_path / "out"
    write_tables(out, tables)
    paths = {out / f"{name}.{kind}" for name in tables for kind in ("csv", "md", "tex")}
    assert set(out.iterdir()) == paths
    for name, table in tables.items():
        again = pd.read_csv(out / f"{name}.csv")
        numbers = table.select_dtypes("number").astype(float)
        pd.testing.assert_frame_equal(again[list(numbers)].astype(float), numbers, rtol=1e-15)
    first = {path: path.read_bytes() for path in paths}
    contents = contents_of(read_runs([reading.runs[0].folder.parents[1]]))
    write_tables(out, contents.tables | {"left_out": contents.left_out()})
    assert first == {path: path.read_bytes() for path in paths}


def test_a_failed_write_leaves_nothing_under_a_final_name(tmp_path, monkeypatch):
    def full(path, text, encoding):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="No space"):
        write_tables(tmp_path / "out", {"a": pd.DataFrame({"x": [1]})})
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("value", "spread", "text"),
    [
        (0.87654, 0.0042, "0.8765"), (0.87654, 0.042, "0.877"), (99.6123, 0.41, "99.61"),
        (12.5, 30.0, "12"), (0.5, 0.0, "0.5000"), (123.456, 0.0, "123.5"), (943431, 0.0, "943,431"),
        (1234567.0, 0.0, "1,234,567"), (0.00001, 0.0, "0.0000"), (0.0, 0.0, "0"),
        (-2.345, 0.1, "-2.35"), (-0.004, 0.3, "0.00"),
    ],
)  # fmt: skip
def test_numbers_are_rounded_to_their_spread(value, spread, text):
    assert rounded(value, spread) == text


def test_p_values_are_never_0():
    assert [rounded_p(p) for p in (0.0496, 0.001, 0.00099)] == ["0.050", "0.001", "<0.001"]


ODD = pd.DataFrame({
    "group": ["S6_I6 & 50% | x\ny", "$#{}~^\\<"],
    "kept %": [99.6123, 3.0], "kept % sd": [0.41, None],
    "kept % low": [99.2, None], "kept % high": [100.0, None], "p": [0.0001, None],
})  # fmt: skip


def test_tables_are_shown_with_their_spread():
    assert shown(ODD).to_dict("records") == [
        {"group": "S6_I6 & 50% | x\ny", "kept %": "99.61 ± 0.41 [99.20, 100.00]", "p": "<0.001"},
        {"group": "$#{}~^\\<", "kept %": "3.000", "p": ""},
    ]
    assert as_csv(ODD).splitlines()[0] == "group,kept %,kept % sd,kept % low,kept % high,p"
    assert pd.read_csv(io.StringIO(as_csv(ODD)))["kept %"].tolist() == [99.6123, 3.0]


def test_markdown_and_latex_escape_what_is_theirs():
    lines = as_markdown(ODD).splitlines()
    assert lines[:2] == ["| group | kept % | p |", "| --- | ---: | ---: |"]
    assert lines[2] == r"| S6_I6 & 50% \| x y | 99.61 ± 0.41 [99.20, 100.00] | <0.001 |"
    lines = as_latex(ODD).splitlines()
    assert lines[0] == r"\begin{tabular}{lrr}" and lines[-1] == r"\end{tabular}"
    assert lines[2] == r"group & kept \% & p \\"
    assert lines[4].startswith(r"S6\_I6 \& 50\% \textbar{} x y & 99.61 $\pm$ 0.41 [")
    assert lines[5].startswith(
        r"\$\#\{\}\textasciitilde \textasciicircum \textbackslash \textless{} &"
    )


HOSTILE = "<img src=x onerror=alert(1)> [a](http://x.org) | `b` \\| &lt; www.x.org *i*\r# x\x1b[2J"


def test_no_text_is_markup_in_markdown_or_latex():
    table = pd.DataFrame({HOSTILE: [HOSTILE, "plain_name"], "value": [1.0, 2.0]})
    lines = as_markdown(table).splitlines()
    assert len(lines) == 4
    hostile = (
        r"&lt;img src=x onerror=alert(1)> [a]\(http:\//x.org) \| \`b\` \\\| &amp;lt; www\.x.org"
        r" \*i\* # x\\x1b[2J"
    )
    assert lines[0] == f"| {hostile} | value |"
    assert lines[2] == f"| {hostile} | 1.000 |" and lines[3] == "| plain_name | 2.000 |"
    latex = as_latex(table)
    assert "\x1b" not in latex and len(latex.splitlines()) == 8
    assert latex.count(r"\& lt; ") + latex.count(r"\&lt; ") == 2
