"""A mistake in a sweep is reported before it starts, and nothing is lost."""

import json
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.score.objectives import DIRECTIONS
from mtl_sharing.sweep.study.storage import open_url
from mtl_sharing.sweep.study.study import open_study
from mtl_sharing.sweep.validation import check_sweep
from sweep_runs import FOLDER, GRID, SMALL
from sweep_spaces import sweep_spec

PRUNER = "hydra/sweeper/pruner"
SUBDIR = "${hydra.job.num}"
SEARCH = ("hydra/sweeper=optuna", "hydra/sweeper/sampler=search", "split=0,1",
          "score.objective=keep", "score.clock=flops")  # fmt: skip

MISTAKES = {
    "no_points": (("hydra/sweeper=optuna",), "no parameter"),
    "unknown_sampler": (("hydra/sweeper=optuna", "hydra/sweeper/sampler=tpa", "split=0,1"), "tpe"),
    "unknown_pruner": (("hydra/sweeper=optuna", f"{PRUNER}=asa", "split=0,1"), "asha"),
    "sampler_argument": (("hydra/sweeper=optuna", "+hydra.sweeper.sampler.sed=1", "split=0,1"),
                         "sed"),
    "beyond_the_encoder": (("hydra/sweeper=optuna", "split=range(0,9)"), "split"),
    "endless_grid": (("hydra/sweeper=optuna", "hydra/sweeper/sampler=grid",
                      "optimizer.lr=interval(1e-4,1e-2)"), "optimizer.lr"),
    "no_costs": (("hydra/sweeper=optuna", "split=0,1", "score.objective=keep"), "score.pairs"),
    **{
        f"search_{key.rpartition('.')[2]}_{value}": ((*SEARCH, f"{key}={value}"), key)
        for key, value in (
            ("hydra.sweeper.confidence", "1"), ("hydra.sweeper.confidence", "nan"),
            ("hydra.sweeper.confidence", "0.5"), ("hydra.sweeper.hours", "nan"),
            ("hydra.sweeper.n_trials", "2"), ("hydra.sweeper.n_trials", "0"),
            ("hydra.sweeper.reference", "false"), ("hydra.sweeper.sampler.seed", "-1"),
            ("score.reference", "0.8"), ("score.clock", "measured"),
        )
    },
    "search_objective": ((*SEARCH, "score.objective=performance"), "hydra/sweeper/sampler"),
    "search_pruner": ((*SEARCH, "hydra/sweeper/pruner=asha"), "hydra/sweeper/pruner"),
    "search_seed": ((*SEARCH, "seed=1,2"), "the sweep's space"),
    "no_reference": (("hydra/sweeper=optuna", "split=0,1", "score.objective=keep",
                      "score.pairs=1", "hydra.sweeper.reference=false"), "hydra.sweeper.reference"),
    "parallel_basic": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.n_jobs=2"),
                       "+cluster=local"),
    "storage": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.storage=nowhere"),
                "hydra.sweeper.storage"),
    "nothing_drawn": (("+sweep=alpha_schedules", "sampler=unified"), "none is drawn"),
    "dry_run_too": (("hydra/sweeper=optuna", "split=0,1", "hydra.sweeper.n_jobs=2",
                     "dry_run=true"), "+cluster=local"),
    "check_data": (("hydra/sweeper=optuna", "split=0,1", "check_data=true"),
                   "check_data: found true; allowed: false in a sweep"),
    "condition": (("hydra/sweeper=optuna", "split=0,1", "+hydra.sweeper.when.split=sampler"),
                  "hydra.sweeper.when.split"),
}  # fmt: skip


# A dry run makes the same checks.
@pytest.mark.parametrize("name", [
    pytest.param(n, marks=pytest.mark.slow) if n == "dry_run_too" else n for n in MISTAKES
])  # fmt: skip
def test_a_mistake_in_a_sweep_is_reported_before_it_starts(mtl_train, name):
    words, message = MISTAKES[name]
    if not any(word.startswith("score.objective") for word in words):
        words = (*words, "score.objective=performance")
    done = mtl_train("-m", *SMALL, *words)
    assert done.code == 2, done.out + done.err
    assert message in done.err
    assert "Traceback" not in done.err
    assert not list(FOLDER.glob("[0-9]*"))


def pruner(name: str) -> dict:
    return {"_target_": name if "." in name else f"optuna.pruners.{name}"}


OPTIONS = {
    "foreign_target": ({"pruner": pruner("os.getcwd")}, "hydra.sweeper.pruner"),
    "no_seeds": ({"pruner": pruner("WilcoxonPruner")}, "hydra.sweeper.seeds"),
    "one_seed": ({"pruner": pruner("WilcoxonPruner"), "seeds": [3]}, "two or more"),
    "percents_over_seeds": ({"pruner": pruner("SuccessiveHalvingPruner"), "seeds": [3, 4]},
                            "wilcoxon, threshold or none"),
    "equal_seeds": ({"seeds": [3, 3]}, "different whole numbers"),
    "trials": ({"n_trials": "abc"}, "hydra.sweeper.n_trials"),
    "keep_pruner": ({"pruner": pruner("mtl_sharing.sweep.study.pruning.KeepPruner")}, PRUNER),
    "search_space": ({"custom_search_space": "a.b"}, "custom_search_space"),
}  # fmt: skip


