"""Config group ``loss``, and ``sharing.tie``. Without torch: it loads slowly."""

from dataclasses import dataclass, field


@dataclass
class LossConfig:
    """The ``loss`` config group.

    Attributes:
        weights: of each task's loss in the weighted sum; empty weighs the tasks of a step equally,
            with weights that add up to 1.
    """

    weights: dict[str, float] = field(default_factory=dict)


@dataclass
class TieConfig:
    """``sharing.tie``: the penalty over tied stages (T), which holds the tasks' copies together.

    Its gradient is added to the loss's before ``optimizer.clip`` looks at both.

    Attributes:
        kind: ``pairs`` (squared distance of each pair of copies), ``mean`` (of each copy to their
            mean) or ``trace_norm`` (of the copies of each weight, stacked).
        strength: what the penalty is multiplied by before it is added to the loss.
        average: divide it by the number of weights of one task's tied stages.
    """

    kind: str = "pairs"
    strength: float = 0.01
    average: bool = False
