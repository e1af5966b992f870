"""Hydra's loading of configs, with a check of what it composes before Hydra acts on it."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hydra._internal.hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf._utils import split_key

from mtl_sharing.config.callables import check_callables
from mtl_sharing.config.credentials import hide_storage_of
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import named_folder
from mtl_sharing.run_folder.lock import check_plain_folder

_STUDY_NAME = "hydra.sweeper.study_name"


class CheckedConfigLoader(ConfigLoaderImpl):
    """Refuses configs that would have Hydra call something else, and hides the study's URL.

    Launchers pickle the loader, so that a job's config is checked where the job runs.
    """

    def _load_configuration_impl(self, *arguments: Any, **named: Any) -> DictConfig:
        config = super()._load_configuration_impl(*arguments, **named)
        overrides: list[Override] = named["parsed_overrides"]
        if len(_listed(config)) > len(overrides):
            # Every job would take them for the user's own.
            raise UserError("hydra.overrides", "overrides in a config file", "none there")
        check_callables(config, set(_keys(overrides)))
        is_multirun = RunMode.MULTIRUN in (named["run_mode"], config.hydra.mode)
        name_folder(config, set(_keys(overrides)), is_multirun)
        _check_folders(config, is_multirun)
        hide_storage_of(config)
        if self._active_repository is not None:
            # The files' own text, which launchers would pickle; it is read again where needed.
            self._active_repository.cache.clear()  # type: ignore[attr-defined]
        return config

    def load_sweep_config(
        self, master_config: DictConfig, sweep_overrides: list[str]
    ) -> DictConfig:
        """The config of a job; what the sweep itself chooses is not the user's own."""
        config = super().load_sweep_config(master_config, sweep_overrides)
        given = OverridesParser.create().parse_overrides(_listed(master_config))
        check_callables(config, set(_keys(given)))
        return config


def name_folder(config: DictConfig, given: Collection[str], is_multirun: bool) -> None:
    """Has a run, or a sweep, work in the folder that its ``name`` says.

    Args:
        given: the dotted keys that the user's overrides set.

    Raises:
        UserError: a name that is none, or a folder beside it.
    """
    if (name := config.get("name")) is None:
        return
    key = "hydra.sweep.dir" if is_multirun else "hydra.run.dir"
    if key in given:
        raise UserError("name", f"{name} beside {key}", "one of the two")
    OmegaConf.update(config, key, str(named_folder(str(name), is_multirun)))
    if is_multirun and "study_name" in config.hydra.sweeper and _STUDY_NAME not in given:
        config.hydra.sweeper.study_name = str(name)


def _check_folders(config: DictConfig, is_multirun: bool) -> None:
    """Refuses folders in which Hydra would write through a link, or before the run's lock."""
    if (name := config.hydra.output_subdir) is not None:
        raise UserError("hydra.output_subdir", name, "null: a run writes .hydra itself")
    if is_multirun:
        check_plain_folder(Path(config.hydra.sweep.dir))


def _listed(config: DictConfig) -> list[str]:
    """The overrides that a composed config lists, as they were written."""
    listed: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)
    return [*listed["hydra"], *listed["task"]]


def _keys(overrides: Sequence[Override]) -> Iterator[str]:
    """The dotted keys that overrides set, also inside of values like {a: {b: 1}}."""
    for override in overrides:
        yield from _leaves(".".join(split_key(override.key_or_group)), override.value())


def _leaves(key: str, value: Any) -> Iterator[str]:
    yield key
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(f"{key}.{name}", item)


@contextmanager
def checked_loading() -> Iterator[None]:
    """Within the block, apps of Hydra that begin load configs by :class:`CheckedConfigLoader`."""
    module: Any = hydra._internal.hydra  # it offers no other way
    before = module.ConfigLoaderImpl
    module.ConfigLoaderImpl = CheckedConfigLoader
    try:
        yield
    finally:
        module.ConfigLoaderImpl = before
