"""The sampler and the pruner of a sweep, from its config."""

import warnings
from typing import Any

from hydra.utils import instantiate
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler, RandomSampler

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import PRUNERS, SAMPLERS, SweeperConfig


def make_pruner(options: SweeperConfig) -> BasePruner:
    """The config's pruner.

    Raises:
        UserError: an argument that the pruner does not take.
    """
    pruner: BasePruner = _instantiate("hydra.sweeper.pruner", options.pruner, PRUNERS, {})
    return pruner


def make_sampler(options: SweeperConfig, number: int) -> BaseSampler:
    """The config's sampler for the trial ``number``.

    A seeded sampler is made anew for each trial, so that a resumed sweep draws what an
    uninterrupted one would have drawn.

    Raises:
        UserError: an argument that the sampler does not take.
    """
    if is_grid(options):
        return RandomSampler(seed=0)  # never used: a grid's trials start with all their values
    target, seed = str(options.sampler["_target_"]), options.sampler.get("seed")
    # A quasi-random sequence needs one seed throughout.
    seeded = {} if seed is None or target.endswith("QMCSampler") else {"seed": seed + number}
    sampler: BaseSampler = _instantiate("hydra.sweeper.sampler", options.sampler, SAMPLERS, seeded)
    return sampler


def is_grid(options: SweeperConfig) -> bool:
    """Whether the sweep visits every point, in order."""
    return str(options.sampler.get("_target_", "")).endswith(("GridSampler", "BruteForceSampler"))


def _instantiate(where: str, config: Any, allowed: tuple[str, ...], extra: dict[str, Any]) -> Any:
    # An argument that is null keeps Optuna's own default.
    arguments = {name: value for name, value in config.items() if value is not None} | extra
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna's, of experimental features
            return instantiate(arguments, _execution_whitelist_=allowed)
    except Exception as error:
        message = str(error.__cause__ or error).splitlines()[0]
        found = f"{config.get('_target_')}: {message}"
        raise UserError(where, found, "what optuna takes") from None
