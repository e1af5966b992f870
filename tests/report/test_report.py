"""``mtl-report`` over real runs and what became of others."""

import csv
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from mtl_sharing.cli.report import main
from mtl_sharing.errors import UserError
from mtl_sharing.plotting.style import NAMED
from mtl_sharing.report.build import write_report
from mtl_sharing.report.page.folder import check_folder
from mtl_sharing.report.page.sections import MOST_LONG_ROWS, MOST_NOTES
from mtl_sharing.run_folder.decision_file import write_decision
from report_pages import NASTY, Reader
from search_reports import decision


@pytest.fixture
def mtl_report(monkeypatch, capsys):
    """``mtl-report`` with the given words: its exit code, what it printed and its errors."""

    def call(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["mtl-report", *map(str, words)])
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


def test_the_page_has_every_section_that_has_something_to_show(written):
    html = (written / "report.html").read_text()
    reader = Reader(html)
    names = [section["id"] for section in reader.all("section")]
    assert names == [
        "answer", "tests", "tasks", "split", "curves", "gradients", "classes", "confusion",
        "examples", "cost", "sweeps", "settings", "comparison", "runs", "left_out",
    ]  # fmt: skip
    # The first screen is open; everything else is folded, with its anchor inside the fold.
    folds = [tag for tag, _ in reader.tags if tag in ("details", "section")]
    assert folds == ["section", *["details", "section"] * (len(names) - 1)]
    assert not any("open" in fold for fold in reader.all("details"))
    text = " ".join(" ".join(reader.texts).split())
    # Sections without anything to show, with the reason.
    assert "Section “Sampling schedules”: no two runs drew their tasks by size" in text
    assert "4 runs: 3 finished, 1 failed" in text
    assert text.count(NASTY) > 3 and "<script>alert" not in html
    assert len(html) < 3_000_000


def test_tables_and_figures_lie_beside_the_page(written):
    kinds = {path.suffix for path in (written / "tables").iterdir()}
    assert kinds == {".csv", ".md", ".tex"}
    names = {path.stem for path in (written / "figures").iterdir()}
    assert names == {
        "trade_off", "splits_4_layers", "curves_metrics", "curves_losses",
        "curves_training_losses", "cosines", "sweep_0",
    }  # fmt: skip
    reader = Reader((written / "report.html").read_text())
    assert len(reader.all("img")) == len(names) and all(i["alt"] for i in reader.all("img"))
    for link in reader.all("a"):
        target = str(link["href"])
        assert target.startswith("#") or (written / target).is_file()
    rows = list(csv.DictReader((written / "tables" / "comparison.csv").read_text().splitlines()))
    assert [row["group"].split()[0] for row in rows] == ["I4", "S2-I2"]
    assert [int(row["seeds"]) for row in rows] == [1, 2]


@pytest.mark.slow
def test_a_second_report_is_the_same_and_a_third_of_less_leaves_nothing_of_it(
    real_runs, written, tmp_path
):
    out = tmp_path / "out"
    write_report([written.parent], out, formats=["csv", "md", "svg"])
    for folder, kinds in (("figures", {".svg"}), ("tables", {".csv", ".md"})):
        again = {path.name: path.read_bytes() for path in (out / folder).iterdir()}
        first = {p.name: p.read_bytes() for p in (written / folder).iterdir() if p.suffix in kinds}
        assert again == first
    (out / "tables" / "mine.csv").write_text("")
    (out / "figures" / "mine.svg").write_text("")
    write_report([real_runs / "single"], out, formats=["csv", "svg"])
    left = {path.name for path in (out / "tables").iterdir()}
    assert {"mine.csv", "tests.md", "comparison.csv"} <= left and "tests.csv" not in left
    left = {path.name for path in (out / "figures").iterdir()}
    assert {"mine.svg", "trade_off.svg"} <= left and not {"cosines.svg", "sweep_0.svg"} & left


def test_a_sweep_is_told_with_its_states(written):
    text = " ".join(Reader((written / "report.html").read_text()).texts)
    assert "5 trials, 2 complete, 1 pruned, 1 equal to an earlier one, 1 failed." in text
    assert "1 trial pruned: behind" in text


