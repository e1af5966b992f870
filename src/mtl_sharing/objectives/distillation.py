"""Distillation: losses that mix the labels with the outputs of a teacher."""

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.batch import LabelledBatch
from mtl_sharing.errors import check_above, check_range
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.settings import DistillationConfig


@dataclass(frozen=True)
class Distillation:
    """The mixed loss ``(1 - w) L(labels) + w L(teacher)``, with a weight w that may move.

    Attributes:
        start, end: w at the first and at the last draw of a training, linear in between as in
            teacher annealing (Clark et al. 2019, section 3.2), where it goes from 1 to 0.
        temperature: see :func:`teacher_loss`.
    """

    start: float = 0.0
    end: float = 0.0
    temperature: float = 1.0

    def weight(self, draw: int, draws: int) -> float:
        """The teacher's share in the loss of a draw, counted from 0, of ``draws``."""
        return self.start + (self.end - self.start) * draw / max(1, draws - 1)

    def loss(
        self, objective: Objective, raw: Tensor, batch: LabelledBatch, weight: float
    ) -> Tensor:
        """Mean loss over the examples, a scalar; that on the labels alone without a teacher."""
        labels = objective.loss(raw, batch.labels)
        if batch.teacher is None or weight == 0:
            return labels
        teacher = teacher_loss(objective, raw, batch.teacher, self.temperature)
        return (1 - weight) * labels + weight * teacher


def teacher_loss(objective: Objective, raw: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Distance of the outputs ``raw`` from the teacher's, both (E, K); a scalar.

    For classes ``T^2 KL(p || q)``, where p and q are the softmax of the teacher's and of the
    student's logits, divided by the temperature T (Hinton et al. 2015, section 2.1: T^2 keeps the
    size of the gradients). Values have no temperature: their squared difference.
    """
    if objective.squared:
        return objective.divergence(raw, teacher)
    student, target = (_log_probabilities(logits / temperature) for logits in (raw, teacher))
    divergence = F.kl_div(student, target, reduction="batchmean", log_target=True)
    return temperature**2 * divergence


def _log_probabilities(logits: Tensor) -> Tensor:
    """Log probabilities of the classes; a single logit is that of class 1 beside 0 for class 0."""
    return (F.pad(logits, (1, 0)) if logits.shape[1] == 1 else logits).log_softmax(dim=1)


def check_distillation(config: DistillationConfig) -> None:
    """Raises UserError for a number out of range."""
    check_range("distillation.weight", config.weight, 0, 1)
    if config.end is not None:
        check_range("distillation.end", config.end, 0, 1)
    check_above("distillation.temperature", config.temperature, 0)


def make_distillation(config: DistillationConfig) -> Distillation:
    """The distillation of a checked config."""
    return Distillation(config.weight, config.last, config.temperature)
