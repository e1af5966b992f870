"""The storage of a study, and retries while its database does not respond."""

import logging
import sqlite3
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import lru_cache, partial, wraps
from pathlib import Path
from typing import Any, TypeVar, cast

import optuna
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, RDBStorage, get_storage
from sqlalchemy import create_engine, exc, inspect
from sqlalchemy.engine import URL, make_url

from mtl_sharing.config.credentials import redacted
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import STUDY
from mtl_sharing.run_folder.lock import check_plain_folder

log = logging.getLogger(__name__)

WHERE = "hydra.sweeper.storage"
# Retry window of the first connection, and of every later operation.
FIRST_S, LATER_S = 8.0, 300.0
# PostgreSQL's timeouts: of connecting, and of a connection without traffic.
CONNECT_S, SILENT_S = 5, 10
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 10.0
ROOM = "a folder that can be written, on a disk with room; then the same command goes on"
_ALLOWED = "the URL of a database that runs and lets this user in, or null for SQLite"
_FORMS = "sqlite:///FILE or postgresql+psycopg://USER@HOST/DATABASE"
_TRANSIENT = (
    exc.OperationalError, exc.InterfaceError, exc.InternalError, exc.IntegrityError,
    exc.TimeoutError,
)  # fmt: skip
_window: ContextVar[float] = ContextVar("window", default=LATER_S)
_retrying: ContextVar[bool] = ContextVar("retrying", default=False)
_UNWRITABLE = (
    sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
)  # fmt: skip
Result = TypeVar("Result")
Method = TypeVar("Method", bound=Callable[..., Any])
_back = float("-inf")


def back_since() -> float:
    """When a database last came back, by the monotonic clock; silence before means nothing."""
    return _back


class DatabaseGone(UserError):
    """The database did not respond within the retry window."""


class DatabaseUnwritable(DatabaseGone):
    """SQLite's file takes no more: a full disk, or a folder that cannot be written."""


DATABASE_ERRORS = (exc.SQLAlchemyError, StorageInternalError, DatabaseGone)


@contextmanager
def _set(variable: ContextVar[Any], value: Any) -> Iterator[None]:
    token = variable.set(value)
    try:
        yield
    finally:
        variable.reset(token)


def patience(seconds: float) -> AbstractContextManager[None]:
    """Sets this thread's retry window within the block."""
    return _set(_window, seconds)


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """Opens the storage of the sweep in ``folder``; raises what :func:`open_url` does."""
    return open_url(_url(url, folder))


def _url(url: str | None, folder: Path) -> str:
    if not url:
        check_plain_folder(folder)
    return url or f"sqlite:///{folder.resolve() / STUDY}"


@lru_cache(maxsize=4)
def open_url(url: str) -> BaseStorage:
    """Opens the storage at a URL, or returns the one that is open.

    Raises:
        UserError: it cannot be reached within some seconds. The message never shows its URL.
    """
    location = location_of(url)
    # Optuna's log would show the URL's host, and repeat each trial's number.
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    connect = partial(RDBStorage, url, engine_kwargs=_engine_arguments(url))
    try:
        # Every error is retried: of two sweeps that create the tables at once one fails.
        storage = patiently(connect, location, FIRST_S, lambda error: True)
    except (ImportError, exc.NoSuchModuleError) as error:
        found = f"{location}, without a driver for it ({error})"
        raise UserError(WHERE, found, "pip install 'mtl-sharing[postgres]'") from None
    except RuntimeError as error:
        raise UserError(
            WHERE, f"{location}: {error}", "a study of this version of optuna"
        ) from None
    return get_storage(storage)  # caches finished trials, which are read often


def has_studies(url: str | None, folder: Path) -> bool:
    """Whether the database has Optuna's tables; opening a storage would create them."""
    location, parsed = location_of(url), make_url(_url(url, folder))
    if parsed.drivername.startswith("sqlite") and not Path(parsed.database or "").is_file():
        return False  # a connection would create the file

    def look() -> bool:
        engine = create_engine(parsed, **_engine_arguments(parsed))
        try:
            return inspect(engine).has_table("studies")
        finally:
            engine.dispose()

    try:
        return patiently(look, location)
    except (ImportError, exc.NoSuchModuleError):
        return True  # opening it names the missing package