@pytest.mark.usefixtures("without_drawing")
def test_a_search_is_told_with_its_answer_and_curve(real_runs, tmp_path):
    runs = tmp_path / "runs"
    shutil.copytree(real_runs / "single", runs / "0")
    (runs / "sweep.csv").write_text("trial,state,regime,objective/keep,same_as,reason\n"
                                    "0,COMPLETE,I12,1.0,,\n")  # fmt: skip
    write_decision(runs, decision())
    write_report([runs], tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    text = " ".join(" ".join(Reader(page).texts).split())
    assert f"Answer: {decision().sentence}." in text
    assert "The chosen regime on dev: performance 0.8710" in text
    assert "performance as 8 trainings estimate it" in text
    figures = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    assert "sweep_0_answer" in figures and "sweep_0" not in figures
    (runs / "decision.json").write_text("{}")
    write_report([runs], tmp_path / "report", formats=["csv", "svg"])
    table = pd.read_csv(tmp_path / "report" / "tables" / "left_out.csv")
    (row,) = table[table["what"].str.startswith("answer of")].to_dict("records")
    assert "decision.json" in row["why"] and "schema None" in row["why"]
    figures = {path.stem for path in (tmp_path / "report" / "figures").iterdir()}
    assert "sweep_0" in figures and "sweep_0_answer" not in figures


@pytest.mark.usefixtures("without_drawing")
def test_the_terminal_shows_the_answer_groups_and_places(
    written, mtl_report, tmp_path, monkeypatch
):
    out = tmp_path / "here"
    runs = written.parent
    words = (runs / "single", runs / "several", "--out", out, "--formats", "html,csv,svg")
    code, printed, errors = mtl_report(*words)
    assert (code, errors.strip()) == (0, "")
    lines = printed.splitlines()
    assert lines[0].startswith("No answer: nothing here learned all tasks (")
    assert any(line.split()[:2] == ["group", "seeds"] for line in lines)
    places = [line.removeprefix("report").strip() for line in lines[-3:]]
    assert places == [str(out / name) for name in ("report.html", "tables", "figures")]
    # An earlier report is replaced, here by one of another form, and opened where there is a page.
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)))
    code, printed, _ = mtl_report(runs / "single", "--out", out, "--formats", "html", "--open")
    assert code == 0 and opened == [(out / "report.html").as_uri()]
    assert f"no browser was found: open {out / 'report.html'} in one" in printed


def test_mistakes_are_told_and_nothing_is_written(written, mtl_report, tmp_path):
    single, lost = written.parent / "single", written.parent / "lost"
    empty, file, out = tmp_path / "empty", tmp_path / "file", tmp_path / "out"
    empty.mkdir()
    file.write_text("mine")
    for words, where, found in (
        ([empty], str(empty), "no run"),
        ([tmp_path / "none"], "none", "nothing"),
        ([lost], str(lost), "1 run: 1 failed"),
        ([single, "--formats", "html,doc"], "--formats", "doc"),
        ([single, "--out", file], "--out", "a file"),
        ([single, "--out", file / "below"], str(file), "Not a directory"),
        ([single, "--out", written.parent], "--out", "a folder with "),
        ([single, "--open", "--formats", "csv"], "--open", "--formats csv"),
    ):
        code, printed, errors = mtl_report("--out", out, *words)
        assert (code, printed) == (2, ""), errors
        assert errors.startswith("mtl-report: ") and "Traceback" not in errors
        assert where in errors and found in errors
        assert errors.count("\n") == 1
    assert not out.exists() and file.read_text() == "mine"


OTHERS = {
    "a user's file": {"notes.txt": "mine"},
    "a page of another program": {"report.html": "<p>mine</p>", "tables/comparison.csv": "a"},
    "folders of the same names": {"tables/mine.csv": "a", "figures/mine.svg": "b"},
}
EARLIER = {
    "nothing": {},
    "a page": {"report.html": '<meta name="generator" content="mtl-sharing">', "notes.txt": "a"},
    "a page of an older version": {"report.html": "<dd>now, by mtl-sharing 0.1.0</dd>"},
    "tables alone": {"tables/comparison.csv": "a", "figures/trade_off.svg": "b"},
}


@pytest.mark.parametrize("files", [*OTHERS.values(), *EARLIER.values()], ids=[*OTHERS, *EARLIER])
def test_a_folder_with_something_else_than_a_report_is_refused(tmp_path, files):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    if files in EARLIER.values():
        check_folder(tmp_path)
        return
    with pytest.raises(UserError, match=r"a folder with .*an earlier report"):
        check_folder(tmp_path)


@pytest.mark.usefixtures("without_drawing")
def test_a_full_disk_leaves_no_half_file(written, mtl_report, monkeypatch, tmp_path):
    out = tmp_path / "full"

    def full(self, text, **options):
        if "report.html" in self.name:
            Path.write_bytes(self, text[:10].encode())
            raise OSError(28, "No space left on device", str(self))
        return Path.write_bytes(self, text.encode())

    monkeypatch.setattr(Path, "write_text", full)
    words = (written.parent / "single", "--out", out, "--formats", "html,csv")
    code, _, errors = mtl_report(*words)
    assert code == 2 and "No space left" in errors
    assert {path.name for path in out.iterdir()} == {"tables"}


