"""The spec of a sweep, from its options and command line: space, objectives, shared settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.types import HydraContext
from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from omegaconf import DictConfig
from optuna.distributions import BaseDistribution

from mtl_sharing.config import Config
from mtl_sharing.config.identity import NOT_IN_SWEEP, without
from mtl_sharing.config.interpolations import as_written
from mtl_sharing.errors import UserError, check_known
from mtl_sharing.job.baseline_key import RESULTS_VERSION
from mtl_sharing.sweep.settings import SweeperConfig, is_search
from mtl_sharing.sweep.space.composer import ComposedTrial, ConfigComposer
from mtl_sharing.sweep.space.space import Condition, Expansions, Point, Space, grid_values

_MOST_COUNTED = 10_000
# A sweep computes its objectives itself, over all trials.
_IN_ALL_TRIALS = ("score.objective=performance",)


@dataclass(frozen=True)
class SweepSpec:
    """A sweep as its config describes it; the same for every start of it.

    Attributes:
        config: the settings of a trial, as far as they are not drawn.
        texts: what they say of each interpolated key (``config/interpolations.py``).
        objectives: names of the study's objectives.
        fixed: overrides of all trials.
        reference_overrides: overrides of separate models: ``fixed`` without what is shared.
        folder: the sweep's folder, with a folder for each trial.
    """

    options: SweeperConfig
    config: Config
    texts: Mapping[str, str]
    objectives: tuple[str, ...]
    space: Space
    fixed: tuple[str, ...]
    reference_overrides: tuple[str, ...]
    composer: ConfigComposer
    folder: Path

    def overrides(self, point: Point) -> list[str]:
        """The overrides of a point's trial."""
        return [*self.fixed, *self.space.overrides(point), *_IN_ALL_TRIALS]

    def compose_trial(self, point: Point) -> ComposedTrial:
        """The trial of a point; raises UserError for a value that does not fit."""
        return self.composer.compose_trial(self.overrides(point))

    def standalone_config(
        self, overrides: Sequence[str], reference: float | None
    ) -> dict[str, Any]:
        """The content of a config file that repeats a trial, compared with ``reference``."""
        kept = [override for override in overrides if override not in _IN_ALL_TRIALS]
        known = [] if reference is None else [f"score.reference={reference!r}"]
        return self.composer.standalone_config([*kept, *known])

    @cached_property
    def reference(self) -> ComposedTrial:
        """The trial of separate models; raises UserError for a setting that does not fit."""
        return self.composer.compose_trial(self.reference_overrides)

    @cached_property
    def points(self) -> int | None:
        """The number of points in the space; None if infinite or above 10,000."""
        if not self.space.finite:
            return None
        count = sum(1 for _ in islice(self.space.points(), _MOST_COUNTED + 1))
        return None if count > _MOST_COUNTED else count

    @property
    def total_trials(self) -> int | None:
        """The largest number of trials; None where only the hours bound them."""
        counts = self.points is not None and not is_search(self.options)
        points = (self.points or 0) + self.options.reference if counts else None
        bounds = [bound for bound in (self.options.n_trials, points) if bound is not None]
        return min(bounds, default=None)

    def record(self) -> dict[str, Any]:
        """Everything that has to be equal for trials of two starts to be comparable."""
        # Trials of other samplers have no seed of their own. Those can take another's study.
        seed = self.options.sampler.get("seed")
        search = {"sampler": "search", "sampler_seed": seed} if is_search(self.options) else {}
        return search | {
            "space": self.space.record(),
            "objectives": list(self.objectives),
            "seeds": list(self.options.seeds),
            "reference": self.options.reference,
            "settings": without(as_written(asdict(self.config), self.texts), NOT_IN_SWEEP),
            "folder": str(self.folder),
            "results_version": RESULTS_VERSION,
        }


