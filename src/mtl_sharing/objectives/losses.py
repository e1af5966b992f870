"""What each task's raw outputs mean: its loss, and the prediction in the label's own units."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.errors import UserError, check_known


class Objective(Protocol):
    """A task's loss.

    Attributes:
        outputs: raw numbers for each example, K.
        cosine: whether the raw number is the cosine of a pair's two texts.
        bias: where the output bias starts.
        squared: whether the loss is a squared error.
    """

    @property
    def squared(self) -> bool: ...
    @property
    def outputs(self) -> int: ...
    @property
    def cosine(self) -> bool: ...
    @property
    def bias(self) -> float: ...
    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over the examples: raw (E, K) and labels (E,) to a scalar."""
        ...

    def predict(self, raw: Tensor) -> Tensor:
        """Raw outputs (E, K) to predictions (E,): a class number, or a value in label units."""
        ...

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """Raw outputs (E, K) to the probability of each class (E, C); None for values."""
        ...

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """How far two raw outputs (E, K) differ, either way round, a scalar, mean over examples.

        For classes ``KL(p || q) + KL(q || p)``, for values their squared difference.
        """
        ...


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross entropy over classes."""

    outputs: int
    cosine: bool = False
    bias: float = 0.0
    squared: bool = False

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.cross_entropy(raw, labels.long())

    def predict(self, raw: Tensor) -> Tensor:
        """The likeliest class."""
        return raw.argmax(dim=1)

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """The softmax."""
        return raw.softmax(dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """See :class:`Objective`."""
        p, q = one.log_softmax(dim=1), other.log_softmax(dim=1)
        # KL(p || q) + KL(q || p) = sum (p - q) (log p - log q).
        return ((p.exp() - q.exp()) * (p - q)).sum(dim=1).mean()


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Sigmoid cross entropy of one logit."""

    outputs: int = 1
    cosine: bool = False
    bias: float = 0.0
    squared: bool = False

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.binary_cross_entropy_with_logits(raw[:, 0], labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """Class 1 where its probability is above a half."""
        return (raw[:, 0] > 0).long()

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """Of class 0 and of class 1, the sigmoid of the logit."""
        return torch.stack([(-raw[:, 0]).sigmoid(), raw[:, 0].sigmoid()], dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """See :class:`Objective`."""
        # As for two classes: a logit is the difference of their log probabilities.
        return ((one.sigmoid() - other.sigmoid()) * (one - other)).sum(dim=1).mean()


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error of the raw number; it starts at the middle of the label's range."""

    low: float
    high: float
    whole: bool = False
    outputs: int = 1
    cosine: bool = False
    squared: bool = True

    @property
    def bias(self) -> float:
        """The middle of the range."""
        return (self.low + self.high) / 2

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.mse_loss(raw[:, 0], labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """The raw number; for binary labels (``whole``) the nearer of the two classes."""
        return (raw[:, 0] > self.bias).long() if self.whole else raw[:, 0]

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """For binary labels the raw number, as far as it is a probability; None for values."""
        if not self.whole:
            return None
        upper = ((raw[:, 0] - self.low) / (self.high - self.low)).clamp(0, 1)
        return torch.stack([1 - upper, upper], dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.mse_loss(one, other)


@dataclass(frozen=True)
class CosineError:
    """Mean squared error of a cosine brought to the label's range.

    With ``sigmoid`` the value is ``low + sigmoid(cos) (high - low)``, else
    ``low + (cos + 1) / 2 (high - low)``, which for 0 to 5 is ``(cos + 1) 2.5``.
    """

    low: float
    high: float
    sigmoid: bool
    outputs: int = 1
    cosine: bool = True
    bias: float = 0.0
    squared: bool = True

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.mse_loss(self.predict(raw), labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """The value in label units."""
        share = torch.sigmoid(raw[:, 0]) if self.sigmoid else (raw[:, 0] + 1) / 2
        return self.low + share * (self.high - self.low)

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """None: it gives values."""
        return None

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.mse_loss(self.predict(one), self.predict(other))


@dataclass(frozen=True)
class ExpectedClass:
    """A value as classes, one for each whole number of its range; it predicts their mean.

    A label counts as the nearest class, from the middle on as the upper one.
    """

    low: float
    high: float
    cosine: bool = False
    bias: float = 0.0
    squared: bool = False

    @property
    def outputs(self) -> int:
        """Classes, both ends of the range counted."""
        return round(self.high - self.low) + 1

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.cross_entropy(raw, (labels - self.low + 0.5).floor().long())

    def predict(self, raw: Tensor) -> Tensor:
        """The expected value of the classes' probabilities."""
        values = torch.arange(self.outputs, device=raw.device) + self.low
        return raw.softmax(dim=1) @ values.to(raw.dtype)

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """None: its classes are only a way to a value."""
        return None

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return CrossEntropy(self.outputs).divergence(one, other)


_MOST_CLASSES = 1000
# Losses that each kind of task may name; the first is its default.
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
        where: the config field that holds the name, for the error.
        classes: number of classes; ignored for regression.
        low, high: the label's range; ignored for classes.

    Raises:
        UserError: a loss that this kind of task, or its range, cannot have.
    """
    allowed = ALLOWED[kind]
    chosen = allowed[0] if name is None else name
    check_known(where, chosen, allowed)
    if chosen == "cross_entropy":
        return CrossEntropy(classes)
    if chosen == "bce":
        return BinaryCrossEntropy()
    if chosen == "mse":
        return SquaredError(0, 1, whole=True) if kind == "binary" else SquaredError(low, high)
    if chosen == "expected_class":
        if not (low.is_integer() and high.is_integer() and high - low < _MOST_CLASSES):
            found = f"{chosen} for labels {low:g} to {high:g}"
            raise UserError(where, found, f"whole numbers, {_MOST_CLASSES} of them at most")
        return ExpectedClass(low, high)
    return CosineError(low, high, sigmoid=chosen == "sigmoid_cosine")
