"""Config groups ``loss``, ``regularizer`` and ``distillation``.

No torch is imported, so that the command line starts fast.
"""

from dataclasses import dataclass, field


@dataclass
class LossConfig:
    """The ``loss`` config group: weights of the tasks, and aggregation of their gradients.

    Attributes:
        weighting: ``fixed``, ``uncertainty`` (Kendall et al. 2018), ``dwa`` (dynamic weight
            average, Liu et al. 2019) or ``random`` (Lin et al. 2022).
        weights: weight of each task for ``fixed``. Empty gives the tasks of a step equal weights
            that add up to 1.
        temperature: for ``dwa``: higher values give more equal weights.
        lr: peak learning rate of the weights that ``uncertainty`` learns.
        aggregation: ``sum``, or a rule for conflicting gradients on shared weights; see
            :mod:`mtl_sharing.objectives.aggregation`.
        beta: for ``gradvac``: rate at which its targets follow the observed cosines.
        c: for ``cagrad``: distance from the mean gradient, 0 to below 1.
        alpha: for ``fairgrad``: 0 is the sum, 1 proportional fairness, larger nearer to max-min.
        cosines: log the cosine of the tasks' gradients on shared weights: ``none``, ``network`` or
            ``stages`` (for each stage as well).
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
        weight: weight of the penalty beside each task's loss.
        steps: for ``smart``: gradient ascent steps to the adversarial perturbation.
        step_size: size of such a step.
        noise: standard deviation of the initial perturbation.
        epsilon: added to a perturbation's largest absolute value before the division by it.
        proximal: for ``smart``: weight of the divergence from the momentum network. Above 0 that
            network takes as much memory as the model.
        decay: momentum of that network.
    """

    name: str = "none"
    weight: float = 0.0
    steps: int = 1
    step_size: float = 1e-3
    noise: float = 1e-5
    epsilon: float = 1e-6
    proximal: float = 0.0
    decay: float = 0.99


@dataclass
class DistillationConfig:
    """The ``distillation`` config group: a run that learns from separate models.

    Attributes:
        weight: share of the teacher in each task's loss, 0 to 1; the labels have the rest.
        end: the same at the end of a training, linear in between (Clark et al. 2019); null keeps
            ``weight``.
        temperature: divisor of the logits of teacher and student (Hinton et al. 2015).
        teacher: ``separate`` (separate models with the same settings, trained once for all runs),
            or the folder of a finished run of separate models.
    """

    weight: float = 0.0
    end: float | None = None
    temperature: float = 2.0
    teacher: str = "separate"

    @property
    def last(self) -> float:
        """The share of the teacher at the end of a training."""
        return self.weight if self.end is None else self.end

    @property
    def enabled(self) -> bool:
        """Whether the run has a teacher."""
        return self.weight > 0 or self.last > 0
