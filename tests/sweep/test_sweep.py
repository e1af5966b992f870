"""Whole sweeps on tiny trainings: numbers, duplicates, failures, files."""

import json
import math
import re
from pathlib import Path

import pandas as pd
import pytest

from mtl_sharing.sweep.jobs import trial_job
from support import rewrite
from sweep_runs import FOLDER, GRID, KEEP, TPE, results, states, study


@pytest.fixture
def only_the_sweeps_picture(pictures, monkeypatch):
    """Draws sweep.png, but no trial's curves."""
    monkeypatch.setattr("mtl_sharing.job.stages.draw_curves", lambda *arguments: None)


@pytest.fixture(scope="module")
def done() -> dict:
    """What the sweep of :func:`grid` has printed, once it has run."""
    return {}


@pytest.fixture
def grid(only_the_sweeps_picture, mtl_train, done, tmp_path_factory, monkeypatch):
    """The words of a complete sweep over every split, which is made once; the current folder."""
    words = (*GRID, *KEEP)
    if not done:
        done["cwd"] = tmp_path_factory.mktemp("grid")
        monkeypatch.chdir(done["cwd"])
        outcome = mtl_train(*words)
        assert outcome.code == 0, outcome.err
        done["out"] = outcome.err + outcome.out
    monkeypatch.chdir(done["cwd"])
    return words


def test_a_grid_visits_every_split_once_and_compares_it_with_the_first_trial(grid, done):
    trials = study().trials
    assert [trial.params.get("split") for trial in trials] == [None, 0, 1, 2, 3]
    assert [trial.user_attrs["regime"] for trial in trials] == ["I3", "I3", "S1-I2", "S2-I1", "S3"]
    # split=0 duplicates the reference, and is not trained.
    assert trials[1].user_attrs["same as"] == 0
    assert trials[1].value == trials[0].value
    trained = results()
    assert {number: result["plan"] for number, result in trained.items()} == {
        0: "I3", 2: "S1-I2", 3: "S2-I1", 4: "S3",
    }  # fmt: skip
    assert not list(FOLDER.glob("*/checkpoint"))
    table = pd.read_csv(FOLDER / "sweep.csv")
    assert list(table["trial"]) == [0, 1, 2, 3, 4]
    assert list(table["split"][1:]) == [0, 1, 2, 3]
    assert table["performance"][2] == trained[2]["performance"]
    assert (FOLDER / "sweep.png").stat().st_size > 10_000
    assert "best" in done["out"]
    reference = trained[0]["performance"]
    for trial in (trials[0], *trials[2:]):
        result = trained[trial.number]
        kept, ratios = result["performance"] / reference, result["multipliers"]
        expected = kept - 0.99 if kept < 0.99 else ratios["memory"] * ratios["time"]
        if at_floor := len(result["at_floor"]):  # such a regime keeps nothing
            expected = min(kept - 0.99, 0) - at_floor
        assert trial.value == pytest.approx(expected)
    check_kept(table, trained, done["out"])


def check_kept(table, trained, printed):
    """What the sweep's table and lines say of constant answers, kept shares and the clock."""
    reference = trained[0]
    floor, best = reference["floor_performance"], reference["performance"]
    assert set(table["selected_on"]) == {"dev"} and (table["dev_kept"] == table["kept"]).all()
    for row in table.drop(index=1).to_dict("records"):
        result = trained[row["trial"]]
        assert row["floor_performance"] == pytest.approx(floor)
        assert row["kept"] == pytest.approx(result["performance"] / best)
        above = (result["performance"] - floor) / (best - floor) if best > floor else math.nan
        assert row["kept_above_floor"] == pytest.approx(above, nan_ok=True)
        assert str(row["at_floor"]).split() == (result["at_floor"] or ["nan"])
        if row["trial"]:
            ends = result["baseline"]["train_ratio_range"]
            assert [row["pairs_low"], row["pairs_high"]] == pytest.approx(ends)
            assert row["machine"].startswith(result["machine"]["device"])
    lines = [line for line in printed.splitlines() if re.match(r"trial \d  S", line)]
    assert len(lines) == 3
    assert all(f"on dev:  performance {trained[n]['performance']:.4f}  floor" in line
               for n, line in zip((2, 3, 4), lines, strict=True))  # fmt: skip


