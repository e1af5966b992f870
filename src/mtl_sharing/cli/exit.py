"""What went wrong, in one message: the user's mistakes, Hydra's complaints, a full disk."""

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config import Config
from mtl_sharing.data.tasks.sources import SourceConfig
from mtl_sharing.data.tasks.task import TaskConfig
from mtl_sharing.errors import Stopped, SweepStopped, UserError, did_you_mean, is_interrupt, one_of
from mtl_sharing.training.settings import PhaseConfig

_STOPPED = "stopped; no file is left half written"


def run_command(work: Callable[[], None], debug: bool, program: str) -> None:
    """Does ``work``; both signals end it as Ctrl-C does, once its temporary files are gone.

    Takes and raises what :func:`exit_on_failure` does.
    """
    with _interruptible():
        exit_on_failure(work, debug, program, _STOPPED)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Within a block both signals raise KeyboardInterrupt."""
    stop = signal.default_int_handler
    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)


MISTAKE, INTERRUPTED, READER_GONE = 2, 130, 141
_AT_ONCE = "stopped at once; the last checkpoint stands"
# Their keys are names of the user's own, and every entry has the same fields.
_ENTRIES = {"task": TaskConfig(), "sources": SourceConfig(), "phases": PhaseConfig()}
_ADDED = r"Error merging override \++([\w.]+)=(.*) Invalid type .* not a subclass of (\w+)\..*"
_UNKNOWN_OPTION = r"Could not find '([\w/]+)/(\w+)' Available options in '[\w/]+': (.*)"
# Launchers that an extra brings.
_EXTRAS = {
    "hydra/launcher/joblib": "parallel",
    "hydra/launcher/submitit_local": "slurm",
    "hydra/launcher/submitit_slurm": "slurm",
}
Result = TypeVar("Result")


def exit_on_failure(
    work: Callable[[], Result], debug: bool, program: str = "mtl-train", stopped: str = _AT_ONCE
) -> Result:
    """Does ``work``; a failure that is no bug ends the process with one message on stderr.

    Args:
        debug: show the traceback too.
        program: whose message it is.
        stopped: what is said after an interruption that nobody else tells.

    Raises:
        SystemExit: with 2 for a mistake, 130 for an interruption, 141 where stdout was closed.
    """
    try:
        return work()
    except SweepStopped:
        code, message = INTERRUPTED, "stopped; the same command goes on with the sweep"
    except Stopped as stop:
        code, message = INTERRUPTED, f"stopped; go on with: mtl-train resume={stop}"
    except BrokenPipeError:
        # The reader of stdout has gone (mtl-train --help | head); there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(READER_GONE)
    except KeyboardInterrupt:
        code, message = INTERRUPTED, stopped
    except Exception as error:
        code, words = explain(error)
        if words is None:
            raise
        if debug:
            traceback.print_exc()
        message = words
    print(f"{program}: {message}", file=sys.stderr)
    sys.exit(code)


def explain(error: Exception) -> tuple[int, str | None]:
    """Exit code and message for an error; no message for one that is a bug."""
    if isinstance(error, UserError):
        return MISTAKE, str(error)
    if isinstance(error, (HydraException, OmegaConfBaseException)):
        return MISTAKE, _config_message(error)
    # The logging package wraps the failure to open train.log.
    if isinstance(error, ValueError) and isinstance(error.__cause__, OSError):
        error = error.__cause__
    if isinstance(error, OSError):
        allowed = "a place that exists, can be written and has room"
        place = error.filename or "the output folder"
        return MISTAKE, str(UserError(str(place), error.strerror or error, allowed))
    return (INTERRUPTED, _AT_ONCE) if is_interrupt(error) else (1, None)


def _config_message(error: Exception) -> str:
    """Hydra's own words without its search path, or the nearest name where one is unknown."""
    words = " ".join(_words(error).partition("Config search path")[0].split())
    option = re.search(_UNKNOWN_OPTION, words)
    if option:
        group, name, options = option[1], option[2], option[3].split()
        extra = _EXTRAS.get(f"{group}/{name}")
        if extra is not None:
            allowed = f"pip install 'mtl-sharing[{extra}]', or another launcher"
            return str(UserError(group, f"{name}, which is not installed", allowed))
        return str(UserError(group, name + did_you_mean(name, options), one_of(options)))
    key = re.search(r"Key '([^']+)' (?:is )?not in", words)
    if key:
        path = _full_key(error) or key[1]
        parent, _, name = path.rpartition(".")
        if parent.rpartition(".")[2] in _ENTRIES:
            return str(_no_entry(parent, name, "{...}"))
        known = known_keys(parent)
        found = f"an unknown key{did_you_mean(name, known)}"
        return str(UserError(path, found, one_of(known)))
    added = re.fullmatch(_ADDED, words)
    kinds = {type(fields).__name__: group for group, fields in _ENTRIES.items()}
    if added and added[3] in kinds:
        before, group, rest = f".{added[1]}".partition(f".{kinds[added[3]]}.")
        return str(_no_entry((before + group).strip("."), rest, added[2]))
    no_text = re.search(r"Key (\S+) \((\w+)\) is incompatible with \(str\)", words)
    if no_text:
        # Hydra has composed the files already, and kept OmegaConf's error in words alone.
        place = re.search(r"full_key: (\S+)", words)
        path = place[1] if place else _full_key(error)
        return str(_unquoted(path.removesuffix(f".{no_text[1]}"), no_text[1], no_text[2]))
    return words.replace("See https://hydra.cc", "See hydra.cc")


def _no_entry(parent: str, path: str, value: str) -> UserError:
    """Hydra adds no field to an entry that is not there, only entries to what holds them."""
    allowed = f"one that is there, or to add one: '+{parent}={{{_nested(path, value)}}}'"
    return UserError(f"{parent}.{path.partition('.')[0]}", "no such entry", allowed)


def _nested(path: str, value: str) -> str:
    """``a.b`` and ``1`` as ``a:{b:1}``, which is what Hydra reads."""
    first, _, rest = path.partition(".")
    return f"{first}:{{{_nested(rest, value)}}}" if rest else f"{first}:{value}"


def _unquoted(where: str, key: str, kind: str) -> UserError:
    """YAML reads a key without quotes as a number, or as true where it is yes or on."""
    written = {"True": "yes, on or true", "False": "no, off or false"}.get(key, key)
    example = written.partition(",")[0]
    return UserError(where, f"the key {written} ({kind})", f"text; quote it, as in '{example}'")


def _words(error: Exception) -> str:
    """The error's own text, with the key and the cause that the text leaves out."""
    words, key = str(error).strip(), _full_key(error)
    if isinstance(error, OmegaConfBaseException):
        words = words.splitlines()[0]
        return words if not key or key in words else f"{key}: {words}"
    if isinstance(error.__cause__, OmegaConfBaseException):
        words += f" {str(error.__cause__).splitlines()[0]}"
    return words


def _full_key(error: Exception) -> str:
    for each in (error, error.__cause__):
        if getattr(each, "full_key", None):
            return str(getattr(each, "full_key"))  # noqa: B009
    return ""


def known_keys(parent: str) -> list[str]:
    """The keys that the config has under ``parent`` (dotted; empty for the root)."""
    node: Any = Config()
    above = ""
    for name in parent.split(".") if parent else ():
        node = _ENTRIES.get(above) if isinstance(node, dict) else getattr(node, name, None)
        above = name
    return [field.name for field in fields(node)] if is_dataclass(node) else []
