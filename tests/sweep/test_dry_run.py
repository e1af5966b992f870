"""A sweep's dry run: its numbers are those of the trials, and it leaves nothing behind."""

import csv
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from mtl_sharing.sweep.output.dry_run import Plan, cost_lines, format_values, trial_lines
from mtl_sharing.sweep.output.forecast import Forecast, forecast, most_costly
from mtl_sharing.sweep.settings import SearchConfig, SweeperConfig
from mtl_sharing.sweep.space.space import Space
from mtl_sharing.sweep.space.spec import make_space
from mtl_sharing.sweep.study.attributes import REFERENCE, SAME_AS
from mtl_sharing.sweep.study.study import known_trials
from support import QUICK
from sweep_spaces import sweep_spec

FORECAST = Forecast("I12", steps=400, step_s=0.5, evaluations=5, evaluation_s=2.0, train_s=240.0,
                 peak_bytes=3_000_000_000, weight_bytes=100_000_000,
                 checkpoint_bytes=300_000_000)  # fmt: skip
MEMORY = 8_000_000_000
TINY = (*(word for word in QUICK if "score" not in word), "score.pairs=1")


def plan(points=13, trials=(), regimes=None, **changes) -> Plan:
    options = SweeperConfig(**{"study_name": "mine", "n_trials": None, "sampler": {}, **changes})
    bounds = [n for n in (options.n_trials, points and points + options.reference) if n]
    spec = SimpleNamespace(options=options, objectives=("keep",), folder=Path("/none/mine"),
                           space=Space({}), points=points,
                           total_trials=min(bounds, default=None))  # fmt: skip
    return Plan(spec, trials, regimes)


def ended(number, point, **attributes):
    distributions = {name: optuna.distributions.IntDistribution(0, 12) for name in point}
    return optuna.trial.create_trial(
        params=point,
        distributions=distributions,
        value=0.0,
        user_attrs={"seconds": 60.0, **attributes},
    )


def cost(ahead, **changes):
    return dict(cost_lines(ahead, replace(FORECAST, **changes), MEMORY))


@pytest.mark.parametrize(
    ("changes", "time"),
    [
        ({}, "56 min for 14 trials, none pruned"),
        ({"reference": False}, "52 min for 13 trials, none pruned"),
        ({"n_trials": 4}, "16 min for 4 trials, none pruned"),
        ({"n_trials": 5, "n_jobs": 2}, "12 min for 5 trials, none pruned, 2 at once"),
        ({"n_trials": 4, "seeds": [1, 2, 3]}, "48 min for 4 trials"),
        ({"hours": 0.5}, "30 min, as hydra.sweeper.hours says"),
        ({"hours": 3.0}, "56 min for 14 trials"),
        ({"points": None}, "without end"),
        ({"points": None, "hours": 3.0}, "3 h 0 min, as hydra.sweeper.hours says"),
    ],
)
def test_time_is_that_of_the_trials_to_go(changes, time):
    assert cost(plan(**changes))["time"].startswith(time)


def test_what_has_ended_takes_no_more_time():
    trials = [ended(0, {}, **{REFERENCE: True}), ended(1, {"split": 0}, **{SAME_AS: 0}),
              ended(2, {"split": 1})]  # fmt: skip
    ahead = plan(trials=trials)
    assert ahead.left == 11  # of 13 points two are known
    assert dict(trial_lines(ahead))["trials"].endswith("3 ended, 11 to go")
    assert plan(trials=trials, n_trials=10).left == 8  # the answered one is not counted
    assert cost(plan(trials=trials, hours=1.0))["time"].startswith("44 min for 11 trials")
    assert cost(plan(trials=trials, hours=0.5))["time"].startswith("27 min, as")


def test_a_search_says_what_ends_it_and_its_time_is_a_bound():
    search = {"sampler": {"_target_": SearchConfig._target_}}
    ahead = plan(points=None, regimes=143, n_trials=24, seeds=[0, 1, 2], **search)
    lines = dict(trial_lines(ahead))
    assert lines["regimes"] == "143 to decide between, separate models among them"
    assert lines["trainings"] == "until the answer is sure (probability 0.9), at most 24"
    assert lines["seeds"] == "0 to 2: one for each training"
    assert ahead.left == 24 and "trials" not in lines
    assert cost(ahead)["time"] == "96 min at most, for 24 trainings"
    none = plan(points=None, regimes=13, confidence=0.95, seeds=[3, 1])
    assert none.left is None
    assert dict(trial_lines(none))["trainings"] == "until the answer is sure (probability 0.95)"
    assert dict(trial_lines(none))["seeds"] == "3, 1: one for each training"
    assert cost(none)["time"].startswith("until the answer is sure: hydra.sweeper.n_trials or")
    two = [ended(0, {}, **{REFERENCE: True}), ended(1, {"split": 1})]
    later = plan(points=13, trials=two, regimes=13, n_trials=10)
    assert dict(trial_lines(later))["trainings"].endswith("at most 10; 2 ended, 8 to go")


def test_memory_says_where_it_is_too_little():
    assert cost(plan())["memory"] == "3.0 GB at a trial's peak; there are 8.0 GB"
    three = cost(plan(n_jobs=3))["memory"]
    assert "9.0 GB for 3 at once; there are 8.0 GB: TOO LITTLE" in three


