"""Config group ``sampler``; imports no numpy, so that the command line starts fast."""

from dataclasses import dataclass


@dataclass
class SamplerConfig:
    """The ``sampler`` config group.

    Attributes:
        name: ``unified`` (one batch of each task in every step), ``round_robin`` (tasks in turn),
            ``sequential`` (within an epoch one task after the other), ``temperature`` (a random
            task, by size) or ``annealed`` (the same with an exponent that moves).
        exhausted: rule for a task of ``round_robin`` without examples left in an epoch:
            ``recycle`` begins again, ``stop`` leaves its turns to the others.
        alpha: exponent of the sizes for ``temperature``, 0 to 1: ``p_i ~ N_i ** alpha``. 0 draws
            all tasks equally often, 1 in proportion to their sizes.
        start: exponent of ``annealed`` in the first epoch.
        end: its exponent in the last epoch.
        shape: how the exponent moves from one to the other: ``linear``, ``cosine`` or ``step``.
    """

    name: str = "unified"
    exhausted: str = "recycle"
    alpha: float = 1.0
    start: float = 1.0
    end: float = 0.2
    shape: str = "linear"