def small_spec(*words: str):
    return sweep_spec(*SMALL, "hydra/sweeper=optuna", "score.objective=performance", *words)


@pytest.mark.parametrize(("changes", "message"), OPTIONS.values(), ids=OPTIONS)
def test_a_mistake_in_the_options(changes, message):
    spec = small_spec("split=0,1")
    with pytest.raises(UserError, match=message):
        check_sweep(replace(spec, options=replace(spec.options, **changes)), SUBDIR)


def test_an_unknown_objective():
    with pytest.raises(UserError, match=r"hydra\.sweeper\.objectives.*speed"):
        check_sweep(replace(small_spec("split=0,1"), objectives=("speed",)), SUBDIR)


def test_a_subdir_of_another_name():
    with pytest.raises(UserError, match=r"hydra\.sweep\.subdir"):
        check_sweep(small_spec("split=0,1"), "x_${hydra.job.num}")


def test_seeds_that_are_drawn_as_well():
    spec = small_spec("seed=1,2")
    with pytest.raises(UserError, match="seed drawn as well"):
        check_sweep(replace(spec, options=replace(spec.options, seeds=[3, 4])), SUBDIR)


def test_a_study_that_is_none_of_ours_is_refused(mtl_train):
    FOLDER.mkdir(parents=True)
    storage = optuna.storages.RDBStorage(f"sqlite:///{FOLDER}/study.db")
    optuna.create_study(storage=storage, study_name="sweep").ask()
    storage.engine.dispose()
    done = mtl_train(*GRID, "score.objective=performance")
    assert done.code == 2
    assert "hydra.sweeper.study_name" in done.err
    assert not list(FOLDER.glob("[0-9]*"))


def test_a_sweep_without_m(mtl_train):
    done = mtl_train("+sweep=split_points")
    assert done.code == 2
    assert "mtl-train -m +sweep=split_points" in done.err


@pytest.mark.slow
def test_a_reference_from_a_folder_is_read_as_trials_are_selected(mtl_train):
    held, few = "suite.select_fraction=0.2", ("encoder.layers=1", "trainer.max_steps=1")
    single = mtl_train(*SMALL, *few, "sharing=individual", held, "hydra.run.dir=single")
    assert single.code == 0, single.err
    reference = json.loads(Path("single/result.json").read_text())
    words = (*GRID, *few, "score.objective=keep", "score.clock=flops", "score.reference=single",
             "hydra.sweeper.reference=false", "hydra.sweeper.n_trials=1")  # fmt: skip
    done = mtl_train(*words, held)
    assert done.code == 0, done.err
    assert "kept 100.0%" in done.err
    assert reference["selection"]["performance"] != reference["performance"]
    none_held = mtl_train(*SMALL, *few, "sharing=individual", "hydra.run.dir=whole")
    assert none_held.code == 0
    other = mtl_train(*words, held, "score.reference=whole", "hydra.sweeper.study_name=b")
    assert other.code == 2
    assert "suite.select_fraction" in other.err


def open_another(*words: str, **options: str):
    """Opens the study of a sweep with these settings, as ``mtl-train`` does before its trials."""
    spec = sweep_spec(*words)
    spec = replace(spec, options=replace(spec.options, **options))
    directions = [DIRECTIONS[objective] for objective in spec.objectives]
    open_study(spec.options, FOLDER.absolute(), directions, spec.record())


@pytest.mark.slow
def test_a_study_of_another_sweep_is_refused(mtl_train):
    words = (*GRID, "encoder.layers=1", "trainer.max_steps=1", "score.objective=performance",
             "hydra.sweeper.n_trials=1")  # fmt: skip
    assert mtl_train(*words).code == 0
    before = (FOLDER / "sweep.csv").read_bytes()
    done = mtl_train(*words, "trainer.max_steps=5")
    assert done.code == 2
    assert "trainer.max_steps 1, not 5" in done.err
    assert "hydra.sweeper.study_name" in done.err
    others = {
        "split": ("hydra.sweeper.depths=[]", "split=0,1"),
        "objectives": ("hydra.sweeper.objectives=[performance,memory]", "score.pairs=1"),
    }
    for message, changes in others.items():
        with pytest.raises(UserError, match=rf"hydra\.sweeper\.study_name: .*{message}"):
            open_another(*words[1:], *changes)
    # A new study, or a new database, in a folder with trials.
    with pytest.raises(UserError, match=r"hydra\.sweep\.dir"):
        open_another(*words[1:], study_name="other")
    (FOLDER / "study.db").unlink()
    open_url.cache_clear()  # as in another process
    with pytest.raises(UserError, match=r"hydra\.sweep\.dir"):
        open_another(*words[1:])
    assert (FOLDER / "sweep.csv").read_bytes() == before
