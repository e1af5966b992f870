"""Where a study lies: SQLite in the sweep's folder, or a database that may go away for a while."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import (
    ArgumentError,
    IntegrityError,
    InterfaceError,
    InternalError,
    NoSuchModuleError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout

from mtl_sharing.errors import UserError

log = logging.getLogger(__name__)

STUDY_FILE = "study.db"
WHERE = "hydra.sweeper.storage"
# How long a first answer is waited for, and one in the middle of a sweep.
FIRST_S, LATER_S = 8.0, 300.0
# Of PostgreSQL: until a connection stands, and until one that says nothing is given up.
_CONNECT_S, _SILENT_S = 5, 10
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
_ALLOWED = "the URL of a database that runs and lets this user in, or null for SQLite"
_FORMS = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
_PASSING = (OperationalError, InterfaceError, InternalError, IntegrityError, PoolTimeout)
_patience: ContextVar[float] = ContextVar("patience", default=LATER_S)
_inside: ContextVar[bool] = ContextVar("inside", default=False)
Result = TypeVar("Result")
_back = float("-inf")


def back_since() -> float:
    """When a database last answered again, by the monotonic clock: silence before says nothing."""
    return _back


class DatabaseGone(UserError):
    """A database does not answer, also not after some time."""


DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError, DatabaseGone)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """How long this thread waits inside for a database that does not answer."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The storage of a sweep in ``folder``, the same object for the same place.

    It waits for a database that goes away for a while, as long as :func:`patience` says.

    Raises:
        UserError: it cannot be reached, also not after some seconds; never with its URL.
    """
    return _open(url or f"sqlite:///{folder.resolve() / STUDY_FILE}")


@lru_cache(maxsize=4)
def _open(url: str) -> BaseStorage:
    place = place_of(url)
    # Optuna's own lines would say the URL's host and every trial's number once more.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    arguments = engine_arguments(url)
    try:
        # Two first starts at once may meet while they create the tables: the second finds them.
        made = patiently(
            lambda: PatientStorage(url, engine_kwargs=arguments), place, FIRST_S, lambda error: True
        )
        # With optuna's own memory of trials that have ended, which are read often.
        return get_storage(made)
    except (ImportError, NoSuchModuleError) as error:
        found = f"{place}, without a driver for it ({error})"
        raise UserError(WHERE, found, "pip install 'mtl-sharing[postgres]'") from None
    except RuntimeError as error:
        raise UserError(WHERE, f"{place}: {error}", "a study of this version of optuna") from None


def engine_arguments(url: str | URL) -> dict[str, Any]:
    """How long one attempt waits: for SQLite's lock, or for a host that says nothing."""
    driver = make_url(url).drivername
    if driver.startswith("sqlite"):
        return {"connect_args": {"timeout": 60}}
    if driver not in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        return {"pool_pre_ping": True}
    waits = {
        "connect_timeout": _CONNECT_S,
        "tcp_user_timeout": 1000 * _SILENT_S,
        "keepalives_idle": _SILENT_S,
        "keepalives_interval": 2,
        "keepalives_count": 3,
    }
    return {"pool_pre_ping": True, "connect_args": waits}


def place_of(url: str | URL) -> str:
    """The URL without user, password and options.

    Raises:
        UserError: it is no URL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        # Not the error's own words: they quote what could not be read.
        raise UserError(WHERE, "no URL of a database", _FORMS) from None
    if "@" in (parsed.host or ""):
        raise UserError(WHERE, "a password with a bare @", f"{_FORMS}, @ written as %40")
    bare = URL.create(
        parsed.drivername, host=parsed.host, port=parsed.port, database=parsed.database
    )
    return bare.render_as_string()


def patiently(
    work: Callable[[], Result],
    place: str,
    seconds: float | None = None,
    again: Callable[[BaseException], bool] | None = None,
) -> Result:
    """Does ``work``, again after pauses while the database does not answer.

    Args:
        place: the database, in words that may be shown.
        seconds: how long; None is as long as :func:`patience` says.
        again: whether an error of the database's is one to wait after; None is :func:`passes`.

    Raises:
        DatabaseGone: it does not answer at all.
    """
    wait, pause = _patience.get() if seconds is None else seconds, _FIRST_PAUSE_S
    end, paused, told = time.monotonic() + wait, 0.0, False
    while True:
        try:
            result = _without_warnings(work)
        except (SQLAlchemyError, StorageInternalError) as error:
            if not (again or passes)(error):
                raise
            # By the clock, since an attempt may take its time, and by the pauses.
            left = min(end - time.monotonic(), wait - paused)
            if left <= 0:
                found = f"{place}: {_reason(error)}"
                raise DatabaseGone(WHERE, found, _ALLOWED) from None
            if not told:
                log.warning("%s: %s; waiting for it", place, _reason(error))
            told = True
        else:
            if told:
                log.warning("%s answers again", place)
                global _back
                _back = time.monotonic()
            return result
        time.sleep(min(pause, left))
        paused, pause = paused + min(pause, left), min(2 * pause, _LONGEST_PAUSE_S)


def _without_warnings(work: Callable[[], Result]) -> Result:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of features that optuna calls experimental
        return work()


def passes(error: BaseException | None) -> bool:
    """Whether an error of the database's may be over in a moment."""
    if isinstance(error, StorageInternalError):
        return passes(error.__cause__)
    return isinstance(error, _PASSING) or bool(getattr(error, "connection_invalidated", False))


def _reason(error: BaseException) -> str:
    """The database's own words, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    words = str(getattr(cause, "orig", None) or cause or error)
    return " ".join(words.split())[:300]


class PatientStorage(RDBStorage):
    """Optuna's storage, each of whose operations waits for a database that does not answer.

    Operations are transactions, so one that failed is done again from its beginning. Where only
    the answer was lost it is done twice: a mark or report is written again, and a new trial is
    asked for again, whose first one ends as lost.
    """


def _patient(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    def call(self: PatientStorage, *args: Any, **named: Any) -> Any:
        def work() -> Any:
            token = _inside.set(True)
            try:
                return method(self, *args, **named)
            finally:
                _inside.reset(token)

        # What an operation calls itself does not wait on its own.
        return work() if _inside.get() else patiently(work, place_of(self.url))

    return call


_OPERATIONS = BaseStorage.__abstractmethods__ | {
    "get_trial_id_from_study_id_trial_number",
    # What optuna's cache over a storage calls.
    "_create_new_trial",
    "_set_trial_param",
    "_get_best_trial_id",
    "_get_trials",
}
for _name in sorted(_OPERATIONS):
    setattr(PatientStorage, _name, _patient(getattr(RDBStorage, _name)))
