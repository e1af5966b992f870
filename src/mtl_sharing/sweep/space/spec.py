"""The spec of a sweep: its space, its objectives, and the settings that all trials share."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from itertools import islice
from pathlib import Path
from typing import Any

from hydra.types import HydraContext
from omegaconf import DictConfig

from mtl_sharing.config import Config
from mtl_sharing.config.identity import NOT_IN_SWEEP, without
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.composer import ComposedTrial, ConfigComposer
from mtl_sharing.sweep.space.parsing import make_space
from mtl_sharing.sweep.space.space import Point, Space

_MOST_COUNTED = 10_000
# A sweep computes its objectives itself, over all trials.
_IN_ALL_TRIALS = ("score.objective=performance",)


@dataclass(frozen=True)
class SweepSpec:
    """A sweep as its config describes it; the same for every start of it.

    Attributes:
        config: the settings of a trial, as far as they are not drawn.
        objectives: names of the study's objectives.
        fixed: overrides of all trials.
        folder: the sweep's folder, with a folder for each trial.
    """

    options: SweeperConfig
    config: Config
    objectives: tuple[str, ...]
    space: Space
    fixed: tuple[str, ...]
    composer: ConfigComposer
    folder: Path

    def overrides(self, point: Point) -> list[str]:
        """The overrides of a point's trial."""
        return [*self.fixed, *self.space.overrides(point), *_IN_ALL_TRIALS]

    def compose_trial(self, point: Point) -> ComposedTrial:
        """The trial of a point.

        Raises:
            UserError: a value that does not fit.
        """
        return self.composer.compose_trial(self.overrides(point))

    def standalone_config(
        self, overrides: Sequence[str], reference: float | None
    ) -> dict[str, Any]:
        """The content of a config file that repeats a trial outside of the sweep.

        Args:
            reference: performance of separate models on dev, if known.
        """
        kept = [override for override in overrides if override not in _IN_ALL_TRIALS]
        known = [] if reference is None else [f"score.reference={reference!r}"]
        return self.composer.standalone_config([*kept, *known])

    @property
    def reference_overrides(self) -> list[str]:
        """The overrides of separate models."""
        return _reference_overrides(self.fixed)

    @cached_property
    def reference(self) -> ComposedTrial:
        """The trial of separate models.

        Raises:
            UserError: a setting that does not fit.
        """
        return self.composer.compose_trial(self.reference_overrides)

    @cached_property
    def points(self) -> int | None:
        """How many points the space has; None if infinitely many, or more than 10,000."""
        if not self.space.finite:
            return None
        count = sum(1 for _ in islice(self.space.points(), _MOST_COUNTED + 1))
        return None if count > _MOST_COUNTED else count

    @property
    def total_trials(self) -> int | None:
        """How many trials there will be at most; None where only the hours bound them."""
        points = None if self.points is None else self.points + self.options.reference
        bounds = [bound for bound in (self.options.n_trials, points) if bound is not None]
        return min(bounds, default=None)

    def record(self) -> dict[str, Any]:
        """Everything that has to be equal for trials of two starts to be comparable."""
        return {
            "space": self.space.record(),
            "objectives": list(self.objectives),
            "seeds": list(self.options.seeds),
            "reference": self.options.reference,
            "settings": without(asdict(self.config), NOT_IN_SWEEP),
            "folder": str(self.folder),
        }


def resolve_sweep(
    options: SweeperConfig, config: DictConfig, context: HydraContext, arguments: Sequence[str]
) -> SweepSpec:
    """Resolves a sweep's config and command line.

    Args:
        arguments: the command line's overrides.

    Raises:
        UserError: a space without points, or a setting that does not fit.
    """
    composer = ConfigComposer(config, context)
    choices = {name: str(option) for name, option in config.hydra.runtime.choices.items()}
    space, fixed = make_space(options, arguments, choices)

    @cache
    def layers(*encoder: str) -> int:
        trial = composer.compose_trial([*_reference_overrides(fixed), *encoder])
        return trial.run_spec.shape.layers

    def layers_under(overrides: Sequence[str]) -> int:
        return layers(*(override for override in overrides if override.startswith("encoder")))

    return SweepSpec(
        options=options,
        config=composer.compose([*fixed, *_IN_ALL_TRIALS]),
        objectives=tuple(options.objectives or [config.score.objective]),
        space=replace(space, layers=layers_under),
        fixed=tuple(fixed),
        composer=composer,
        folder=Path(str(config.hydra.sweep.dir)).absolute(),
    )


def _reference_overrides(fixed: Sequence[str]) -> list[str]:
    """The sweep's own overrides, except for those that say what is shared."""
    sharing = ("sharing", "split=")
    kept = [override for override in fixed if not override.lstrip("+~").startswith(sharing)]
    return [*kept, "sharing=individual", *_IN_ALL_TRIALS]