def test_the_same_command_again_trains_nothing_and_the_best_again_by_its_file(grid, mtl_train):
    before = {path: path.stat().st_mtime_ns for path in FOLDER.glob("*/result.json")}
    again = mtl_train(*grid)
    assert again.code == 0, again.err
    assert before == {path: path.stat().st_mtime_ns for path in FOLDER.glob("*/result.json")}
    trials = study().trials
    assert len(trials) == 5
    best = max((trial for trial in trials if trial.number in results()), key=lambda t: t.value)
    trained = mtl_train("--config-dir", FOLDER, "--config-name", "best", "hydra.run.dir=again",
                        "score.pairs=0")  # fmt: skip
    assert trained.code == 0, trained.err
    result = json.loads(Path("again/result.json").read_text())
    assert result["plan"] == results()[best.number]["plan"]
    assert result["performance"] == results()[best.number]["performance"]


@pytest.mark.slow
def test_the_best_trains_again_with_an_option_of_ones_own(mtl_train, tmp_path):
    own = tmp_path / "mine" / "encoder"
    own.mkdir(parents=True)
    (own / "own.yaml").write_text("defaults: [tiny, _self_]\nname: own\ncheckpoint: null\n")
    words = (*GRID, "--config-dir", "mine", "encoder=own", *KEEP[:1], "score.clock=flops",
             "suite.select_fraction=0.2", "hydra.sweeper.n_trials=2")  # fmt: skip
    done = mtl_train(*words)
    assert done.code == 0, done.err
    again = mtl_train("--config-dir", FOLDER, "--config-name", "best", "hydra.run.dir=again")
    assert again.code == 0, again.err
    result = json.loads(Path("again/result.json").read_text())
    assert result["scored_by"]["objective"] == "keep"
    number = next(n for n, trial in results().items() if trial["plan"] == result["plan"])
    assert result["tasks"] == results()[number]["tasks"]
    # The kept share is shown on dev, which selected nothing.
    reference = results()[0]["performance"]
    assert f"{result['performance'] / reference:.1%} of separate models' performance" in done.out
    assert result["kept"] == pytest.approx(result["performance"] / reference)


@pytest.mark.slow
@pytest.mark.usefixtures("only_the_sweeps_picture")
def test_trials_that_fail_are_recorded_and_the_sweep_goes_on(mtl_train, monkeypatch):
    """The reference raises, which this objective does without; others lack memory or return NaN."""
    real = trial_job.run_job

    def run_job(config, folder, hooks):
        if config.sharing.name == "individual":
            raise RuntimeError("broken on purpose")
        if config.split == 2:
            raise MemoryError
        result = real(config, folder, hooks)
        if config.split == 3:
            result["performance"] = float("nan")
            rewrite(folder / "result.json", json.dumps(result))
        return result

    monkeypatch.setattr(trial_job, "run_job", run_job)
    words = (*GRID, "score.objective=performance", "hydra.sweeper.max_failure_rate=1")
    done = mtl_train(*words)
    assert done.code == 0, done.err
    assert states() == ["FAIL", "COMPLETE", "COMPLETE", "FAIL", "FAIL"]
    reasons = [study().trials[number].user_attrs["reason"] for number in (0, 3, 4)]
    assert reasons[0] == "RuntimeError: broken on purpose"
    assert reasons[1] == "MemoryError"
    assert reasons[2] == "its performance is nan"
    assert list(pd.read_csv(FOLDER / "sweep.csv")["reason"].dropna()) == reasons


@pytest.mark.slow
def test_a_loss_that_becomes_nan_is_a_failed_trial(mtl_train):
    done = mtl_train(*TPE[:-2], "optimizer.lr=1e-3,1e30", "score.objective=performance",
                     "hydra/sweeper/sampler=grid", "hydra.sweeper.sampler.seed=null",
                     "hydra.sweeper.reference=false", "hydra.sweeper.max_failure_rate=1",
                     "optimizer.clip=null", "scheduler=none", "split=2")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["COMPLETE", "FAIL"]
    assert "found nan" in study().trials[1].user_attrs["reason"]


def test_too_many_failures_end_the_sweep(mtl_train, monkeypatch):
    def run_job(config, folder, hooks):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(trial_job, "run_job", run_job)
    done = mtl_train(*GRID, "score.objective=performance", "hydra.sweeper.reference=false")
    assert done.code == 2
    assert "max_failure_rate" in done.err and "a higher rate" in done.err
    assert "broken on purpose" in done.err
    assert states() == ["FAIL", "FAIL"]