def test_disk():
    assert cost(plan())["disk"] == (
        "100.0 MB of weights a trial, 1.4 GB for all at most; 300.0 MB of checkpoint while one "
        "trains"
    )


@pytest.mark.parametrize(
    ("param", "words"),
    [
        ("choice(linear,cosine)", "linear, cosine"),
        ("range(0,5)", "0 to 4"),
        ("range(0,5,2)", "0 to 4 in steps of 2"),
        ("range(0.0,1.1,0.1)", "0 to 1 in steps of 0.1"),
        ("tag(log,interval(1e-7,1e-1))", "1e-07 to 0.1, log-uniform"),
        ("interval(0.0,1.0)", "0 to 1"),
        (",".join(f"choice{n}" for n in range(20)), "20 choices"),
    ],
)
def test_values_in_words(param, words):
    space, _ = make_space(SweeperConfig(params={"seed": param}), [], {})
    assert format_values(space.distributions["seed"]) == words


SETTINGS = ("suite.max_train_rows=40", "suite.max_dev_rows=20", "trainer.max_steps=5",
            "trainer.eval_every=2", "encoder.checkpoint=null", "encoder.layers=2",
            "score.pairs=0")  # fmt: skip


def test_a_forecast_has_the_numbers_of_the_run(mtl_train):
    words = ("split=1", *SETTINGS)
    cost = forecast(sweep_spec("hydra/sweeper=optuna", "seed=0,1", *words).compose_trial({}))
    done = mtl_train(*words)
    assert done.code == 0, done.err
    with (done.folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (cost.steps, cost.evaluations) == (int(rows[-1]["step"]), len(rows)) == (5, 3)
    weights = (done.folder / "model.safetensors").stat().st_size
    checkpoint = (done.folder / "checkpoint" / "last.pt").stat().st_size
    assert cost.weight_bytes == pytest.approx(weights, rel=0.05)
    assert cost.checkpoint_bytes == pytest.approx(checkpoint, rel=0.1)
    assert cost.regime == done.result["regime"]
    assert cost.train_s > 5 * cost.step_s > 0
    assert cost.peak_bytes > cost.checkpoint_bytes


@pytest.mark.slow
def test_every_phase_counts(mtl_train):
    sweep = sweep_spec("hydra/sweeper=optuna", "seed=0,1", "phases=mlm", "phases.mlm.steps=3",
                       *SETTINGS)  # fmt: skip
    cost = forecast(sweep.compose_trial({}))
    assert (cost.steps, cost.evaluations) == (8, 3)


def test_the_most_costly_regime_trains_most():
    sweep = sweep_spec("+sweep=split_points", "encoder=tiny", "encoder.layers=3")
    trials = [sweep.compose_trial(point) for point in sweep.space.points()]
    assert most_costly(trials).regime == "I3"


def test_of_equal_weights_the_fuller_step_is_more_costly():
    sweep = sweep_spec("+sweep=alpha_schedules", "encoder=tiny", "encoder.layers=3",
                       "trainer.max_steps=5")  # fmt: skip
    trials = [sweep.compose_trial({"sampler": name}) for name in ("round_robin", "unified")]
    assert most_costly(trials).config.sampler.name == "unified"


def everything(*folders):
    return sorted((path, path.stat().st_mtime) for top in folders for path in top.rglob("*"))


@pytest.mark.slow
def test_a_dry_run_leaves_nothing_and_says_what_is_there(mtl_train, tmp_path):
    cache = Path(os.environ["XDG_CACHE_HOME"])
    words = ("-m", "+sweep=split_points", *TINY, "encoder.layers=1", "trainer.max_steps=2")
    before = everything(tmp_path, cache)
    fresh = mtl_train(*words, "dry_run=true")
    assert fresh.code == 0, fresh.err
    assert everything(tmp_path, cache) == before
    for text in ("split_points in outputs/sweeps/split_points", "2 points", "trials     3, the fir",
                 "I1, the costliest", "2 steps", "for 3 trials, none pruned"):  # fmt: skip
        assert text in fresh.out
    assert mtl_train(*words, "hydra.sweeper.n_trials=1").code == 0
    before = everything(tmp_path, cache)
    later = mtl_train(*words, "dry_run=true")
    assert later.code == 0, later.err
    assert everything(tmp_path, cache) == before
    assert "1 ended, 2 to go" in later.out
    other = mtl_train(*words, "dry_run=true", "optimizer.lr=0.5")
    assert other.code == 2
    assert "optimizer.lr" in other.err and "0.5" in other.err


def test_an_empty_database_stays_empty(tmp_path):
    database = tmp_path / "study.db"
    options = SweeperConfig(storage=f"sqlite:///{database}", study_name="mine")
    assert known_trials(options, tmp_path, {}) == []
    assert not database.exists()
    database.touch()
    assert known_trials(options, tmp_path, {}) == []
    assert database.stat().st_size == 0


def test_the_trials_of_a_study_are_found(tmp_path):
    study = optuna.create_study(storage=f"sqlite:///{tmp_path / 'study.db'}", study_name="mine")
    study.tell(study.ask(), 1.0)
    study.ask()
    trials = known_trials(SweeperConfig(study_name="mine"), tmp_path, {})
    assert [trial.state for trial in trials] == [TrialState.COMPLETE, TrialState.RUNNING]
    assert known_trials(SweeperConfig(study_name="another"), tmp_path, {}) == []
