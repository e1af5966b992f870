"""Where a study lies: SQLite in the sweep's folder, or a database."""

import logging
import time
import warnings
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from mtl_sharing.errors import UserError

log = logging.getLogger(__name__)

STUDY_FILE = "study.db"
WHERE = "hydra.sweeper.storage"
_PAUSES_S = (0.5, 1.0, 2.0, 4.0)
_ALLOWED = "the URL of a database that runs and lets this user in, or null for SQLite"
Result = TypeVar("Result")
DATABASE_ERRORS = (SQLAlchemyError, StorageInternalError)


def open_storage(url: str | None, folder: Path) -> RDBStorage:
    """The storage of a sweep in ``folder``, the same object for the same place.

    Raises:
        UserError: it cannot be reached, also not after some seconds; never with its URL.
    """
    return _open(url or f"sqlite:///{folder.resolve() / STUDY_FILE}")


@lru_cache(maxsize=4)
def _open(url: str) -> RDBStorage:
    place = place_of(url)
    # Optuna's own lines would say the URL's host and every trial's number once more.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    waits = (
        {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    )
    try:
        # Two first starts at once may meet while they create the tables: the second finds them.
        return patiently(lambda: RDBStorage(url, engine_kwargs=waits), place)
    except (ImportError, NoSuchModuleError) as error:
        found = f"{place}, without a driver for it ({error})"
        raise UserError(WHERE, found, "pip install 'mtl-sharing[postgres]'") from None
    except RuntimeError as error:
        raise UserError(WHERE, f"{place}: {error}", "a study of this version of optuna") from None


def place_of(url: str) -> str:
    """The URL without user and password.

    Raises:
        UserError: it is no URL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise UserError(WHERE, "no URL of a database", "sqlite:///FILE or "
                        "postgresql+psycopg://USER@HOST/DATABASE") from None  # fmt: skip
    return parsed.set(username=None, password=None, query={}).render_as_string()


def patiently(work: Callable[[], Result], place: str) -> Result:
    """Does ``work``, again after pauses while the database does not answer.

    Raises:
        UserError: it does not answer at all.
    """
    for pause in (*_PAUSES_S, None):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of features that optuna calls experimental
                return work()
        except DATABASE_ERRORS as error:
            reason = _reason(error)
            if pause is None:
                raise UserError(WHERE, f"{place}: {reason}", _ALLOWED) from None
            log.warning("%s: %s; once more in %g s", place, reason, pause)
            time.sleep(pause)
    raise AssertionError


def _reason(error: BaseException) -> str:
    """The database's own words, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    words = str(getattr(cause, "orig", None) or cause or error)
    return " ".join(words.split())[:300]
