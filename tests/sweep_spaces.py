"""A sweep's command line, opened as the sweeper does it, without a study."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hydra import initialize_config_module
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, RunMode

from mtl_sharing.config import Config, register
from mtl_sharing.sweep.asking import FOR_EVERY_TRIAL, reference_overrides
from mtl_sharing.sweep.plugin import register_sweeper
from mtl_sharing.sweep.regimes import Composer, Regime
from mtl_sharing.sweep.settings import SweeperConfig, sweeper_of
from mtl_sharing.sweep.space import Point, Space
from mtl_sharing.sweep.space_config import make_space
from mtl_sharing.sweep.start import _Layers


@dataclass
class Opened:
    """What a sweep's words describe."""

    options: SweeperConfig
    config: Config
    objectives: list[str]
    space: Space
    fixed: list[str]
    composer: Composer

    def regime(self, point: Point) -> Regime:
        """What the trial of a point trains."""
        return self.composer.regime([*self.fixed, *self.space.words(point), *FOR_EVERY_TRIAL])

    def reference(self) -> Regime:
        """What the first trial trains."""
        return self.composer.regime([*reference_overrides(self.fixed), *FOR_EVERY_TRIAL])


@contextmanager
def opened(*words: str) -> Iterator[Opened]:
    """The sweep of a command line, ``-m`` left out."""
    register()
    register_sweeper()
    state = Singleton.get_state()
    with initialize_config_module("mtl_sharing.conf"):
        loader = GlobalHydra.instance().config_loader()
        composed = loader.load_configuration("train", list(words), RunMode.MULTIRUN)
        HydraConfig.instance().set_config(composed)
        options = sweeper_of(composed.hydra)
        assert options is not None
        composer = Composer(composed, HydraContext(loader, Callbacks()))
        layers = _Layers(composer)
        choices = {name: str(option) for name, option in composed.hydra.runtime.choices.items()}
        space, fixed = make_space(options, words, choices, layers)
        layers.fixed = fixed
        config = composer.compose([*fixed, *FOR_EVERY_TRIAL])
        objectives = list(options.objectives or [composed.score.objective])
        yield Opened(options, config, objectives, space, fixed, composer)
    Singleton.set_state(state)
