"""Exit codes and messages for mistakes, interruptions and full disks."""

import os
import shlex
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from hydra.errors import HydraException

from mtl_sharing.config.compose import COMPOSING
from mtl_sharing.config.credentials import redacted
from mtl_sharing.config.mistakes import config_error
from mtl_sharing.errors import Stopped, SweepStopped, UserError, is_interrupt
from mtl_sharing.run_folder.layout import RESULT
from mtl_sharing.utils.files import FULL
from mtl_sharing.utils.terminal import printable

MISTAKE, INTERRUPTED, READER_GONE = 2, 130, 141
_AT_ONCE = "stopped at once; the last checkpoint is kept"


def run_command(work: Callable[[], object], debug: bool, program: str) -> None:
    """Calls ``work`` with SIGINT and SIGTERM raising KeyboardInterrupt, so that it can clean up.

    Takes and raises what :func:`exit_on_failure` does.
    """
    stop = signal.default_int_handler
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        exit_on_failure(work, debug, program, "stopped; no file is left half written")
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


def exit_on_failure(
    work: Callable[[], object],
    debug: bool,
    program: str = "mtl-train",
    stopped: str = _AT_ONCE,
    folder: Path | None = None,
) -> None:
    """Calls ``work``; a failure that is no bug ends the process with one message.

    Args:
        debug: show the traceback too.
        program: name of the command, printed before the message.
        stopped: message after an interruption that carries none of its own.
        folder: of the run, for messages.

    Raises:
        SystemExit: with 2 for a mistake, 130 for an interruption, 141 where stdout was closed.
    """
    try:
        work()
        return
    except SweepStopped:
        code, message = INTERRUPTED, "stopped; the same command goes on with the sweep"
    except Stopped as stop:
        code, message = INTERRUPTED, f"stopped; go on with: {resume_command(stop)}"
    except BrokenPipeError:
        # The reader of stdout is gone (mtl-train --help | head): a message has no reader either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)
    except KeyboardInterrupt:
        code, message = INTERRUPTED, stopped
    except Exception as error:
        code, explanation = explain(error, folder)
        if explanation is None:
            raise
        if debug:
            print(redacted(traceback.format_exc()), end="", file=sys.stderr)
        message = explanation
    print(printable(f"{program}: {redacted(message)}"), file=sys.stderr)
    sys.exit(code)


def resume_command(folder: object) -> str:
    """The shell command that goes on with the run in ``folder``."""
    return shlex.join(["mtl-train", f"resume={folder}"])


def explain(error: Exception, folder: Path | None = None) -> tuple[int, str | None]:
    """Exit code and message for an error, in the run of ``folder``; no message for a bug."""
    if isinstance(error, UserError):
        return MISTAKE, str(error)
    if isinstance(error, COMPOSING):
        return MISTAKE, str(config_error(error))
    # Path.expanduser, where no field is known.
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return MISTAKE, str(UserError("a path", "the home of an unknown user", "~/ or ./~NAME"))
    # The logging package wraps the failure to open train.log, and Hydra's to call what is refused.
    if isinstance(error, ValueError):
        for cause in (error.__cause__, getattr(error.__cause__, "__cause__", None)):
            if isinstance(cause, OSError | UserError | HydraException):
                return explain(cause, folder)
    if isinstance(error, HydraException):
        return MISTAKE, str(config_error(error))
    if isinstance(error, OSError):
        return MISTAKE, str(_system_error(error, folder))
    if isinstance(error, RecursionError):
        found = "values nested too deeply"
        return MISTAKE, str(UserError("a config or a file", found, "some hundred levels"))
    return (INTERRUPTED, _AT_ONCE) if is_interrupt(error) else (1, None)


def _system_error(error: OSError, folder: Path | None) -> UserError:
    path, reason = error.filename or folder or "the output", error.strerror or error
    if error.errno not in FULL:
        return UserError(str(path), reason, "a place that exists, can be written and has room")
    is_begun = folder is not None and (folder / RESULT).exists()
    again = resume_command(folder) if is_begun else "the same command again"
    found = f"{reason}: the disk or the quota is full"
    return UserError(str(path), found, f"a place with room; make some, then: {again}")
