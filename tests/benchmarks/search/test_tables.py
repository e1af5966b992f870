"""Truth tables: reading, writing, building."""

import pytest

from benchmarks.search import command
from benchmarks.search.build import Builder, TrainingFailed, made_with, only_builder, open_table
from benchmarks.search.options import parser
from benchmarks.search.strategies import Options
from benchmarks.search.suites import SUITES, Suite
from benchmarks.search.tables import TruthTable, measured_source, missing_cells, read_table
from mtl_sharing.errors import UserError


def test_a_table_is_read_as_written(table):
    table.write()
    assert read_table(table.path) == table
    assert table.path.read_text().startswith("# suite=small\nsplit,seed,percent,performance,dev,")


def test_a_partial_table_names_itself(table, suite):
    assert measured_source(table, suite).title == "small, 2 seeds"
    wider = Suite("small", (), layers=3, seeds=5)
    table.trained[1, 4] = table.trained[1, 0]
    assert measured_source(table, wider).title == (
        "small, partial: 2 of 5 seeds (trainings of others: 1)"
    )
    del table.trained[2, 1]
    with pytest.raises(UserError, match="found 1 seeds with all 4 splits; allowed: 2 or more"):
        measured_source(table, suite)


@pytest.mark.parametrize(
    ("line", "text", "message"),
    [
        (1, "split,seed", r"csv:1: found 'split,seed'; allowed: # and the table's settings"),
        (2, "split,seed", r"csv:2: found 'split,seed'; allowed: split,seed,percent"),
        (4, "0,0,100,high,,,,,,,", r"csv:4, performance: found 'high'; allowed: a finite"),
        (5, "0,0,end,nan,1,1,1,1,1,1,1", r"csv:5, performance: found 'nan'"),
        (5, "0,0,end", r"csv:5: found 3 values; allowed: 11 values"),
        (6, "0,0,50,0.4,,,,,,,", r"csv:6: found split 0, seed 0 twice"),
        (5, "0,1,50,0.4,,,,,,,", r"csv:5: found split 0, seed 0 without its row 'end'"),
        (26, "3,1,50,0.4,,,,,,,", r"csv:26: found split 3, seed 1 without its row 'end'"),
    ],
)
def test_a_damaged_line_is_named(table, line, text, message):
    table.write()
    lines = table.path.read_text().splitlines()
    assert len(lines) == 26
    lines[line - 1] = text
    table.path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=message):
        read_table(table.path)


@pytest.fixture
def build(table, suite, trained, tmp_path):
    """Builds with a trainer that ends at some calls; returns which trainings it was asked for."""

    def run(ends=None, hours=None):
        calls = []

        def train(cell, folder):
            folder.mkdir(parents=True, exist_ok=True)
            calls.append(cell)
            if ends and len(calls) in ends:
                folder.rmdir()
                raise ends[len(calls)]
            return trained(*cell)

        made = open_table(table.path, table.made_with)
        builder = Builder(made, suite, tmp_path / "runs", train, lambda line: None, hours)
        return builder.run(seeds=2, workers=1), calls

    return run


