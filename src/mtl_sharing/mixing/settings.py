"""Config group ``sampler``. Without numpy, so that the command line starts fast."""

from dataclasses import dataclass


@dataclass
class SamplerConfig:
    """The ``sampler`` config group.

    Attributes:
        name: ``unified`` (one batch of each task in every step), ``round_robin`` (one task after
            the other) or ``proportional`` (a task at random, by its size).
        alpha: exponent of the sizes for ``proportional``: ``p_i ~ N_i ** alpha``.
    """

    name: str = "unified"
    alpha: float = 1.0
