"""The class that Hydra makes for ``hydra/sweeper=optuna``; loads nothing until it sweeps."""

from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.sweep.settings import PRUNER_OPTIONS, SweeperConfig

PROVIDER = "mtl_sharing"


class RegimeSweeper(Sweeper):
    """Asks a study for one trial at a time and places each through the Hydra launcher."""

    def __init__(self, **options: Any) -> None:
        # Samplers and pruners stay configs: they are made anew where they are used.
        plain = {
            name: OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
            for name, value in options.items()
        }
        self.options = SweeperConfig(**plain)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's call before the sweep."""
        self.config, self.context = config, hydra_context
        self.launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the whole sweep.

        Raises:
            UserError: a mistake in the sweep's settings, or too many failed trials.
        """
        from mtl_sharing.sweep.start import run_sweep

        run_sweep(self.options, self.config, self.context, self.launcher, arguments)


def register_sweeper() -> None:
    """Puts the sweeper in the place of ``hydra/sweeper=optuna``, which it extends."""
    # First, as it stores the config that this one replaces.
    Plugins.instance().register(RegimeSweeper)
    store = ConfigStore.instance()
    store.store("optuna", SweeperConfig, group="hydra/sweeper", provider=PROVIDER, replace=True)
    for name, node in PRUNER_OPTIONS.items():
        store.store(name, node, group="hydra/sweeper/pruner", provider=PROVIDER, replace=True)
