"""``mtl-train resume=RUN``: goes on with a run by the settings that the run itself has written.

A run's folder may come from a stranger. So nothing in it is resolved, and it makes the run write
nowhere but below itself and below the working folder of the command.
"""

import logging
import logging.config
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config import Config, to_config
from mtl_sharing.config.identity import Decides, is_left_out
from mtl_sharing.config.interpolations import interpolation_texts
from mtl_sharing.config.mistakes import config_error
from mtl_sharing.config.overrides import check_overrides, override_text, parse_override
from mtl_sharing.config.saved import other_settings
from mtl_sharing.config.schema import literal
from mtl_sharing.errors import UserError, first_line
from mtl_sharing.job.saved_settings import RunStart, SavedSettings, is_key, read_settings
from mtl_sharing.run_folder.discovery import start_folder
from mtl_sharing.run_folder.layout import HYDRA_CONFIG, SETTINGS
from mtl_sharing.run_folder.results import read_yaml
from mtl_sharing.utils.files import expand_user
from mtl_sharing.utils.nested import flatten, get, set_at

log = logging.getLogger(__name__)

# Each may differ between two starts of one run. How it computes (trainer.threads) stays.
_FREE_GROUPS = ("cache.", "tracker.")
_NODE = re.compile(r"\$\{([\w.]+)\}")


def resume(name: str, arguments: Sequence[str]) -> tuple[Config, Path, RunStart]:
    """The config, the folder and the start of the run ``name``, with logging set up.

    Changes to the folder that the run was started from, where that still exists, because relative
    paths in the config start there.

    Raises:
        UserError: no run there, an interpolated key without its value, a folder elsewhere that the
            run would write to, or other overrides, which would make it another run.
    """
    folder, here = expand_user("resume", name).resolve(), Path.cwd()
    saved = read_settings(folder) if folder.is_dir() else None
    is_old = saved is None
    saved = saved or _old_start(folder, name)
    given = _given(saved, arguments)
    _check_interpolated(saved, given)
    path = folder / (HYDRA_CONFIG if is_old else SETTINGS)
    config, texts = _config(path, saved, given)
    if config.dry_run or config.check_data:
        found = f"{name}, {'a dry run' if config.dry_run else 'a check of the data'}"
        raise UserError("resume", found, "the folder of a run that trained")
    started = start_folder(folder)
    config = _with_places(config, given, (folder, here), started or here)
    if started is not None:
        os.chdir(started)
    _log_to(folder)
    if is_old:
        log.warning("%s: a run of an earlier version, whose settings nothing checks", path)
    return config, folder, RunStart({**texts, **saved.texts}, saved.sweep, launched=here)


def _old_start(folder: Path, name: str) -> SavedSettings:
    """The settings of a run of an earlier version, in which only whole references are followed."""
    if not (folder / HYDRA_CONFIG).is_file():
        raise UserError("resume", name, f"the folder of a run (it holds {SETTINGS})")
    settings = read_yaml(folder / HYDRA_CONFIG)
    for key, value in list(flatten(settings)):
        match = _NODE.fullmatch(value) if isinstance(value, str) else None
        to = {} if match is None else get(settings, match[1])
        if not isinstance(to, dict | list):
            set_at(settings, key, to)
    texts = {key: str(value) for key, value in flatten(settings) if "${" in str(value)}
    if not all(map(is_key, texts)):
        raise UserError(str(folder / HYDRA_CONFIG), "a key that is none", "the keys of a config")
    return SavedSettings(settings, {key: {"text": text} for key, text in texts.items()}, None)


