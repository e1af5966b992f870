"""A study's database: what is said of it, and what a sweep does while it does not answer."""

import logging
import socket
import time
from dataclasses import replace

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.study import storage
from mtl_sharing.sweep.study.storage import (
    DatabaseGone,
    back_since,
    location_of,
    open_storage,
    patience,
    patiently,
)
from mtl_sharing.sweep.study.study import open_study
from support import QUICK

SECRET = "h0rse%2Fstaple"


@pytest.fixture
def silent_port():
    """A port of this machine that nobody answers at."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
def no_pauses(monkeypatch):
    """Pauses pass at once; how long they were is in the list."""
    pauses: list[float] = []
    monkeypatch.setattr(storage.time, "sleep", pauses.append)
    return pauses


def test_a_location_has_no_user_no_password_and_no_options():
    url = f"postgresql+psycopg://ann:{SECRET}@db.example:5433/study?sslkey=mine"
    assert location_of(url) == "postgresql+psycopg://db.example:5433/study"


@pytest.mark.parametrize("url", [
    "study", f"postgresql://ann:{SECRET}@db:port/study", f"postgresql://ann:{SECRET}@x@db/study",
])  # fmt: skip
def test_what_is_no_url_is_not_quoted(url):
    with pytest.raises(UserError) as raised:
        location_of(url)
    assert "hydra.sweeper.storage" in str(raised.value)
    assert SECRET not in str(raised.value) and "port" not in str(raised.value).split("allowed")[0]


def test_a_database_that_nobody_runs(mtl_train, silent_port, no_pauses, caplog):
    url = f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:{silent_port}/study"
    done = mtl_train("-m", "+sweep=split_points", *QUICK, "score.objective=performance",
                     f"hydra.sweeper.storage={url}")  # fmt: skip
    assert done.code == 2
    assert f"postgresql+psycopg://127.0.0.1:{silent_port}/study" in done.err
    assert "runs and lets this user in" in done.err
    assert sum(no_pauses) == pytest.approx(storage.FIRST_S)
    for words in (done.out, done.err, caplog.text):
        assert SECRET not in words and "ann" not in words.replace("cannot", "")
    written = [path for path in done.cwd.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in written)


def test_a_host_that_says_nothing_is_not_waited_for(monkeypatch, tmp_path):
    """It takes connections and never answers, as behind some firewalls."""
    pytest.importorskip("psycopg")
    monkeypatch.setattr(storage, "FIRST_S", 1.0)
    monkeypatch.setattr(storage, "CONNECT_S", 2)
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen(16)
        began = time.monotonic()
        with pytest.raises(DatabaseGone):
            open_storage(f"postgresql+psycopg://a@127.0.0.1:{mute.getsockname()[1]}/s", tmp_path)
    assert time.monotonic() - began < 20


def test_a_driver_that_is_not_installed_is_named(tmp_path):
    with pytest.raises(UserError, match=r"mtl-sharing\[postgres\]"):
        open_storage(f"postgresql+asyncpg://ann:{SECRET}@db/study", tmp_path)


@pytest.fixture
def study(tmp_path):
    options = SweeperConfig(study_name="s", sampler={"_target_": "optuna.samplers.RandomSampler"})
    return open_study(options, tmp_path, ["maximize"], {})


@pytest.fixture
def fails():
    """Makes the next statements of a database fail."""
    left: list[Exception] = []

    def fail(*_: object) -> None:
        if left:
            raise left.pop()

    def fails(times: int, kind: type = OperationalError) -> None:
        left[:] = [kind("select", {}, Exception("the server is gone")) for _ in range(times)]

    event.listen(Engine, "before_cursor_execute", fail)
    yield fails
    event.remove(Engine, "before_cursor_execute", fail)


def test_nothing_is_lost_or_done_twice_by_a_database_that_comes_back(
    study, fails, no_pauses, caplog
):
    before = back_since()
    options = SweeperConfig(sampler={"_target_": "optuna.samplers.RandomSampler", "seed": 1})
    splits = IntDistribution(0, 12)
    for number in range(5):
        fails(number)
        assert study.add_trial({"a": number}) == number
        fails(number)
        point = study.draw(number, options, lambda suggest: {"split": suggest("split", splits)})
        fails(number)
        assert study.set_attrs(number, b=number)
        fails(number)
        assert study.report(number, 1, 0.5 * number)
        fails(number)
        assert study.trial(number).params == point
        fails(number)
        study.tell(number, TrialState.COMPLETE, [float(number)])
    trials = study.trials()
    assert [trial.number for trial in trials] == [0, 1, 2, 3, 4]
    assert [trial.value for trial in trials] == [0, 1, 2, 3, 4]
    assert [trial.intermediate_values for trial in trials] == [{1: 0.5 * n} for n in range(5)]
    assert [(t.user_attrs["a"], t.user_attrs["b"]) for t in trials] == [(n, n) for n in range(5)]
    assert len(no_pauses) > 5 and back_since() > before
    assert "the server is gone; waiting for it" in caplog.text and "responds again" in caplog.text


def test_a_trial_that_has_ended_stays_as_it_is(study):
    study.add_trial({"a": 1})
    study.tell(0, TrialState.COMPLETE, [1.0])
    assert not study.set_attrs(0, a=2)
    assert not study.report(0, 1, 0.5)
    study.tell(0, TrialState.FAIL, None)
    trial = study.trial(0)
    assert (trial.state, trial.user_attrs["a"]) == (TrialState.COMPLETE, 1)
    assert trial.intermediate_values == {}


@pytest.mark.usefixtures("no_pauses")
def test_only_the_outermost_call_is_repeated():
    """A nested one that fails starts the whole transaction again."""
    done = []

    def inner() -> str:
        done.append("inner")
        if done.count("inner") < 3:
            raise OperationalError("select", {}, Exception("the server is gone"))
        return "result"

    def outer() -> str:
        done.append("outer")
        return patiently(inner, "a database")

    assert patiently(outer, "a database") == "result"
    assert done == ["outer", "inner"] * 3


def test_patience_ends(study, fails, no_pauses):
    fails(1000)
    with patience(60), pytest.raises(DatabaseGone) as raised:
        study.trials()
    assert "the server is gone" in str(raised.value)
    assert sum(no_pauses) == pytest.approx(60)
    no_pauses.clear()
    with patience(0), pytest.raises(DatabaseGone):
        study.trials()
    assert no_pauses == []


def test_an_error_that_stays_is_not_waited_for(study, fails, no_pauses):
    fails(1, ProgrammingError)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        study.trials()
    assert no_pauses == []


@pytest.fixture(autouse=True)
def _levels():
    """What optuna and a sweep set for the process is put back."""
    level = optuna.logging.get_verbosity()
    logging.getLogger("mtl_sharing").setLevel(logging.INFO)
    yield
    optuna.logging.set_verbosity(level)


@pytest.mark.parametrize("sampler", ["RandomSampler", "TPESampler"])
@pytest.mark.parametrize("stored", [0, 1, 2, 3])
def test_a_kill_between_two_parameters_changes_none(tmp_path, sampler, stored):
    options = SweeperConfig(sampler={"_target_": f"optuna.samplers.{sampler}", "seed": 1})
    names = ("a", "b", "c")

    def draw(count):
        return lambda suggest: {n: suggest(n, FloatDistribution(0, 1)) for n in names[:count]}

    points = []
    for name, counts in (("whole", [3]), ("killed", [stored, 3])):
        study = open_study(replace(options, study_name=name), tmp_path / name, ["maximize"], {})
        number = study.add_trial({})
        points += [study.draw(number, options, draw(count)) for count in counts][-1:]
    assert points[0] == points[1] and len(points[0]) == 3
