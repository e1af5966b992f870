"""Whole sweeps on tiny trainings: numbers, equal trials, resuming, failures, what is left."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pandas as pd
import pytest

from mtl_sharing.errors import Stopped
from mtl_sharing.sweep import life
from mtl_sharing.sweep import trial as trial_module
from mtl_sharing.sweep.storage import _open as open_once
from support import QUICK, start, wait_for

SMALL = (*QUICK, "encoder.layers=3", "trainer.eval_every=1")
GRID = ("-m", *SMALL, "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid",
        "hydra.sweeper.depths=[[split]]", "hydra.sweeper.n_trials=null")  # fmt: skip
TPE = ("-m", *SMALL, "hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1", "split=range(0,4)",
       "optimizer.lr=interval(1e-4,1e-2)")  # fmt: skip
KEEP = ("score.objective=keep", "score.pairs=1")
FOLDER = Path("outputs/sweeps/sweep")


def study(folder: Path = FOLDER, name: str = "sweep") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/study.db")


def states(folder: Path = FOLDER) -> list[str]:
    return [trial.state.name for trial in study(folder).trials]


def results(folder: Path = FOLDER) -> dict[int, dict]:
    return {
        int(path.parent.name): json.loads(path.read_text())
        for path in folder.glob("[0-9]*/result.json")
    }


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


def test_a_trial_that_is_stopped_again_and_again_is_no_lost_one(mtl_train, monkeypatch):
    real, stops = trial_module.run_job, iter(range(4))

    def run_job(config, folder, hooks):
        if next(stops, None) is not None:
            raise Stopped(str(folder))
        return real(config, folder, hooks)

    monkeypatch.setattr(trial_module, "run_job", run_job)
    monkeypatch.setattr(life, "process_is_gone", lambda found: True)  # as in other processes
    words = (*GRID, "score.objective=performance", "hydra.sweeper.n_trials=1")
    codes = [mtl_train(*words).code for _ in range(5)]
    assert codes == [130, 130, 130, 130, 0]
    assert states() == ["COMPLETE"]


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


def test_a_sweep_that_was_stopped_draws_what_it_would_have_drawn(mtl_train):
    words = (*TPE, "score.objective=performance")
    assert mtl_train(*words, "hydra.sweeper.n_trials=3").code == 0
    assert mtl_train(*words, "hydra.sweeper.n_trials=6").code == 0
    whole = (*words, "hydra.sweeper.n_trials=6", "hydra.sweeper.study_name=whole")
    assert mtl_train(*whole).code == 0
    parts, one = study().trials, study(Path("outputs/sweeps/whole"), "whole").trials
    assert [trial.params for trial in parts] == [trial.params for trial in one]
    assert [trial.values for trial in parts] == [trial.values for trial in one]
    assert len({str(trial.params) for trial in one}) == len(one)


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
    assert "max_failure_rate" in done.err
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
    monkeypatch.setattr("mtl_sharing.job.calibrate", _out_of_memory)
    done = mtl_train(*GRID, *KEEP, "hydra.sweeper.reference=false", "score.reference=0.5",
                     "hydra.sweeper.n_trials=1", "hydra.sweeper.max_failure_rate=1")  # fmt: skip
    assert done.code == 0, done.err
    assert states() == ["FAIL"]
    assert study().trials[0].user_attrs["reason"] == "not measured: memory, time"


def _out_of_memory(*args, **named):
    raise MemoryError


# Killed, and two at once


def test_kill_and_the_same_command_again(tmp_path):
    words = (*GRID, "score.objective=performance", "trainer.max_steps=60")
    folder = tmp_path / FOLDER
    process = start(tmp_path, *words)
    wait_for(folder / "3" / "checkpoint" / "last.pt", process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert states(folder) == ["COMPLETE", "COMPLETE", "COMPLETE", "RUNNING"]
    begun = (folder / "2" / "result.json").stat().st_mtime_ns
    again = start(tmp_path, *words)
    out, _ = again.communicate(timeout=240)
    assert again.returncode == 0, out
    assert "trial 3: taken up again" in out
    assert "going on after step" in (folder / "3" / "train.log").read_text()
    assert states(folder) == ["COMPLETE"] * 5
    assert (folder / "2" / "result.json").stat().st_mtime_ns == begun
    assert {n: each["plan"] for n, each in results(folder).items()} == {
        0: "I3", 2: "S1-I2", 3: "S2-I1", 4: "S3",
    }  # fmt: skip


@pytest.mark.parametrize("where", ["drawn", "noted"])
def test_killed_while_it_asks(tmp_path, where):
    """Between making a trial and saying what it is, before or after its values are drawn."""
    killing = {
        "drawn": "Asker._asked = lambda self, *a: os._exit(9) if a[1] else old(self, *a)",
        "noted": "Asker._noted = lambda s, *a: os._exit(9) if a[0].number == 2 else noted(s, *a)",
    }[where]  # fmt: skip
    code = (
        "import os, sys\nfrom mtl_sharing.sweep.asking import Asker\n"
        f"old, noted = Asker._asked, Asker._noted\n{killing}\n"
        "from mtl_sharing.cli.train import main\nmain()\n"
    )
    words = (*GRID, "score.objective=performance")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    killed = subprocess.run([sys.executable, "-c", code, *words], cwd=tmp_path, env=environment,
                            capture_output=True, check=False)  # fmt: skip
    assert killed.returncode == 9, killed.stderr
    folder = tmp_path / FOLDER
    assert states(folder)[-1] == "RUNNING"
    process = start(tmp_path, *words)
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    assert states(folder) == ["COMPLETE"] * 5
    assert [trial.params.get("split") for trial in study(folder).trials] == [None, 0, 1, 2, 3]


def test_two_sweeps_share_a_study(tmp_path):
    words = (*TPE, "score.objective=performance", "hydra.sweeper.n_trials=6",
             "hydra.sweeper.sampler.seed=null")  # fmt: skip
    both = [start(tmp_path, *words) for _ in range(2)]
    for process in both:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0, out
    folder = tmp_path / FOLDER
    own = [trial for trial in study(folder).trials if "same as" not in trial.user_attrs]
    assert len(own) == 6
    assert {trial.state.name for trial in own} == {"COMPLETE"}
    assert set(results(folder)) == {trial.number for trial in own}


def test_an_interrupt_leaves_a_sweep_that_goes_on(tmp_path):
    words = (*GRID, "score.objective=performance", "trainer.max_steps=60")
    folder = tmp_path / FOLDER
    process = start(tmp_path, *words)
    wait_for(folder / "2" / "checkpoint" / "last.pt", process)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, out
    assert "the same command goes on" in out
    assert states(folder)[2] == "RUNNING"
    again = start(tmp_path, *words)
    out, _ = again.communicate(timeout=240)
    assert again.returncode == 0, out
    assert states(folder) == ["COMPLETE"] * 5


# Mistakes

BAD = {
    "no_points": (("hydra/sweeper=optuna",), "no parameter"),
    "empty_range": (("hydra/sweeper=optuna", "split=range(3,3)"), "at least one value"),
    "unknown_sampler": (("hydra/sweeper=optuna", "hydra/sweeper/sampler=tpa", "split=0,1"), "tpe"),
    "unknown_pruner": (("hydra/sweeper=optuna", "hydra/sweeper/pruner=asa", "split=0,1"), "asha"),
    "sampler_argument": (("hydra/sweeper=optuna", "+hydra.sweeper.sampler.sed=1", "split=0,1"),
                         "sed"),
    "foreign_target": (("hydra/sweeper=optuna", "hydra.sweeper.pruner._target_=os.getcwd",
                        "split=0,1"), "hydra.sweeper.pruner"),
    "beyond_the_encoder": (("hydra/sweeper=optuna", "split=range(0,9)"), "split"),
    "endless_grid": (("hydra/sweeper=optuna", "hydra/sweeper/sampler=grid",
                      "optimizer.lr=interval(1e-4,1e-2)"), "optimizer.lr"),
    "objective": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.objectives=[speed]"),
                  "hydra.sweeper.objectives"),
    "no_costs": (("hydra/sweeper=optuna", "split=0,1", "score.objective=keep"), "score.pairs"),
    "no_reference": (("hydra/sweeper=optuna", "split=0,1", "score.objective=keep",
                      "score.pairs=1", "hydra.sweeper.reference=false"), "hydra.sweeper.reference"),
    "parallel_basic": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.n_jobs=2"),
                       "+cluster=local"),
    "no_seeds": (("hydra/sweeper=optuna", "split=0,1", "hydra/sweeper/pruner=wilcoxon"),
                 "hydra.sweeper.seeds"),
    "storage": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.storage=nowhere"),
                "hydra.sweeper.storage"),
    "trials": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.n_trials=abc"),
               "hydra.sweeper.n_trials"),
    "subdir": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweep.subdir=x_${hydra.job.num}"),
               "hydra.sweep.subdir"),
    "equal_seeds": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.seeds=[3,3]"),
                    "different whole numbers"),
    "one_seed": (("hydra/sweeper=optuna", "split=0,1", "hydra/sweeper/pruner=wilcoxon",
                  "hydra.sweeper.seeds=[3]"), "two or more"),
    "seeds_twice": (("hydra/sweeper=optuna", "seed=1,2", "hydra.sweeper.seeds=[3,4]"),
                    "seed drawn as well"),
    "percents_over_seeds": (("hydra/sweeper=optuna", "split=0,1", "hydra/sweeper/pruner=asha",
                             "hydra.sweeper.seeds=[3,4]"), "wilcoxon, threshold or none"),
    "nothing_drawn": (("+sweep=alpha_schedules", "sampler=unified"), "none is drawn"),
    "dry_run_too": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.n_jobs=2",
                     "dry_run=true"), "+cluster=local"),
    "keep_pruner": (("hydra/sweeper=optuna", "split=0,1", "hydra/sweeper/pruner=keep"),
                    "hydra/sweeper/pruner"),
    "search_space": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.custom_search_space=a.b"),
                     "custom_search_space"),
    "condition": (("hydra/sweeper=optuna", "split=0,1", "+hydra.sweeper.when.split=sampler"),
                  "hydra.sweeper.when.split"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_mistake_in_a_sweep_is_told_before_it_starts(mtl_train, name):
    words, told = BAD[name]
    if not any(word.startswith("score.objective") for word in words):
        words = (*words, "score.objective=performance")
    done = mtl_train("-m", *SMALL, *words)
    assert done.code == 2, done.out + done.err
    assert told in done.err
    assert "Traceback" not in done.err
    assert not list(FOLDER.glob("[0-9]*"))


def test_a_study_that_is_none_of_ours_is_refused(mtl_train):
    FOLDER.mkdir(parents=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{FOLDER}/study.db")
    optuna.create_study(storage=storage, study_name="sweep").ask()
    storage.engine.dispose()
    done = mtl_train(*GRID, "score.objective=performance")
    assert done.code == 2
    assert "hydra.sweeper.study_name" in done.err
    assert not list(FOLDER.glob("[0-9]*"))


def test_a_new_study_in_a_used_folder_is_refused(mtl_train):
    words = (*GRID, "score.objective=performance", "hydra.sweeper.n_trials=1")
    assert mtl_train(*words, "hydra.sweep.dir=one").code == 0
    other = mtl_train(*words, "hydra.sweep.dir=one", "hydra.sweeper.study_name=other")
    assert other.code == 2
    assert "hydra.sweep.dir" in other.err
    Path("one/study.db").unlink()
    open_once.cache_clear()  # as in another process
    assert mtl_train(*words, "hydra.sweep.dir=one").code == 2


def test_a_sweep_without_m_is_told(mtl_train):
    done = mtl_train("+sweep=split_points")
    assert done.code == 2
    assert "mtl-train -m +sweep=split_points" in done.err


def test_a_reference_from_a_folder_is_read_as_trials_are_judged(mtl_train):
    held = "suite.select_fraction=0.2"
    single = mtl_train(*SMALL, "sharing=individual", held, "hydra.run.dir=single")
    assert single.code == 0, single.err
    reference = json.loads(Path("single/result.json").read_text())
    words = (*GRID, "score.objective=keep", "score.clock=flops", "score.reference=single",
             "hydra.sweeper.reference=false", "hydra.sweeper.n_trials=1")  # fmt: skip
    done = mtl_train(*words, held)
    assert done.code == 0, done.err
    assert "kept 100.0%" in done.out
    assert reference["selection"]["performance"] != reference["performance"]
    none_held = mtl_train(*SMALL, "sharing=individual", "hydra.run.dir=whole")
    assert none_held.code == 0
    other = mtl_train(*words, held, "score.reference=whole", "hydra.sweeper.study_name=b")
    assert other.code == 2
    assert "suite.select_fraction" in other.err


def test_a_study_of_another_sweep_is_refused(mtl_train):
    words = (*GRID, "score.objective=performance", "hydra.sweeper.n_trials=1")
    assert mtl_train(*words).code == 0
    before = (FOLDER / "sweep.csv").read_bytes()
    others = {
        "trainer.max_steps 4, not 5": (*words, "trainer.max_steps=5"),
        "split": (*words, "hydra.sweeper.depths=[]", "split=0,1"),
        "objectives": (*words, "hydra.sweeper.objectives=[performance,memory]", "score.pairs=1"),
    }
    for told, other in others.items():
        done = mtl_train(*other)
        assert done.code == 2, told
        assert told in done.err
        assert "hydra.sweeper.study_name" in done.err
    assert (FOLDER / "sweep.csv").read_bytes() == before