def _given(saved: SavedSettings, arguments: Sequence[str]) -> dict[str, Any]:
    """The values on the command line, unresolved, by key; refuses what makes it another run."""
    given: dict[str, Any] = {}
    for argument in arguments:
        key = argument.partition("=")[0].lstrip("+")
        if key in ("resume", "trainer.debug") and "=" in argument:
            continue
        may_change = key == "data_dir" or key in saved.interpolated or _is_free(key)
        if not may_change or "=" not in argument:
            allowed = "nothing beside resume=RUN_DIR but data_dir=FOLDER, where the data were "
            allowed += "moved, cache and tracker keys, and the run's interpolated keys; "
            allowed += "the run keeps its own settings"
            raise UserError("resume", argument, allowed)
        if key == "data_dir":
            given[key] = literal(_data_folder(argument.lstrip("+")))
        else:
            check_overrides([argument])
            given[key] = parse_override(argument).value()
    return given


def _is_free(key: str) -> bool:
    return key.startswith(_FREE_GROUPS) and is_left_out(key, {Decides.PLACE, Decides.TRACKING})


def _data_folder(argument: str) -> str | None:
    """The folder that ``data_dir=`` names: a folder of this very name, or as Hydra reads it."""
    name: str | None = argument.removeprefix("data_dir=")
    if not name or not expand_user("data_dir", name).is_dir():
        name = override_text(argument)
    return None if name is None else str(expand_user("data_dir", name).absolute())


def _check_interpolated(saved: SavedSettings, given: Mapping[str, Any]) -> None:
    missing = [key for key in saved.interpolated if key not in given]
    if missing:
        found = f"{saved.texts[missing[0]]}, which is not resolved from a run's folder"
        values = " ".join(f"{key}=VALUE" for key in missing)
        raise UserError(missing[0], found, f"mtl-train resume=RUN_DIR {values}, as the run began")


def _config(
    path: Path, saved: SavedSettings, given: Mapping[str, Any]
) -> tuple[Config, dict[str, str]]:
    """The config with what was given, and the texts of its interpolated keys."""
    try:
        settings = literal(saved.settings)
        for key, value in given.items():
            set_at(settings, key, value)
        values = OmegaConf.create(settings)
        return to_config(values), interpolation_texts(values)
    except OmegaConfBaseException as error:
        if str(error.full_key or "").partition("[")[0] in given:
            raise config_error(error) from None
        raise other_settings(path, first_line(error)) from None
    except (UserError, TypeError, ValueError, RecursionError) as error:
        raise other_settings(path, first_line(error)) from None


def _with_places(
    config: Config, given: Mapping[str, Any], inside: tuple[Path, Path], started: Path
) -> Config:
    """The config with absolute names of the folders that it writes to beside the run's own.

    Those on the command line start in its working folder.

    Args:
        inside: the run's folder and the working folder of the command.
        started: where the run's own relative paths start.

    Raises:
        UserError: the run itself names a folder that lies in neither.
    """

    def place(key: str, name: str) -> str:
        if any(key == other or key.startswith(f"{other}.") for other in given):
            return str(inside[1] / expand_user(key, name))
        path = started / expand_user(key, name)
        if not any(path.resolve().is_relative_to(folder.resolve()) for folder in inside):
            found = f"{name}, which the run names, outside of its folder and of this working folder"
            allowed = f"mtl-train resume=RUN_DIR {key}=FOLDER, or the same command in {started}"
            raise UserError(key, found, allowed)
        return str(path)

    cache, mlflow = config.cache, config.tracker.mlflow
    if cache.folder is not None:
        cache = replace(cache, folder=place("cache.folder", cache.folder))
    if mlflow.enabled:
        mlflow = replace(mlflow, folder=place("tracker.mlflow.folder", mlflow.folder))
    return replace(config, cache=cache, tracker=replace(config.tracker, mlflow=mlflow))


def _log_to(folder: Path) -> None:
    """Configures logging like Hydra does; log lines are appended to the run's train.log."""
    text = files("mtl_sharing.conf").joinpath("hydra/job_logging/plain.yaml").read_text("utf-8")
    values = OmegaConf.create(text)
    OmegaConf.update(values, "hydra.runtime.output_dir", literal(str(folder)))
    settings: Any = OmegaConf.to_container(values, resolve=True)
    logging.config.dictConfig(settings)
