"""What went wrong, in one message: the user's mistakes, Hydra's complaints, a full disk."""

import os
import re
import sys
import traceback
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config import Config
from mtl_sharing.data.sources import SourceConfig
from mtl_sharing.data.tasks import TaskConfig
from mtl_sharing.errors import Stopped, SweepStopped, UserError, did_you_mean, one_of
from mtl_sharing.run.settings import PhaseConfig

MISTAKE, INTERRUPTED, READER_GONE = 2, 130, 141
_UNKNOWN_OPTION = r"Could not find '([\w/]+)/(\w+)' Available options in '[\w/]+': (.*)"
# Launchers that an extra brings.
_EXTRAS = {
    "hydra/launcher/joblib": "parallel",
    "hydra/launcher/submitit_local": "slurm",
    "hydra/launcher/submitit_slurm": "slurm",
}
Result = TypeVar("Result")


def exit_on_failure(work: Callable[[], Result], debug: bool) -> Result:
    """Does ``work``; a failure that is no bug ends the process with one message on stderr.

    Args:
        debug: show the traceback too.

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
        code, message = INTERRUPTED, "stopped at once; the last checkpoint stands"
    except Exception as error:
        code, words = explain(error)
        if words is None:
            raise
        if debug:
            traceback.print_exc()
        message = words
    print(f"mtl-train: {message}", file=sys.stderr)
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
    return 1, None


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
        known = known_keys(path.rpartition(".")[0])
        found = f"an unknown key{did_you_mean(path.rpartition('.')[2], known)}"
        return str(UserError(path, found, one_of(known)))
    return words.replace("See https://hydra.cc", "See hydra.cc")


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
    # Every entry of these has the same fields, whatever its name.
    entries = {"task": TaskConfig(), "sources": SourceConfig(), "phases": PhaseConfig()}
    above = ""
    for name in parent.split(".") if parent else ():
        node = entries.get(above) if isinstance(node, dict) else getattr(node, name, None)
        above = name
    return [field.name for field in fields(node)] if is_dataclass(node) else []
