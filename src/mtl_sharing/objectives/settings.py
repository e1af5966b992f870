"""Config group ``loss``, and ``sharing.tie``. Without torch: it loads slowly."""

from dataclasses import dataclass, field


@dataclass
class LossConfig:
    """The ``loss`` config group: the tasks' weights, and how their gradients become one.

    Attributes:
        weighting: ``fixed``, ``uncertainty`` (Kendall et al. 2018), ``dwa`` (dynamic weight
            average, Liu et al. 2019) or ``random`` (Lin et al. 2022).
        weights: of ``fixed``; empty weighs the tasks of a step equally, with weights that add up
            to 1.
        temperature: of ``dwa``: the higher, the more alike the weights.
        lr: peak learning rate of the weights that ``uncertainty`` learns.
        aggregation: ``sum``, or a rule for gradients that conflict on weights that tasks share;
            see :mod:`mtl_sharing.objectives.aggregation`.
        beta: of ``gradvac``: how fast its similarities follow.
        c: of ``cagrad``: how far from the mean gradient, 0 to below 1.
        alpha: of ``fairgrad``: 0 the sum, 1 proportional fairness, larger nearer to max-min.
        cosines: write down the cosine of the tasks' gradients on shared weights: ``none``,
            ``network`` or ``stages`` (for each stage as well).
    """

    weighting: str = "fixed"
    weights: dict[str, float] = field(default_factory=dict)
    temperature: float = 2.0
    lr: float = 1e-3
    aggregation: str = "sum"
    beta: float = 0.5
    c: float = 0.5
    alpha: float = 1.0
    cosines: str = "none"


@dataclass
class RegularizerConfig:
    """The ``regularizer`` config group.

    Attributes:
        name: ``none``, ``smart`` (Jiang et al. 2020) or ``r_drop`` (Liang et al. 2021).
        weight: of the penalty beside each task's loss.
        steps: of ``smart``: along the gradient, to the disturbance that changes the answer most.
        step_size: of such a step.
        noise: standard deviation of the disturbance that they start from.
        epsilon: added to a disturbance's largest number before it is divided by it.
        proximal: of ``smart``: weight of the divergence from the slowly following network; above 0
            that network takes as much memory as the model.
        decay: how much of itself it keeps in an update.
    """

    name: str = "none"
    weight: float = 0.0
    steps: int = 1
    step_size: float = 1e-3
    noise: float = 1e-5
    epsilon: float = 1e-6
    proximal: float = 0.0
    decay: float = 0.99