def test_a_reference_that_fails_ends_a_sweep_that_needs_it(mtl_train, monkeypatch):
    def run_job(config, folder, hooks):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(trial_job, "run_job", run_job)
    done = mtl_train(*GRID, *KEEP)
    assert done.code == 2
    assert "reference" in done.err
    assert states() == ["FAIL"]


@pytest.mark.slow
def test_the_pruner_ends_trials_at_an_evaluation(mtl_train):
    done = mtl_train(*TPE, "score.objective=performance", "hydra/sweeper/pruner=threshold",
                     "hydra.sweeper.pruner.lower=0.99", "hydra.sweeper.n_trials=2")  # fmt: skip
    assert done.code == 0, done.err
    # The reference is never pruned.
    assert states() == ["COMPLETE", "PRUNED"]
    result = results()[1]
    assert result["status"] == "pruned"
    assert result["pruned"]["percent"] == 50
    assert list(study().trials[1].intermediate_values) == [50]
    assert not (FOLDER / "1" / "checkpoint").exists()
    assert len(study().trials[0].intermediate_values) == 2


@pytest.mark.slow
@pytest.mark.usefixtures("only_the_sweeps_picture")
def test_several_objectives_are_pruned_by_performance(mtl_train):
    """Beyond the sampler's first random trials, which it learns from."""
    done = mtl_train(*TPE, "hydra.sweeper.objectives=[performance,memory,time]",
                     "score.clock=flops", "hydra/sweeper/pruner=threshold",
                     "hydra.sweeper.pruner.lower=0.99", "hydra.sweeper.n_trials=4",
                     "hydra.sweeper.sampler.n_startup_trials=1")  # fmt: skip
    assert done.code == 0, done.err
    names = [direction.name for direction in study().directions]
    assert names == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    assert study().trials[0].values[1:] == [1.0, 1.0]
    assert {"COMPLETE", "PRUNED"} == set(states())
    assert all(trial.intermediate_values for trial in study().trials)


@pytest.mark.slow
def test_the_best_of_a_cost_is_the_lowest(mtl_train):
    words = [word for word in GRID if "depths" not in word]
    done = mtl_train(*words, "split=3,1", "hydra.sweeper.objectives=[memory]", "score.clock=flops",
                     "hydra.sweeper.reference=false")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["COMPLETE", "COMPLETE"]
    assert "the best is S3, which reaches" in done.out
    assert "split: 3" in (FOLDER / "best.yaml").read_text()


@pytest.mark.slow
@pytest.mark.usefixtures("only_the_sweeps_picture")
def test_a_trial_over_seeds_is_their_mean_and_wilcoxon_ends_a_worse_one(mtl_train, monkeypatch):
    """A regime that is worse with every seed ends before the last of them."""
    real = trial_job.run_job

    def run_job(config, folder, hooks):
        result = real(config, folder, hooks)
        result["performance"] = 0.9 - 0.2 * config.split + 0.01 * config.seed
        rewrite(folder / "result.json", json.dumps(result))
        return result

    monkeypatch.setattr(trial_job, "run_job", run_job)
    done = mtl_train(*GRID, "hydra.sweeper.seeds=[5,3,1]", "hydra/sweeper/pruner=wilcoxon",
                     "hydra.sweeper.pruner.p_threshold=0.3", "hydra.sweeper.n_trials=2",
                     "score.objective=performance", "hydra.sweeper.reference=false")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["COMPLETE", "PRUNED"]
    seeds = [FOLDER / "0" / f"seed_{seed}" / "result.json" for seed in (5, 3, 1)]
    assert [json.loads(path.read_text())["seed"] for path in seeds] == [5, 3, 1]
    first, second = study().trials
    assert first.intermediate_values == pytest.approx({1: 0.95, 2: 0.93, 3: 0.91})
    assert first.value == pytest.approx(0.93)
    # Two seeds are the fewest that can show it: p = 0.25.
    assert second.intermediate_values == pytest.approx({1: 0.75, 2: 0.73})


@pytest.mark.slow
def test_costs_that_nobody_could_measure_are_a_failed_trial(mtl_train, monkeypatch):
    monkeypatch.setattr("mtl_sharing.job.measurement.time_side_by_side", _out_of_memory)
    done = mtl_train(*GRID, *KEEP, "hydra.sweeper.reference=false", "score.reference=0.5",
                     "hydra.sweeper.n_trials=1", "hydra.sweeper.max_failure_rate=1")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["FAIL"]
    assert study().trials[0].user_attrs["reason"] == "not measured: memory, time"


def _out_of_memory(*args, **named):
    raise MemoryError