def _engine_arguments(url: str | URL) -> dict[str, Any]:
    """SQLAlchemy's arguments: timeouts of SQLite's lock, or of an unresponsive host."""
    driver = make_url(url).drivername
    if driver.startswith("sqlite"):
        return {"connect_args": {"timeout": 60}}
    if driver not in ("postgresql", "postgresql+psycopg", "postgresql+psycopg2"):
        return {"pool_pre_ping": True}
    timeouts = {"connect_timeout": CONNECT_S, "tcp_user_timeout": 1000 * SILENT_S,
                "keepalives_idle": SILENT_S, "keepalives_interval": 2,
                "keepalives_count": 3}  # fmt: skip
    return {"pool_pre_ping": True, "connect_args": timeouts}


def location_of(url: str | URL | None) -> str:
    """The database's URL without user, password and options; the file's name for SQLite's default.

    Raises:
        UserError: it is no URL.
    """
    if url is None:
        return STUDY
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        # The error's own message would quote the URL.
        raise UserError(WHERE, "no URL of a database", _FORMS) from None
    host, port, database = parsed.host, parsed.port, parsed.database
    is_file = parsed.drivername.startswith("sqlite")
    if "@" in (host or "") or ("@" in (database or "") and not is_file):
        raise UserError(WHERE, "a password with a bare @", f"{_FORMS}, @ written as %40")
    if isinstance(url, str) and not {"{", "}"}.isdisjoint(url):  # Optuna formats it
        raise UserError(
            WHERE, "a URL with a bare { or }", f"{_FORMS}, {{ written as %7B, }} as %7D"
        )
    bare = URL.create(parsed.drivername, host=host, port=port, database=database)
    return bare.render_as_string()


def is_transient(error: BaseException | None) -> bool:
    """Whether a database's error may be over in a moment."""
    if isinstance(error, StorageInternalError):
        return is_transient(error.__cause__)
    return isinstance(error, _TRANSIENT) or bool(getattr(error, "connection_invalidated", False))


def _is_unwritable(error: BaseException | None) -> bool:
    """Whether SQLite could not use its file. Room may come back, but not soon."""
    if isinstance(error, StorageInternalError):
        return _is_unwritable(error.__cause__)
    code = getattr(getattr(error, "orig", None), "sqlite_errorcode", 0)
    return code & 0xFF in _UNWRITABLE  # the low byte of an extended code


def patiently(
    work: Callable[[], Result],
    location: str,
    seconds: float | None = None,
    retries: Callable[[BaseException], bool] = is_transient,
) -> Result:
    """Calls ``work``, and repeats it after pauses while the database does not respond.

    Args:
        location: the database as messages show it.
        seconds: the retry window; None is that of :func:`patience`.
        retries: whether an error of the database is one to retry after.

    Raises:
        DatabaseGone: the database did not respond within the retry window.
        DatabaseUnwritable: its file takes no more, after some seconds.
    """
    if _retrying.get():
        return work()  # nested calls are not retried: the outermost repeats the whole transaction
    window, pause = _window.get() if seconds is None else seconds, _FIRST_PAUSE_S
    end, paused = time.monotonic() + window, 0.0
    while True:
        try:
            result = _attempt(work)
        except (exc.SQLAlchemyError, StorageInternalError) as error:
            if not retries(error):
                raise
            # Counts pauses too, so that a test may skip them.
            unwritable = _is_unwritable(error)
            most = min(window, FIRST_S) if unwritable else window
            left = min(end - time.monotonic(), most - paused)
            if left <= 0 and unwritable:
                raise DatabaseUnwritable(location, _reason(error), ROOM) from None
            if left <= 0:
                raise DatabaseGone(WHERE, f"{location}: {_reason(error)}", _ALLOWED) from None
            if not paused:
                log.warning("%s: %s; waiting for it", location, _reason(error))
        else:
            if paused:
                log.warning("%s responds again", location)
                global _back
                _back = time.monotonic()
            return result
        time.sleep(min(pause, left))
        paused, pause = paused + min(pause, left), min(2 * pause, _LONGEST_PAUSE_S)


def _attempt(work: Callable[[], Result]) -> Result:
    with warnings.catch_warnings(), _set(_retrying, True):
        warnings.simplefilter("ignore")  # Optuna's, of experimental features
        return work()


def patient(method: Method) -> Method:
    """Decorates a method that uses the database at ``self.location``: it runs :func:`patiently`."""

    @wraps(method)
    def call(self: Any, *args: Any, **named: Any) -> Any:
        return patiently(partial(method, self, *args, **named), self.location)

    return cast(Method, call)


def _reason(error: BaseException) -> str:
    """The database's own message, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    message = str(getattr(cause, "orig", None) or cause or error)
    return redacted(" ".join(message.split()))[:300]
