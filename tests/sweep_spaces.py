"""A sweep's command line, resolved as the sweeper does it, without a study."""

from functools import cache

from hydra import initialize_config_module
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.singleton import Singleton
from hydra.types import HydraContext, RunMode

from mtl_sharing.config import register
from mtl_sharing.config.loading import checked_loading
from mtl_sharing.sweep.plugin import register_sweeper
from mtl_sharing.sweep.settings import sweeper_of
from mtl_sharing.sweep.space.spec import SweepSpec, resolve_sweep


@cache
def sweep_spec(*arguments: str) -> SweepSpec:
    """The spec of a command line, ``-m`` left out; composed once for all tests."""
    register()
    register_sweeper()
    state = Singleton.get_state()
    with checked_loading(), initialize_config_module("mtl_sharing.conf"):
        loader = GlobalHydra.instance().config_loader()
        composed = loader.load_configuration("train", list(arguments), RunMode.MULTIRUN)
        HydraConfig.instance().set_config(composed)
        options = sweeper_of(composed.hydra)
        assert options is not None
        spec = resolve_sweep(options, composed, HydraContext(loader, callbacks=None), arguments)
    Singleton.set_state(state)
    return spec
