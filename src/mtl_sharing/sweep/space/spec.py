"""What the words of a sweep describe: its space, its objectives, and what all trials share."""

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

# Up to here a space's points are counted, to end where all of them are known.
MOST_COUNTED = 10_000
# A sweep computes its objectives itself, over all trials.
_FOR_EVERY_TRIAL = ("score.objective=performance",)


@dataclass(frozen=True)
class SweepSpec:
    """A sweep before it begins, and the same for every start of it.

    Attributes:
        config: the settings of a trial, as far as they are not drawn.
        objectives: names of what the study optimises.
        fixed: overrides that every trial has.
        folder: the sweep's; trials have theirs in it.
    """

    options: SweeperConfig
    config: Config
    objectives: tuple[str, ...]
    space: Space
    fixed: tuple[str, ...]
    composer: ConfigComposer
    folder: Path

    def words(self, point: Point) -> list[str]:
        """The overrides of a point's trial."""
        return [*self.fixed, *self.space.words(point), *_FOR_EVERY_TRIAL]

    def regime(self, point: Point) -> ComposedTrial:
        """What the trial of a point trains.

        Raises:
            UserError: a value that does not fit.
        """
        return self.composer.regime(self.words(point))

    def standalone(self, words: Sequence[str], reference: float | None) -> dict[str, Any]:
        """A config file that trains what a trial with these overrides does, by its own.

        Args:
            reference: performance of separate models on dev, where it is known.
        """
        own = [word for word in words if word not in _FOR_EVERY_TRIAL]
        known = [] if reference is None else [f"score.reference={reference!r}"]
        return self.composer.standalone([*own, *known])

    @property
    def reference_words(self) -> list[str]:
        """The overrides of separate models: the sweep's own, less those of what is shared."""
        return _reference_words(self.fixed)

    @cached_property
    def reference(self) -> ComposedTrial:
        """What separate models train.

        Raises:
            UserError: a setting that does not fit.
        """
        return self.composer.regime(self.reference_words)

    @cached_property
    def points(self) -> int | None:
        """How many points the space has; None for one without end, or with very many."""
        if not self.space.finite:
            return None
        counted = sum(1 for _ in islice(self.space.points(), MOST_COUNTED + 1))
        return None if counted > MOST_COUNTED else counted

    @property
    def wanted(self) -> int | None:
        """How many trials there will be, where that can be said."""
        points = None if self.points is None else self.points + self.options.reference
        found = [number for number in (self.options.n_trials, points) if number is not None]
        return min(found, default=None)

    def record(self) -> dict[str, Any]:
        """What makes a study this one's: trials of another could not be compared."""
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
    """What a sweep's config and command line describe.

    Args:
        arguments: the command line's overrides.

    Raises:
        UserError: a space without points, or a setting that does not fit.
    """
    composer = ConfigComposer(config, context)
    choices = {name: str(option) for name, option in config.hydra.runtime.choices.items()}
    space, fixed = make_space(options, arguments, choices)

    @cache
    def layers(*words: str) -> int:
        """The encoder's under these overrides of it."""
        regime = composer.regime([*_reference_words(fixed), *words])
        return regime.run_spec.shape.layers

    def layers_under(words: Sequence[str]) -> int:
        return layers(*(word for word in words if word.startswith("encoder")))

    return SweepSpec(
        options=options,
        config=composer.compose([*fixed, *_FOR_EVERY_TRIAL]),
        objectives=tuple(options.objectives or [config.score.objective]),
        space=replace(space, layers=layers_under),
        fixed=tuple(fixed),
        composer=composer,
        folder=Path(str(config.hydra.sweep.dir)).absolute(),
    )


def _reference_words(fixed: Sequence[str]) -> list[str]:
    kept = [word for word in fixed if not word.lstrip("+~").startswith(("sharing", "split="))]
    return [*kept, "sharing=individual", *_FOR_EVERY_TRIAL]
