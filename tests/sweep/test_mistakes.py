"""A mistake in a sweep is told before it starts, and nothing is lost."""

import json
from pathlib import Path

import optuna
import pytest

from mtl_sharing.sweep.study.storage import open_url
from sweep_runs import FOLDER, GRID, SMALL

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
    open_url.cache_clear()  # as in another process
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
