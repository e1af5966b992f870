"""Hydra plugins behind ``hydra/sweeper=optuna``; optuna and torch load with the sweep alone."""

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.config.credentials import require_variable
from mtl_sharing.errors import UserError
from mtl_sharing.sweep.jobs.device_slots import resolve_n_jobs
from mtl_sharing.sweep.settings import (
    PRUNER_OPTIONS,
    SAMPLER_OPTIONS,
    SweeperConfig,
    sweeper_of,
)
from mtl_sharing.utils.nested import flatten

PROVIDER = "mtl_sharing"


class RegimeSweeper(Sweeper):
    """Runs the trials of an Optuna study through the Hydra launcher."""

    def __init__(self, **options: Any) -> None:
        pass  # setup() reads them from the config, after resolve_n_jobs has changed it

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Called by Hydra before the sweep.

        Raises:
            UserError: a number that is none, or jobs at once that the launcher cannot have.
        """
        require_variable(config)
        _check_numbers(config.hydra)
        resolve_n_jobs(config)
        options = sweeper_of(config.hydra)
        assert options is not None
        self.options = options
        self.config, self.context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the sweep; see :func:`run_sweep` for what it raises."""
        from mtl_sharing.sweep.run import run_sweep

        assert self.config is not None
        run_sweep(self.options, self.config, self.context, self.launcher, arguments)


def _check_numbers(hydra: DictConfig) -> None:
    """Refuses NaN, which differs from itself: Hydra would say that a trial changed it."""
    values: Any = OmegaConf.to_container(hydra, resolve=False)
    for key, value in flatten(values):
        if value != value:
            raise UserError(f"hydra.{key}", value, "a number")


class SweepPresets(SearchPathPlugin):
    """Adds ``sweeps/`` to the config search path."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes."""
        search_path.append(PROVIDER, "pkg://mtl_sharing.sweeps")


def register_sweeper() -> None:
    """Replaces ``hydra/sweeper=optuna`` by the sweeper that extends it."""
    # Before the store: loading the plugins stores the upstream config that is replaced below.
    Plugins.instance().register(SweepPresets)
    Plugins.instance().register(RegimeSweeper)
    store = ConfigStore.instance()
    store.store("optuna", SweeperConfig, group="hydra/sweeper", provider=PROVIDER, replace=True)
    for group, options in (("pruner", PRUNER_OPTIONS), ("sampler", SAMPLER_OPTIONS)):
        for name, node in options.items():
            own = f"hydra/sweeper/{group}"
            store.store(name, node, group=own, provider=PROVIDER, replace=True)
