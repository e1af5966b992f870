"""The class that Hydra makes for ``hydra/sweeper=optuna``; loads nothing until it sweeps."""

from typing import Any

from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.search_path_plugin import SearchPathPlugin
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from mtl_sharing.sweep.jobs.credentials import hide_storage_of
from mtl_sharing.sweep.jobs.device_slots import settle_jobs
from mtl_sharing.sweep.settings import PRUNER_OPTIONS, SweeperConfig, sweeper_of

PROVIDER = "mtl_sharing"


class RegimeSweeper(Sweeper):
    """Asks a study for one trial at a time and places each through the Hydra launcher."""

    def __init__(self, **options: Any) -> None:
        pass  # setup() has the last word on them

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's call before the sweep.

        Raises:
            UserError: more jobs at once than the launcher can say.
        """
        hide_storage_of(config)
        settle_jobs(config)
        # Samplers and pruners stay configs: they are made anew where they are used.
        options = sweeper_of(config.hydra)
        assert options is not None
        self.options = options
        self.config, self.context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the whole sweep.

        Raises:
            UserError: a mistake in the sweep's settings, or too many failed trials.
        """
        from mtl_sharing.sweep.run import run_sweep

        assert self.config is not None
        run_sweep(self.options, self.config, self.context, self.launcher, arguments)


class SweepPresets(SearchPathPlugin):
    """Finds the configs in ``sweeps/``, from whatever primary config."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Hydra's call before it composes."""
        search_path.append(PROVIDER, "pkg://mtl_sharing.sweeps")


def register_sweeper() -> None:
    """Puts the sweeper in the place of ``hydra/sweeper=optuna``, which it extends."""
    Plugins.instance().register(SweepPresets)
    # First, as it stores the config that this one replaces.
    Plugins.instance().register(RegimeSweeper)
    store = ConfigStore.instance()
    store.store("optuna", SweeperConfig, group="hydra/sweeper", provider=PROVIDER, replace=True)
    for name, node in PRUNER_OPTIONS.items():
        store.store(name, node, group="hydra/sweeper/pruner", provider=PROVIDER, replace=True)
