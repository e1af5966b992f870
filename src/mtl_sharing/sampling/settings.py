"""Config group ``sampler``. Without numpy, so that the command line starts fast."""

from dataclasses import dataclass


@dataclass
class SamplerConfig:
    """The ``sampler`` config group.

    Attributes:
        name: ``unified`` (one batch of each task in every step), ``round_robin`` (one task after
            the other), ``sequential`` (an epoch of one task after the other), ``temperature`` (a
            task at random, by its size) or ``annealed`` (the same with an exponent that moves).
        exhausted: what a task of ``round_robin`` does that has given all its examples before the
            epoch ends: ``recycle`` begins again, ``stop`` leaves the turns to the others.
        alpha: exponent of the sizes for ``temperature``, 0 to 1: ``p_i ~ N_i ** alpha``. 0 draws
            every task equally often, as round robin does, and 1 in proportion to its size.
        start, end: exponents in the first and in the last epoch of ``annealed``.
        shape: how the exponent moves from one to the other: ``linear``, ``cosine`` or ``step``.
    """

    name: str = "unified"
    exhausted: str = "recycle"
    alpha: float = 1.0
    start: float = 1.0
    end: float = 0.2
    shape: str = "linear"
