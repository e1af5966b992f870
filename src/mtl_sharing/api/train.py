"""One run from Python: its settings, trained in a folder of the caller's choice or a new one."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import Any

from mtl_sharing.config import Config
from mtl_sharing.config.compose import compose_with_texts
from mtl_sharing.config.identity import Decides
from mtl_sharing.config.python_values import override_texts
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.job.changed_settings import FREE, changed_settings
from mtl_sharing.job.run import run_job, whole_result
from mtl_sharing.job.run_result import RunResult
from mtl_sharing.job.saved_settings import RunStart
from mtl_sharing.job.stages import Hooks
from mtl_sharing.run_folder.layout import CONFIG, RESULT
from mtl_sharing.run_folder.manifest import read_listed_object
from mtl_sharing.utils.files import expand_user
from mtl_sharing.utils.logging import lines_on_stderr

_SETTINGS = "a dict as {'split': 6}, a list as ['split=6'], or a Config"

_OF_COMMANDS = {
    "hydra.run.dir": "the second argument, folder",
    "sweep": "a command: mtl-train -m +sweep=NAME",
    "cluster": "a command: mtl-train -m +sweep=NAME +cluster=NAME",
}


def train(
    settings: Mapping[str, Any] | Sequence[str] | Config = (),
    folder: str | Path | None = None,
    *,
    config_dir: str | Path | None = None,
    verbose: bool = True,
) -> RunResult:
    """Trains, evaluates and scores one run in ``folder``, as the command ``mtl-train`` does.

    A stopped run of the same settings goes on, and a finished one is read, not trained again.
    The working directory, the logging and a running Hydra app stay as they are.

    Args:
        settings: keys with their values, as in ``{"sharing": "hybrid", "split": 6}``, or what would
            follow ``mtl-train``, as in ``["sharing=hybrid", "split=6"]``, or a whole config.
        folder: made where it is missing. None is a new one in ``outputs/``, as the command's.
        config_dir: a folder with config groups of your own, such as ``suite/`` and ``task/``.
        verbose: shows the lines that the command prints. A program that has set up logging gets
            them there in any case.

    Returns:
        The content of the folder's result.json, with the attribute ``folder``.

    Raises:
        UserError: a mistake in the settings or the data, or a folder with a run of other settings.
        KeyboardInterrupt: the run was interrupted; the same call with its folder goes on with it.
        OSError: the folder cannot be written.
    """
    config, texts = _checked(_overrides(settings, config_dir))
    folder = _new_folder() if folder is None else expand_user("folder", folder).absolute()
    result = whole_result(folder)
    _refuse_other_run(config, folder, result is not None)
    if result is None:
        with lines_on_stderr("mtl_sharing") if verbose else nullcontext():
            result = run_job(config, folder, Hooks(start=RunStart(texts)))
    return RunResult(result, folder)


def _new_folder() -> Path:
    """A folder named by the time, as in ``conf/train.yaml``."""
    return Path("outputs", f"{datetime.now():%Y-%m-%d/%H-%M-%S-%f}").absolute()


def _overrides(
    settings: Mapping[str, Any] | Sequence[str] | Config, config_dir: str | Path | None
) -> list[str] | Config:
    """The settings as overrides, after the one that names the folder of config groups."""
    searchpath = []
    if config_dir is not None:
        path = expand_user("config_dir", config_dir).absolute()
        if not path.is_dir() or isinstance(settings, Config):
            found = f"{config_dir}, beside a whole Config" if path.is_dir() else config_dir
            raise UserError("config_dir", found, "a folder that exists, for overrides")
        searchpath = override_texts({"hydra.searchpath": [f"file://{path}"]})
    if isinstance(settings, Config):
        return settings
    if isinstance(settings, Mapping):
        return searchpath + override_texts(settings)
    if isinstance(settings, str):
        raise UserError("settings", settings, f"a list, as in [{settings!r}]")
    if not isinstance(settings, Sequence) or not all(isinstance(text, str) for text in settings):
        raise UserError("settings", repr(settings), _SETTINGS)
    return [*searchpath, *settings]


def _checked(overrides: list[str] | Config) -> tuple[Config, dict[str, str]]:
    for text in [] if isinstance(overrides, Config) else overrides:
        key, _, value = text.lstrip("+").partition("=")
        if key in _OF_COMMANDS:
            raise UserError(key, value, _OF_COMMANDS[key])
    config, texts = compose_with_texts(overrides)
    if config.resume is not None:
        raise UserError("resume", config.resume, "null, and that folder as the second argument")
    if config.dry_run:
        raise UserError("dry_run", "true", "false; mtl-train dry_run=true prints the plan")
    if config.check_data:
        raise UserError("check_data", "true", "false; mtl-train check_data=true reads the data")
    return config, texts


def _refuse_other_run(config: Config, folder: Path, is_finished: bool) -> None:
    """Raises UserError where the folder holds a run of other settings, or parts of a run."""
    allowed = "a new folder, or that of a run with the same settings"
    if not (folder / CONFIG).is_file():
        if is_finished:
            raise UserError("folder", f"{folder}, which has {RESULT} but no {CONFIG}", allowed)
        return
    if not (folder / RESULT).is_file():
        raise UserError("folder", f"{folder}, which has {CONFIG} but no {RESULT}", allowed)
    # Nothing compares the data of a finished run, which is read.
    free = FREE - {Decides.DATA_FOLDER} if is_finished else FREE
    keys = list(changed_settings(config, folder, free))
    began_with = read_listed_object(folder, CONFIG).get("precision")
    if config.trainer.precision not in ("auto", began_with):
        keys.append("trainer.precision")
    if keys:
        raise UserError("folder", f"{folder}, a run with another {one_of(keys)}", allowed)
