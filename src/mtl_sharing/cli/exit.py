"""Exit codes and messages for mistakes, interruptions and full disks."""

import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from hydra.errors import HydraException

from mtl_sharing.config.compose import COMPOSING
from mtl_sharing.config.credentials import redacted
from mtl_sharing.config.mistakes import config_error
from mtl_sharing.errors import (
    FULL,
    Stopped,
    SweepStopped,
    UserError,
    is_interrupt,
    storage_error,
)
from mtl_sharing.run_folder.layout import RESULT, resume_command
from mtl_sharing.utils.logging import lose_output, take_lost_output
from mtl_sharing.utils.signals import interrupts, unanswered
from mtl_sharing.utils.terminal import escape_unencodable, printable

MISTAKE, INTERRUPTED, READER_GONE = 2, 130, 141
AT_ONCE = "stopped at once; the last checkpoint is kept"
_WHOLE = "stopped; no file is left half written"


def run_command(
    work: Callable[[], object],
    debug: bool,
    program: str,
    stopped: str = _WHOLE,
    folder: Path | None = None,
) -> None:
    """Calls ``work`` with signals to stop raising KeyboardInterrupt, so that it can clean up.

    Takes and raises what :func:`exit_on_failure` does.
    """
    escape_unencodable(sys.stdout)
    with interrupts():
        exit_on_failure(work, debug, program, stopped, folder)


def exit_on_failure(
    work: Callable[[], object],
    debug: bool,
    program: str = "mtl-train",
    stopped: str = AT_ONCE,
    folder: Path | None = None,
) -> None:
    """Calls ``work``; a failure that is no bug ends the process with one message.

    Args:
        debug: show the traceback too.
        program: name of the command, printed before the message.
        stopped: message after an interruption that carries none of its own.
        folder: the run's, where it is known.

    Raises:
        SystemExit: with 2 for a mistake, 130 for an interruption, 141 where stdout was closed.
    """
    code, message, nameless = _end(work, debug, stopped, folder)
    if isinstance(lost := take_lost_output(probe=nameless), BrokenPipeError):
        # The reader of stdout is gone (mtl-train --help | head): a message has no reader either.
        sys.exit(READER_GONE)
    if lost is not None:
        found = lost.strerror or lost
        mistake = UserError("the standard output", found, "a terminal, a pipe or a disk with room")
        parts = [str(mistake), None if nameless else message]
        code, message = MISTAKE, "; ".join(filter(None, parts))
    if message is not None:
        with suppress(OSError):
            print(printable(f"{program}: {redacted(message)}"), file=sys.stderr)
        sys.exit(code)


def _end(
    work: Callable[[], object], debug: bool, stopped: str, folder: Path | None
) -> tuple[int, str | None, bool]:
    """Exit code and message of ``work``, and whether a failed write named no file.

    There is no message where it succeeds. Raises a bug's error.
    """
    try:
        work()
    except SweepStopped:
        return INTERRUPTED, "stopped; the same command goes on with the sweep", False
    except Stopped as stop:
        return INTERRUPTED, f"stopped; go on with: {resume_command(stop)}", False
    except (BrokenPipeError, SystemExit) as error:
        lose_output(error)
    except KeyboardInterrupt:
        return INTERRUPTED, stopped, False
    except Exception as error:
        if unanswered() and storage_error(error) is None:
            return INTERRUPTED, stopped, False  # a library has made another error of it
        code, message = explain(error, folder)
        if message is None:
            raise
        if debug:
            print(redacted(traceback.format_exc()), end="", file=sys.stderr)
        return code, message, isinstance(error, OSError) and error.filename is None
    return 0, None, False


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
    if isinstance(error, OSError):
        return MISTAKE, str(_system_error(error, folder))
    if isinstance(error, RecursionError):
        found = "values nested too deeply"
        return MISTAKE, str(UserError("a config or a file", found, "some hundred levels"))
    return (INTERRUPTED, AT_ONCE) if is_interrupt(error) else (1, None)


def _system_error(error: OSError, folder: Path | None) -> UserError:
    path, reason = error.filename or folder or "the output", error.strerror or error
    if error.errno not in FULL:
        return UserError(str(path), reason, "a place that exists, can be written and has room")
    is_begun = folder is not None and (folder / RESULT).exists()
    again = resume_command(folder) if is_begun else "the same command again"
    found = f"{reason}: the disk or the quota is full"
    return UserError(str(path), found, f"a place with room; make some, then: {again}")
