"""Whole sweeps on tiny trainings: numbers, equal trials, failures, what is left."""

import json
from pathlib import Path

import pandas as pd
import pytest

from mtl_sharing.sweep.jobs import trial_job as trial_module
from sweep_runs import FOLDER, GRID, KEEP, TPE, results, states, study


@pytest.mark.usefixtures("pictures")
def test_a_grid_visits_every_split_once_and_holds_it_against_the_first_trial(mtl_train):
    done = mtl_train(*GRID, *KEEP)
    assert done.code == 0, done.err
    trials = study().trials
    assert [trial.params.get("split") for trial in trials] == [None, 0, 1, 2, 3]
    assert [trial.user_attrs["regime"] for trial in trials] == ["I3", "I3", "S1-I2", "S2-I1", "S3"]
    # split=0 is the reference once more: answered, not trained.
    assert trials[1].user_attrs["same as"] == 0
    assert trials[1].value == trials[0].value
    found = results()
    assert {number: each["plan"] for number, each in found.items()} == {
        0: "I3", 2: "S1-I2", 3: "S2-I1", 4: "S3",
    }  # fmt: skip
    assert not list(FOLDER.glob("*/checkpoint"))
    table = pd.read_csv(FOLDER / "sweep.csv")
    assert list(table["trial"]) == [0, 1, 2, 3, 4]
    assert table["performance"][2] == found[2]["performance"]
    assert (FOLDER / "sweep.png").stat().st_size > 10_000
    assert "best" in done.out
    reference = found[0]["performance"]
    for trial in trials[2:]:
        result = found[trial.number]
        kept = result["performance"] / reference
        ratios = result["multipliers"]
        wanted = kept - 0.99 if kept < 0.99 else ratios["memory"] * ratios["time"]
        assert trial.value == pytest.approx(wanted)
    assert trials[0].value == 1.0


def test_the_best_trains_again_with_an_option_of_ones_own(mtl_train, tmp_path):
    mine = tmp_path / "mine" / "encoder"
    mine.mkdir(parents=True)
    (mine / "own.yaml").write_text("defaults: [tiny, _self_]\nname: own\ncheckpoint: null\n")
    words = (*GRID, "--config-dir", "mine", "encoder=own", *KEEP[:1], "score.clock=flops",
             "suite.select_fraction=0.2", "hydra.sweeper.n_trials=2")  # fmt: skip
    done = mtl_train(*words)
    assert done.code == 0, done.err
    again = mtl_train("--config-dir", FOLDER, "--config-name", "best", "hydra.run.dir=again")
    assert again.code == 0, again.err
    result = json.loads(Path("again/result.json").read_text())
    assert result["scored_by"]["objective"] == "keep"
    number = next(n for n, each in results().items() if each["plan"] == result["plan"])
    assert result["tasks"] == results()[number]["tasks"]
    # What is said to be kept is on dev, which chose nothing.
    reference = results()[0]["performance"]
    assert f"{result['performance'] / reference:.1%} of separate models' performance" in done.out
    assert result["kept"] == pytest.approx(result["performance"] / reference)


def test_the_same_command_again_trains_nothing_and_the_best_again_by_its_file(mtl_train):
    words = (*GRID, "score.objective=performance")
    assert mtl_train(*words).code == 0
    before = {path: path.stat().st_mtime_ns for path in FOLDER.glob("*/result.json")}
    again = mtl_train(*words)
    assert again.code == 0, again.err
    assert before == {path: path.stat().st_mtime_ns for path in FOLDER.glob("*/result.json")}
    assert len(study().trials) == 5
    best = max(results().items(), key=lambda item: (item[1]["performance"], -item[0]))
    trained = mtl_train("--config-dir", FOLDER, "--config-name", "best", "hydra.run.dir=again")
    assert trained.code == 0, trained.err
    result = json.loads(Path("again/result.json").read_text())
    assert result["plan"] == best[1]["plan"]
    assert result["performance"] == best[1]["performance"]


@pytest.mark.usefixtures("pictures")
def test_trials_that_fail_are_recorded_and_the_sweep_goes_on(mtl_train, monkeypatch):
    """One returns NaN, one raises, one runs out of memory."""
    real = trial_module.run_job

    def run_job(config, folder, hooks):
        if config.split == 1:
            raise RuntimeError("broken on purpose")
        if config.split == 2:
            raise MemoryError
        result = real(config, folder, hooks)
        if config.split == 3:
            result["performance"] = float("nan")
            (folder / "result.json").write_text(json.dumps(result))
        return result

    monkeypatch.setattr(trial_module, "run_job", run_job)
    words = (*GRID, "score.objective=performance", "hydra.sweeper.max_failure_rate=1")
    done = mtl_train(*words)
    assert done.code == 0, done.err
    assert states() == ["COMPLETE", "COMPLETE", "FAIL", "FAIL", "FAIL"]
    reasons = [trial.user_attrs["reason"] for trial in study().trials[2:]]
    assert reasons[0] == "RuntimeError: broken on purpose"
    assert reasons[1] == "MemoryError"
    assert reasons[2] == "its performance is nan"
    assert list(pd.read_csv(FOLDER / "sweep.csv")["reason"][2:]) == reasons


