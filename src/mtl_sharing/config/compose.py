"""Composes a config from overrides, and names the key and what is allowed in its errors."""

from collections.abc import Sequence
from dataclasses import asdict

import yaml
from hydra import compose, initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.utils import JobRuntime
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from mtl_sharing.config.asked import asked_texts
from mtl_sharing.config.loading import checked_loading
from mtl_sharing.config.mistakes import config_error
from mtl_sharing.config.overrides import check_overrides
from mtl_sharing.config.schema import Config, plain_config, register, to_config

COMPOSING = (HydraException, OmegaConfBaseException, yaml.YAMLError)
"""The errors of Hydra, OmegaConf and YAML for a mistake in a config."""


def compose_with_texts(overrides: Sequence[str] | Config) -> tuple[Config, dict[str, str]]:
    """The config of these overrides, which may choose groups and add to ``hydra.searchpath``.

    Also returns the texts of asked keys (``config/asked.py``). Leaves the working directory, the
    logging and a Hydra app that is running as they are. A whole config is checked alone: nothing
    of it is resolved.

    Raises:
        UserError: an override that does not fit, with the text of the command.
    """
    register()
    app, job = GlobalHydra.instance().hydra, JobRuntime.instance().get("name")
    GlobalHydra.instance().clear()
    try:
        if isinstance(overrides, Config):
            return plain_config(asdict(overrides)), {}
        check_overrides(overrides)
        with checked_loading(), initialize_config_module("mtl_sharing.conf", job):
            values = compose("train", overrides=list(overrides))
            return to_config(values), asked_texts(values)
    except COMPOSING as error:
        arguments = () if isinstance(overrides, Config) else overrides
        raise config_error(error, arguments) from None
    finally:
        GlobalHydra.instance().hydra = app
