"""Losses of the tasks, and predictions in the units of the labels."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.errors import UserError, check_known


class Objective(ABC):
    """A task's loss, with the meaning of its raw outputs.

    Attributes:
        cosine: whether the raw output is the cosine of a pair's two texts.
        squared: whether the loss is a squared error.
    """

    cosine = squared = False

    @property
    def outputs(self) -> int:
        """Raw outputs for each example, K."""
        return 1

    @property
    def bias(self) -> float:
        """Starting value of the output bias."""
        return 0.0

    @abstractmethod
    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over the examples: raw (E, K) and labels (E,) to a scalar."""

    @abstractmethod
    def predict(self, raw: Tensor) -> Tensor:
        """Raw outputs (E, K) to predictions (E,): a class number, or a value in label units."""

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """Raw outputs (E, K) to the probability of each class (E, C); None for values."""
        return None

    @abstractmethod
    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """Symmetric distance of two raw outputs (E, K), a scalar, mean over examples.

        For classes ``KL(p || q) + KL(q || p)``, for values their squared difference.
        """


@dataclass(frozen=True)
class CrossEntropy(Objective):
    """Softmax cross entropy over classes."""

    classes: int

    @property
    def outputs(self) -> int:
        """A logit for each class."""
        return self.classes

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy."""
        return F.cross_entropy(raw, labels.long())

    def predict(self, raw: Tensor) -> Tensor:
        """The most probable class."""
        return raw.argmax(dim=1)

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """The softmax."""
        return raw.softmax(dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """Symmetric KL divergence of the softmax."""
        p, q = one.log_softmax(dim=1), other.log_softmax(dim=1)
        # KL(p || q) + KL(q || p) = sum (p - q) (log p - log q).
        return ((p.exp() - q.exp()) * (p - q)).sum(dim=1).mean()


@dataclass(frozen=True)
class BinaryCrossEntropy(Objective):
    """Sigmoid cross entropy of one logit."""

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy."""
        return F.binary_cross_entropy_with_logits(raw[:, 0], labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """Class 1 where its probability is above one half."""
        return (raw[:, 0] > 0).long()

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """Probabilities of class 0 and class 1."""
        return torch.stack([(-raw[:, 0]).sigmoid(), raw[:, 0].sigmoid()], dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """Symmetric KL divergence of the two classes."""
        # The formula of CrossEntropy: a logit is the difference of the log probabilities.
        return ((one.sigmoid() - other.sigmoid()) * (one - other)).sum(dim=1).mean()


@dataclass(frozen=True)
class SquaredError(Objective):
    """Mean squared error of the raw output, for values or binary labels (``whole``)."""

    low: float
    high: float
    whole: bool = False
    squared = True

    @property
    def bias(self) -> float:
        """The middle of the label's range."""
        return (self.low + self.high) / 2

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error."""
        return F.mse_loss(raw[:, 0], labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """The raw output; for binary labels the nearer class."""
        return (raw[:, 0] > self.bias).long() if self.whole else raw[:, 0]

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """For binary labels the raw output, clamped to a probability; None for values."""
        if not self.whole:
            return None
        upper = ((raw[:, 0] - self.low) / (self.high - self.low)).clamp(0, 1)
        return torch.stack([1 - upper, upper], dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """Mean squared difference."""
        return F.mse_loss(one, other)


@dataclass(frozen=True)
class CosineError(Objective):
    """Mean squared error of a cosine scaled to the label's range.

    With ``sigmoid`` the value is ``low + sigmoid(cos) (high - low)``, else
    ``low + (cos + 1) / 2 (high - low)``, which for 0 to 5 is ``(cos + 1) 2.5``.
    """

    low: float
    high: float
    sigmoid: bool
    cosine = squared = True

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean squared error in label units."""
        return F.mse_loss(self.predict(raw), labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """The value in label units."""
        share = torch.sigmoid(raw[:, 0]) if self.sigmoid else (raw[:, 0] + 1) / 2
        return self.low + share * (self.high - self.low)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """Mean squared difference in label units."""
        return F.mse_loss(self.predict(one), self.predict(other))


@dataclass(frozen=True)
class ExpectedClass(Objective):
    """Cross entropy over one class for each whole number of a range; predicts their mean.

    A label counts as the nearest class, and a label in the middle as the upper one.
    """

    low: float
    high: float

    @property
    def outputs(self) -> int:
        """Number of classes, both ends of the range included."""
        return round(self.high - self.low) + 1

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean cross entropy."""
        return F.cross_entropy(raw, (labels - self.low + 0.5).floor().long())

    def predict(self, raw: Tensor) -> Tensor:
        """The expected value under the class probabilities."""
        values = torch.arange(self.outputs, device=raw.device) + self.low
        # No product of matrices, which autocast would round to bf16.
        return (raw.softmax(dim=1) * values.to(raw.dtype)).sum(dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """Symmetric KL divergence of the softmax."""
        return CrossEntropy(self.outputs).divergence(one, other)


_MAX_CLASSES = 1000
# Losses that each kind of task may have; the first is its default.
ALLOWED = {
    "classes": ("cross_entropy",),
    "binary": ("bce", "cross_entropy", "mse"),
    "regression": ("mse", "scaled_cosine", "sigmoid_cosine", "expected_class"),
}


def make_objective(
    name: str | None, kind: str, where: str, classes: int, low: float, high: float
) -> Objective:
    """The objective called ``name`` for a task of ``kind``; None takes the kind's default.

    Args:
        where: the config field of the name, for the error.
        classes: number of classes; ignored for regression.
        low, high: the label's range; ignored for classes.

    Raises:
        UserError: a loss that does not fit the kind of task or its range.
    """
    allowed = ALLOWED[kind]
    name = allowed[0] if name is None else name
    check_known(where, name, allowed)
    if name == "cross_entropy":
        return CrossEntropy(classes)
    if name == "bce":
        return BinaryCrossEntropy()
    if name == "mse":
        return SquaredError(0, 1, whole=True) if kind == "binary" else SquaredError(low, high)
    if name == "expected_class":
        if not (low.is_integer() and high.is_integer() and high - low < _MAX_CLASSES):
            found = f"{name} for labels {low:g} to {high:g}"
            raise UserError(where, found, f"whole numbers, {_MAX_CLASSES} of them at most")
        return ExpectedClass(low, high)
    return CosineError(low, high, sigmoid=name == "sigmoid_cosine")