def resolve_sweep(
    options: SweeperConfig, config: DictConfig, context: HydraContext, arguments: Sequence[str]
) -> SweepSpec:
    """Resolves a sweep's config and the overrides on its command line.

    Raises:
        UserError: a space without points, or a setting that does not fit.
    """
    composer = ConfigComposer(config, context)
    choices = {name: str(option) for name, option in config.hydra.runtime.choices.items()}
    space, fixed = make_space(options, arguments, choices)
    sharing = ("sharing", "split=", "distillation")
    kept = [override for override in fixed if not override.lstrip("+~").startswith(sharing)]
    reference = (*kept, "sharing=individual", "distillation=none", *_IN_ALL_TRIALS)

    def layers(overrides: Sequence[str]) -> int:
        encoder = [override for override in overrides if override.startswith("encoder")]
        return composer.compose_trial([*reference, *encoder]).run_spec.shape.layers

    shared, texts = composer.compose([*fixed, *_IN_ALL_TRIALS])
    return SweepSpec(
        options=options,
        config=shared,
        texts=texts,
        objectives=tuple(options.objectives or [config.score.objective]),
        space=replace(space, layers=layers),
        fixed=tuple(fixed),
        reference_overrides=reference,
        composer=composer,
        folder=Path(str(config.hydra.sweep.dir)).absolute(),
    )


def make_space(
    options: SweeperConfig, arguments: Sequence[str], choices: Mapping[str, str]
) -> tuple[Space, list[str]]:
    """The space of a sweep, and the overrides that all of its trials share.

    Args:
        arguments: the command line's overrides; they win over ``options``.
        choices: the option composed for each config group.

    Raises:
        UserError: no parameter at all, a parameter without values, a malformed condition, or a
            choice without an entry in ``stands_for``.
    """
    given = {key_of(argument) for argument in arguments}
    params = [f"{name}={value}" for name, value in (options.params or {}).items()]
    try:
        distributions, fixed, deleted = create_params_from_overrides(
            [param for param in params if key_of(param) not in given] + list(arguments)
        )
    # Whatever upstream raises where it cannot make a distribution.
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise UserError("the sweep's space", str(error) or "a range without values",
                        "choices, ranges and intervals with values") from None  # fmt: skip
    constants = {name.lstrip("+"): value for name, value in fixed.items()}
    values = {name: [value] for name, value in constants.items()}
    values |= {name: grid_values(name, distributions[name]) for name in options.stands_for
               if name in distributions}  # fmt: skip
    when = {n: _condition(n, text) for n, text in options.when.items() if n not in constants}
    space = Space(
        _in_order(distributions, when), when, options.depths, fixed={**choices, **constants},
        expansions=_expansions(options, values, given),
    )  # fmt: skip
    if not distributions and not any(map(space.free_depths, space.depths)):
        raise UserError("the sweep's space", "no parameter with several values",
                        "split=0,3,6, trainer.seed=..., or +sweep=NAME")  # fmt: skip
    return space, [*space.overrides(fixed), *deleted]


def _expansions(
    options: SweeperConfig, values: Mapping[str, Sequence[Any]], given: Collection[str]
) -> Expansions:
    """``stands_for`` of the parameters in use, without the keys on the command line."""
    expansions: dict[str, dict[str, list[str]]] = {}
    for name, choices in options.stands_for.items():
        for value in values.get(name, ()):
            check_known(f"hydra.sweeper.params.{name}", str(value), choices)
        if name in values:
            expansions[name] = {
                choice: [override for override in overrides if key_of(override) not in given]
                for choice, overrides in choices.items()
            }
    return expansions


def key_of(override: str) -> str:
    """The key of an override."""
    return override.partition("=")[0].lstrip("+~")


def is_sharing(key: str) -> bool:
    """Whether a key chooses the regime's layers and parts, which its own text shows."""
    return key == "split" or key.startswith("sharing")


def _condition(name: str, text: str) -> Condition:
    key, _, values = text.partition("=")
    if not values:
        raise UserError(f"hydra.sweeper.when.{name}", text, "key=value, or key=value|value")
    return Condition(key.strip(), tuple(value.strip() for value in values.split("|")))


def _in_order(
    distributions: Mapping[str, BaseDistribution], when: Mapping[str, Condition]
) -> dict[str, BaseDistribution]:
    """The parameters, each after the one that its condition reads."""
    ordered: dict[str, BaseDistribution] = {}

    def add(name: str, dependents: tuple[str, ...] = ()) -> None:
        if name in dependents:
            raise UserError(f"hydra.sweeper.when.{name}", "a condition on itself", "another key")
        if name in when and when[name].key in distributions:
            add(when[name].key, (*dependents, name))
        ordered.setdefault(name, distributions[name])

    for name in distributions:
        add(name)
    return ordered