def test_a_killed_build_goes_on(build, table, suite, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        build({4: KeyboardInterrupt})
    assert len(read_table(table.path).trained) == 3
    failed, calls = build()
    # Seed by seed, and no finished training again.
    assert (failed, calls) == (0, [(3, 0), (0, 1), (1, 1), (2, 1), (3, 1)])
    assert read_table(table.path).trained == table.trained
    assert list((tmp_path / "runs").iterdir()) == []
    assert build() == (0, [])


def test_a_failed_training_leaves_the_others(build, table):
    failed, calls = build({2: TrainingFailed("NaN")})
    assert (failed, len(calls)) == (1, 8)
    assert (1, 0) not in read_table(table.path).trained
    assert build()[1] == [(1, 0)]


def test_no_training_begins_after_the_hours(build, table):
    assert build(hours=1e-9) == (0, [])
    assert not table.path.exists()


def test_a_build_refuses_other_settings_and_a_second_build(table, tmp_path):
    table.write()
    with pytest.raises(UserError, match=r"csv:1: found 'suite=small'; allowed: 'suite=other'; rem"):
        open_table(table.path, "suite=other")
    with only_builder(tmp_path), pytest.raises(UserError, match="in use"), only_builder(tmp_path):
        pass


def test_trainings_are_those_of_a_preset(tmp_path):
    bundled, minilm = SUITES["bundled"], SUITES["minilm"]
    assert len(list(missing_cells(TruthTable(tmp_path, ""), bundled, 10))) == 130
    assert len(list(missing_cells(TruthTable(tmp_path, ""), minilm, 5))) == 35
    made = made_with(bundled)
    assert made.startswith("suite=bundled; settings ")
    other = Suite("bundled", ("suite=bundled", "optimizer.lr=1e-2"), 12, 10)
    assert made_with(other).split(";")[1] != made.split(";")[1]


def test_the_command_replays_and_names_mistakes(monkeypatch, table, suite, tmp_path, capsys):
    monkeypatch.setattr(command, "table_path", lambda name: tmp_path / f"{name}.csv")
    monkeypatch.setitem(command.SUITES, "bundled", suite)
    words = ["--tables", "bundled", "--strategies", "grid", "--replays", "5", "--workers", "1"]
    assert command.main([*words, "--out", str(tmp_path / "out")]) == 2
    assert "bundled.csv: found no file; allowed: a table, which --build" in capsys.readouterr().err
    table.write()
    table.path.rename(tmp_path / "bundled.csv")
    assert command.main([*words, "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "small, 2 seeds: 5 replays" in shown and "grid, 5 seeds" in shown
    (folder,) = (tmp_path / "out").iterdir()
    assert {path.name for path in folder.iterdir()} == {"replays.csv", "summary.json", "tables.md"}
    assert len((folder / "replays.csv").read_text().splitlines()) == 16
    table.trained.pop((3, 1))
    table.write()
    table.path.rename(tmp_path / "bundled.csv")
    assert command.main([*words[2:], "--curves", "2", "--out", str(tmp_path / "out")]) == 0
    assert "bundled is left out: 1 of its seeds are complete, 2 are" in capsys.readouterr().out
    assert command.main(["--simulate", "--strategies", "tpe", "--workers", "1"]) == 2
    assert command.main(["--build", "minilm", "--out", str(tmp_path / "out")]) == 2
    assert "--data-dir: found none" in capsys.readouterr().err


def test_options_reach_the_strategies():
    words = ["--budgets", "5", "9", "--most", "11", "--pool", "7", "--confidence", "0.8"]
    options = command._options(parser().parse_args(words))
    assert options == Options(budgets=(5, 9), confidence=0.8, pool=7, most=11)
    with pytest.raises(UserError, match="--pool: found 99; allowed: 1 to 64"):
        command._options(parser().parse_args(["--pool", "99"]))


@pytest.mark.slow
def test_a_real_training_fills_the_table(small_words, tmp_path):
    from threading import Event

    from benchmarks.search.build import ProcessTrainer

    small = Suite("small", (*small_words, "trainer.max_steps=20"), layers=3, seeds=1)
    table = TruthTable(tmp_path / "small.csv", made_with(small))
    trainer = ProcessTrainer(small, (), Event())
    assert Builder(table, small, tmp_path / "runs", trainer, print).run(1, 2) == 0
    read = read_table(table.path).trained
    assert {*read} == {(split, 0) for split in range(4)}
    assert read[0, 0].parameters == read[0, 0].time == 1
    assert read[3, 0].parameters < read[2, 0].parameters < 1
    assert tuple(read[1, 0].evaluations) == tuple(range(10, 101, 10))
    broken = Suite("small", (*small_words, "optimizer.lr=high"), layers=3, seeds=1)
    with pytest.raises(TrainingFailed, match=r"optimizer\.lr"):
        ProcessTrainer(broken, (), Event())((0, 0), tmp_path / "broken")
