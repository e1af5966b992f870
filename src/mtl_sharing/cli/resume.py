"""Resumes a stopped run in its own folder, with its own config."""

import logging.config
import os
from importlib.resources import files
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mtl_sharing.config import Config, to_config
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.discovery import start_folder
from mtl_sharing.run_folder.layout import HYDRA_CONFIG

_ALLOWED = ("resume=", "trainer.debug=")


def resume(name: str, arguments: list[str]) -> tuple[Config, Path]:
    """The config and the folder of the run ``name``, with logging set up.

    Changes to the folder that the run was started from, where that still exists, because relative
    paths in the config start there.

    Raises:
        UserError: no run there, or other overrides, which would make it another run.
    """
    others = [argument for argument in arguments if not argument.startswith(_ALLOWED)]
    if others:
        allowed = "nothing beside resume=RUN_DIR; the run keeps its own settings"
        raise UserError("resume", others[0], allowed)
    folder = Path(name).expanduser().resolve()
    saved = folder / HYDRA_CONFIG
    if not saved.is_file():
        raise UserError("resume", name, "the folder of a run (it holds .hydra/config.yaml)")
    values: Any = OmegaConf.load(saved)
    config = to_config(values)
    if config.dry_run:
        raise UserError("resume", f"{name}, a dry run", "the folder of a run that trained")
    started = start_folder(folder)
    if started is not None:
        os.chdir(started)
    _log_to(folder)
    return config, folder


def _log_to(folder: Path) -> None:
    """Configures logging like Hydra does; log lines are appended to the run's train.log."""
    text = files("mtl_sharing.conf").joinpath("hydra/job_logging/plain.yaml").read_text("utf-8")
    values = OmegaConf.create(text)
    OmegaConf.update(values, "hydra.runtime.output_dir", str(folder))
    settings: Any = OmegaConf.to_container(values, resolve=True)
    logging.config.dictConfig(settings)