def test_a_loss_that_becomes_nan_is_a_failed_trial(mtl_train):
    done = mtl_train(*TPE[:-1], "optimizer.lr=1e-3,1e30", "score.objective=performance",
                     "hydra/sweeper/sampler=grid", "hydra.sweeper.sampler.seed=null",
                     "hydra.sweeper.n_trials=3", "hydra.sweeper.max_failure_rate=1",
                     "optimizer.clip=null", "scheduler=none", "split=2")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["COMPLETE", "COMPLETE", "FAIL"]
    assert "found nan" in study().trials[2].user_attrs["reason"]


def test_too_many_failures_end_the_sweep(mtl_train, monkeypatch):
    def run_job(config, folder, hooks):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(trial_module, "run_job", run_job)
    done = mtl_train(*GRID, "score.objective=performance", "hydra.sweeper.reference=false")
    assert done.code == 2
    assert "max_failure_rate" in done.err and "a higher rate" in done.err
    assert "broken on purpose" in done.err
    assert states() == ["FAIL", "FAIL"]


def test_a_reference_that_fails_ends_a_sweep_that_needs_it(mtl_train, monkeypatch):
    def run_job(config, folder, hooks):
        raise RuntimeError("broken on purpose")

    monkeypatch.setattr(trial_module, "run_job", run_job)
    done = mtl_train(*GRID, *KEEP)
    assert done.code == 2
    assert "reference" in done.err
    assert states() == ["FAIL"]


def test_the_pruner_ends_trials_at_an_evaluation(mtl_train):
    done = mtl_train(*TPE, "score.objective=performance", "hydra/sweeper/pruner=threshold",
                     "hydra.sweeper.pruner.lower=0.99", "hydra.sweeper.n_trials=3")  # fmt: skip
    assert done.code == 0, done.err
    # The reference is never pruned.
    assert states() == ["COMPLETE", "PRUNED", "PRUNED"]
    for number in (1, 2):
        result = results()[number]
        assert result["status"] == "pruned"
        assert result["pruned"]["percent"] == 25
        assert list(study().trials[number].intermediate_values) == [25]
        assert not (FOLDER / str(number) / "checkpoint").exists()
    assert len(study().trials[0].intermediate_values) == 4


@pytest.mark.usefixtures("pictures")
def test_several_objectives_are_pruned_by_performance(mtl_train):
    """Beyond the sampler's first random trials, which it learns from."""
    done = mtl_train(*TPE, "hydra.sweeper.objectives=[performance,memory,time]",
                     "score.clock=flops", "hydra/sweeper/pruner=threshold",
                     "hydra.sweeper.pruner.lower=0.99", "hydra.sweeper.n_trials=8",
                     "hydra.sweeper.sampler.n_startup_trials=2")  # fmt: skip
    assert done.code == 0, done.err
    found = study()
    names = [direction.name for direction in found.directions]
    assert names == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    assert found.trials[0].values[1:] == [1.0, 1.0]
    assert {"COMPLETE", "PRUNED"} == set(states())
    assert all(trial.intermediate_values for trial in found.trials)


def test_the_best_of_a_cost_is_the_lowest(mtl_train):
    done = mtl_train(*GRID, "hydra.sweeper.objectives=[memory]", "score.clock=flops")
    assert done.code == 0, done.err
    assert "best      S3" in done.out
    assert "split: 3" in (FOLDER / "best.yaml").read_text()


@pytest.mark.usefixtures("pictures")
def test_a_trial_over_seeds_is_their_mean(mtl_train):
    words = (*GRID, "hydra.sweeper.seeds=[5,3]", "score.objective=performance",
             "hydra.sweeper.n_trials=3")  # fmt: skip
    assert mtl_train(*words).code == 0
    third = FOLDER / "2"
    found = [json.loads((third / f"seed_{s}" / "result.json").read_text()) for s in (5, 3)]
    assert [each["seed"] for each in found] == [5, 3]
    each = [result["performance"] for result in found]
    assert study().trials[2].value == pytest.approx(sum(each) / 2)
    assert study().trials[2].intermediate_values == {1: each[0], 2: each[1]}


def test_wilcoxon_prunes_over_seeds(mtl_train, monkeypatch):
    """A regime that is worse with every seed ends before the last of them."""
    real = trial_module.run_job

    def run_job(config, folder, hooks):
        result = real(config, folder, hooks)
        result["performance"] = 0.9 - 0.2 * config.split + 0.01 * config.seed
        (folder / "result.json").write_text(json.dumps(result))
        return result

    monkeypatch.setattr(trial_module, "run_job", run_job)
    done = mtl_train(*GRID, "hydra.sweeper.seeds=[1,2,3,4,5]", "hydra/sweeper/pruner=wilcoxon",
                     "hydra.sweeper.n_trials=2", "score.objective=performance",
                     "hydra.sweeper.reference=false")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["COMPLETE", "PRUNED"]
    assert len(study().trials[0].intermediate_values) == 5
    assert 2 <= len(study().trials[1].intermediate_values) < 5


def test_costs_that_nobody_could_measure_are_a_failed_trial(mtl_train, monkeypatch):
    monkeypatch.setattr("mtl_sharing.job.measurement.time_side_by_side", _out_of_memory)
    done = mtl_train(*GRID, *KEEP, "hydra.sweeper.reference=false", "score.reference=0.5",
                     "hydra.sweeper.n_trials=1", "hydra.sweeper.max_failure_rate=1")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["FAIL"]
    assert study().trials[0].user_attrs["reason"] == "not measured: memory, time"


def _out_of_memory(*args, **named):
    raise MemoryError
