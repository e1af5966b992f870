"""A study's database: what is said of it, and what a sweep does while it does not answer."""

import logging
import socket
import time

import optuna
import pytest
from sqlalchemy import event
from sqlalchemy.exc import OperationalError, ProgrammingError

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.study import storage as places
from mtl_sharing.sweep.study.storage import (
    DatabaseGone,
    back_since,
    open_storage,
    patience,
    place_of,
)
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
    found: list[float] = []
    monkeypatch.setattr(places.time, "sleep", found.append)
    return found


def test_a_place_has_no_user_no_password_and_no_options():
    url = f"postgresql+psycopg://ann:{SECRET}@db.example:5433/study?sslkey=mine"
    assert place_of(url) == "postgresql+psycopg://db.example:5433/study"


@pytest.mark.parametrize("url", [
    "study", f"postgresql://ann:{SECRET}@db:port/study", f"postgresql://ann:{SECRET}@x@db/study",
])  # fmt: skip
def test_what_is_no_url_is_not_quoted(url):
    with pytest.raises(UserError) as raised:
        place_of(url)
    assert "hydra.sweeper.storage" in str(raised.value)
    assert SECRET not in str(raised.value) and "port" not in str(raised.value).split("allowed")[0]


def test_a_database_that_nobody_runs(mtl_train, silent_port, no_pauses, caplog):
    url = f"postgresql+psycopg://ann:{SECRET}@127.0.0.1:{silent_port}/study"
    done = mtl_train("-m", "+sweep=split_points", *QUICK, "score.objective=performance",
                     f"hydra.sweeper.storage={url}")  # fmt: skip
    assert done.code == 2
    assert f"postgresql+psycopg://127.0.0.1:{silent_port}/study" in done.err
    assert "runs and lets this user in" in done.err
    assert sum(no_pauses) == pytest.approx(places.FIRST_S)
    for words in (done.out, done.err, caplog.text):
        assert SECRET not in words and "ann" not in words.replace("cannot", "")
    written = [path for path in done.cwd.rglob("*") if path.is_file()]
    assert not any(SECRET.encode() in path.read_bytes() for path in written)


def test_a_host_that_says_nothing_is_not_waited_for(monkeypatch, tmp_path):
    """It takes connections and never answers, as behind some firewalls."""
    pytest.importorskip("psycopg")
    monkeypatch.setattr(places, "FIRST_S", 1.0)
    monkeypatch.setattr(places, "_CONNECT_S", 2)
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
def failing(tmp_path):
    """A study over a database, and a function that has its next statements fail."""
    storage = open_storage(None, tmp_path)
    study = optuna.create_study(storage=storage, study_name="s", direction="maximize")
    left: list[Exception] = []

    @event.listens_for(storage._backend.engine, "before_cursor_execute")
    def fail(*_: object) -> None:
        if left:
            raise left.pop()

    def fails(times: int, kind: type = OperationalError) -> None:
        left[:] = [kind("select", {}, Exception("the server is gone")) for _ in range(times)]

    return storage._backend, study, fails  # without what optuna remembers


def test_nothing_is_lost_or_done_twice_by_a_database_that_comes_back(failing, no_pauses, caplog):
    _, study, fails = failing
    before = back_since()
    for number in range(5):
        fails(number)
        trial = study.ask()
        fails(number)
        trial.suggest_int("split", 0, 12)
        fails(number)
        trial.report(0.5 * number, 1)
        fails(number)
        study.tell(trial, float(number))
    found = study.trials
    assert [trial.number for trial in found] == [0, 1, 2, 3, 4]
    assert [trial.value for trial in found] == [0, 1, 2, 3, 4]
    assert [trial.intermediate_values for trial in found] == [{1: 0.5 * n} for n in range(5)]
    assert len(no_pauses) > 5 and back_since() > before
    assert "the server is gone; waiting for it" in caplog.text and "answers again" in caplog.text


def test_patience_ends(failing, no_pauses):
    storage, study, fails = failing
    fails(1000)
    with patience(60), pytest.raises(DatabaseGone) as raised:
        storage.get_all_trials(study._study_id)
    assert "the server is gone" in str(raised.value)
    assert sum(no_pauses) == pytest.approx(60)
    no_pauses.clear()
    with patience(0), pytest.raises(DatabaseGone):
        storage.get_all_trials(study._study_id)
    assert no_pauses == []


def test_an_error_that_stays_is_not_waited_for(failing, no_pauses):
    storage, study, fails = failing
    fails(1, ProgrammingError)
    with pytest.raises(optuna.exceptions.StorageInternalError):
        storage.get_all_trials(study._study_id)
    assert no_pauses == []


@pytest.fixture(autouse=True)
def _levels():
    """What optuna and a sweep set for the process is put back."""
    level = optuna.logging.get_verbosity()
    logging.getLogger("mtl_sharing").setLevel(logging.INFO)
    yield
    optuna.logging.set_verbosity(level)
