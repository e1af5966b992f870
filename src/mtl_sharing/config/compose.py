"""Composes a config from overrides in this process, as the command ``mtl-train`` does."""

from collections.abc import Sequence

from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config.errors import config_error
from mtl_sharing.config.schema import Config, register, to_config


def compose_config(overrides: Sequence[str]) -> Config:
    """The config of these overrides, which may choose groups and add to ``hydra.searchpath``.

    Leaves the working directory, the logging and a Hydra app that is running as they are.

    Raises:
        UserError: an override that does not fit, with the text of the command.
    """
    register()
    app, job = GlobalHydra.instance().hydra, JobRuntime.instance().get("name")
    GlobalHydra.instance().clear()
    try:
        with initialize_config_module("mtl_sharing.conf", job):
            return to_config(compose("train", overrides=list(overrides)))
    except (HydraException, OmegaConfBaseException) as error:
        raise config_error(error) from None
    finally:
        GlobalHydra.instance().hydra = app
