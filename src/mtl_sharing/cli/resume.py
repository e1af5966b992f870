"""Going on with a stopped run: its own config, its own folder, no second one."""

import logging.config
import os
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mtl_sharing.config import Config, to_config
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import HYDRA_CONFIG, HYDRA_JOB

_ALONE = ("resume=", "trainer.debug=")


def resume(name: str, arguments: list[str]) -> tuple[Config, Path]:
    """The config and the folder of the run ``name``, ready to go on.

    Relative paths in the config mean what they meant when the run began, so this changes to the
    folder it was started from, where that still exists.

    Raises:
        UserError: no run there, or other overrides, which would make it another run.
    """
    others = [word for word in arguments if not word.startswith(_ALONE)]
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
    started = OmegaConf.select(OmegaConf.load(folder / HYDRA_JOB), "hydra.runtime.cwd")
    if started and Path(started).is_dir():
        os.chdir(started)
    _log_to(folder)
    return config, folder


def _log_to(folder: Path) -> None:
    """The same log lines as under Hydra, added to the run's train.log."""
    from importlib.resources import files

    text = files("mtl_sharing.conf").joinpath("hydra/job_logging/plain.yaml").read_text("utf-8")
    place = {"hydra": {"runtime": {"output_dir": str(folder)}}}
    settings: Any = OmegaConf.to_container(
        OmegaConf.merge(OmegaConf.create(text), OmegaConf.create(place)), resolve=True
    )
    del settings["hydra"]
    logging.config.dictConfig(settings)