def test_one_run_is_a_report_of_the_formats_that_are_asked_for(real_runs, mtl_report, tmp_path):
    out = tmp_path / "one"
    code, printed, _ = mtl_report(real_runs / "single", "--out", out, "--formats", "html,md,png")
    assert code == 0 and printed.startswith("Only separate models are here")
    assert {p.suffix for p in out.rglob("*") if p.is_file()} == {".html", ".md", ".png"}
    summary = (out / "report.md").read_text()
    assert "**Only separate models are here" in summary and len(summary) < 2500
    assert "| I4 | 1 | " in summary and "`report.html`, `tables`, `figures`" in summary
    text = " ".join(Reader((out / "report.html").read_text()).texts)
    assert "no two groups to compare" in text and "1 group, 1 run." in text


@pytest.mark.usefixtures("without_drawing")
def test_many_groups_are_cut_on_the_page_alone(make_run, tmp_path):
    count = 20
    for number in range(count):
        make_run(f"run{number}", plan=f"S{number % 3 + 1}-I{3 - number % 3}",
                 settings={"optimizer.lr": 1e-5 * (number + 1)},
                 result={"performance": 0.5 + number / 1000})  # fmt: skip
    out = tmp_path / "many"
    write_report([tmp_path / "runs"], out, formats=["html", "csv"])
    reader = Reader((out / "report.html").read_text())
    text = " ".join(" ".join(reader.texts).split())
    assert f"The first {MOST_LONG_ROWS} of {7 * count} rows; the csv file has all." in text
    left = 7 * count - MOST_LONG_ROWS
    assert f"{left} of {7 * count} rows of “Precision, recall and F1”: the table's file" in text
    assert f"{count - NAMED} groups drawn in grey" in text
    assert f"{count - NAMED} more groups in the table's file and in “All numbers”." in text
    assert len((out / "tables" / "comparison.csv").read_text().splitlines()) == count + 1
    assert (out / "report.html").stat().st_size < 4_000_000


@pytest.mark.usefixtures("without_drawing")
def test_notes_that_the_page_leaves_out_are_counted(make_run, tmp_path):
    for plan in (f"S{n}-I{20 - n}" for n in range(1, MOST_NOTES + 3)):
        make_run(plan, plan, result={"scored_by.clock": "measured", "score": 1.0})
    write_report([tmp_path / "runs"], tmp_path / "out", formats=["html"])
    page = (tmp_path / "out" / "report.html").read_text()
    # One more note says what sets the groups apart.
    assert "… and 3 more notes: see clock in “All numbers”." in page


@pytest.mark.usefixtures("without_drawing")
def test_better_separate_models_part_from_the_best_of_the_others(make_run, tmp_path):
    def answered(shift):
        def answers(table):
            sst = table["task"] == "sst"
            return table.assign(prediction=table["prediction"].mask(
                sst, (table["label"] + shift) % 5))  # fmt: skip

        return answers

    make_run("I12", result={"performance": 0.9}, answers=answered(0))
    make_run("S12", "S12", result={"performance": 0.6}, answers=answered(1))
    make_run("S6-I6", "S6-I6", result={"performance": 0.5}, answers=answered(2))
    write_report([make_run.top], tmp_path / "out", formats=["html", "csv"])
    text = (tmp_path / "out" / "tables" / "parting_examples.csv").read_text()
    rows = list(csv.DictReader(text.splitlines()))
    assert rows and {(row["group"], row["task"]) for row in rows} == {("I12", "sst")}
    wrong = {(float(row["prediction of S12"]) - float(row["label"])) % 5 for row in rows}
    assert wrong == {1.0}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Wrong by S12, and right by separate models in more seeds" in page


@pytest.mark.usefixtures("without_drawing")
def test_confusions_begin_with_the_best_group_and_its_baseline(make_run, tmp_path):
    for plan, value in (("I12", 0.6), ("S6-I6", 0.5), ("S12", 0.9)):
        make_run(plan, plan, result={"performance": value})
    write_report([make_run.top], tmp_path / "out", formats=["html"])
    text = (tmp_path / "out" / "report.html").read_text().partition('id="confusion"')[2]
    places = [text.index(f"sst, {plan} (1 seed)") for plan in ("S12", "I12", "S6-I6")]
    assert places == sorted(places)


@pytest.mark.slow
def test_two_hundred_runs_are_reported_in_twenty_seconds_of_a_core(make_run, tmp_path):
    for number in range(200):
        group = number // 5
        make_run(f"run{number}", plan=f"S{group % 3 + 1}-I{3 - group % 3}", seed=number % 5,
                 settings={"optimizer.lr": 1e-5 * (group + 1)})  # fmt: skip
    begin = time.process_time()
    write_report([tmp_path / "runs"], tmp_path / "report")
    # Not the clock on the wall, which others on the machine disturb.
    assert time.process_time() - begin < 20
    assert (tmp_path / "report" / "report.html").stat().st_size < 4_000_000


def test_help_is_fast_and_needs_nothing_heavy():
    check = (
        "import sys; from mtl_sharing.cli import report; report.make_parser().format_help();"
        "heavy = {'torch', 'pandas', 'scipy', 'matplotlib', 'jinja2', 'optuna', 'numpy'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
