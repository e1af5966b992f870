"""A sweep's command line, opened as the sweeper does it, without a study."""

from collections.abc import Iterator
from contextlib import contextmanager

from hydra import initialize_config_module
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, RunMode

from mtl_sharing.config import register
from mtl_sharing.sweep.plugin import register_sweeper
from mtl_sharing.sweep.settings import sweeper_of
from mtl_sharing.sweep.space.spec import SweepSpec, resolve_sweep


@contextmanager
def opened(*words: str) -> Iterator[SweepSpec]:
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
        yield resolve_sweep(options, composed, HydraContext(loader, Callbacks()), words)
    Singleton.set_state(state)
