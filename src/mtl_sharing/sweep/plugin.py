"""The class that Hydra makes for ``hydra/sweeper=optuna``; loads nothing until it sweeps."""

from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.sweep.settings import SweeperConfig


class RegimeSweeper(Sweeper):
    """Asks a study for one trial at a time and places each through the Hydra launcher."""

    def __init__(self, **options: Any) -> None:
        # Samplers and pruners stay configs: they are made anew where they are used.
        plain: dict[str, Any] = {
            name: OmegaConf.to_container(value, resolve=True)
            if OmegaConf.is_config(value)
            else value
            for name, value in options.items()
        }
        self.options = SweeperConfig(**plain)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Hydra's call before the sweep."""
        self._config, self._context = config, hydra_context
        self._launcher: Launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Runs the whole sweep.

        Raises:
            UserError: a mistake in the sweep's settings, or too many failed trials.
        """
        from mtl_sharing.sweep.start import run_sweep

        run_sweep(self.options, self._config, self._context, self._launcher, arguments)
