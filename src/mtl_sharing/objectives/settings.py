"""Config group ``loss``. Without torch, so that the command line starts fast."""

from dataclasses import dataclass, field


@dataclass
class LossConfig:
    """The ``loss`` config group.

    Attributes:
        weights: of each task's loss in the weighted sum; empty weighs the tasks of a step equally,
            with weights that add up to 1.
    """

    weights: dict[str, float] = field(default_factory=dict)
