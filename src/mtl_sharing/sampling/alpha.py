"""Schedules for the exponent of size-proportional sampling."""

import math
from dataclasses import dataclass

from mtl_sharing.errors import check_known, check_range
from mtl_sharing.sampling.settings import SamplerConfig

SHAPES = ("linear", "cosine", "step")


@dataclass(frozen=True)
class AlphaSchedule:
    """An exponent that moves from ``start`` in the first epoch to ``end`` in the last.

    Linear from 1 to 0.2 is the schedule of Stickland and Murray 2019:
    ``alpha = 1 - 0.8 (e - 1) / (E - 1)`` in epoch ``e`` of ``E``.

    Attributes:
        shape: ``linear``, ``cosine`` (half a wave) or ``step`` (at once in the middle).
    """

    start: float
    end: float
    shape: str = "linear"

    def alpha(self, epoch: int, epochs: int) -> float:
        """The exponent in epoch ``epoch``, from 0, of ``epochs``; a single epoch has ``start``."""
        progress = epoch / (epochs - 1) if epochs > 1 else 0.0
        if self.shape == "cosine":
            progress = (1 - math.cos(math.pi * progress)) / 2
        elif self.shape == "step":
            progress = float(progress >= 0.5)
        return self.start + (self.end - self.start) * progress


def make_schedule(config: SamplerConfig) -> AlphaSchedule:
    """Makes the schedule of a sampler that draws by size; ``temperature`` has a constant one.

    Raises:
        UserError: an exponent outside 0 to 1, or an unknown shape.
    """
    for name in ("alpha", "start", "end"):
        check_range(f"sampler.{name}", getattr(config, name), 0, 1)
    check_known("sampler.shape", config.shape, SHAPES)
    if config.name != "annealed":
        return AlphaSchedule(config.alpha, config.alpha)
    return AlphaSchedule(config.start, config.end, config.shape)
