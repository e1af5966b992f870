"""What each task's raw outputs mean: its loss, and the prediction in the label's own units."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.errors import check_known


class Objective(Protocol):
    """A task's loss.

    Attributes:
        outputs: raw numbers for each example, K.
        cosine: whether the raw number is the cosine of a pair's two texts.
        bias: where the output bias starts.
    """

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


@dataclass(frozen=True)
class CrossEntropy:
    """Softmax cross entropy over classes."""

    outputs: int
    cosine: bool = False
    bias: float = 0.0

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.cross_entropy(raw, labels.long())

    def predict(self, raw: Tensor) -> Tensor:
        """The likeliest class."""
        return raw.argmax(dim=1)


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """Sigmoid cross entropy of one logit."""

    outputs: int = 1
    cosine: bool = False
    bias: float = 0.0

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.binary_cross_entropy_with_logits(raw[:, 0], labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """Class 1 where its probability is above a half."""
        return (raw[:, 0] > 0).long()


@dataclass(frozen=True)
class SquaredError:
    """Mean squared error of the raw number; it starts at the middle of the label's range."""

    low: float
    high: float
    whole: bool = False
    outputs: int = 1
    cosine: bool = False

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

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """See :class:`Objective`."""
        return F.mse_loss(self.predict(raw), labels.float())

    def predict(self, raw: Tensor) -> Tensor:
        """The value in label units."""
        share = torch.sigmoid(raw[:, 0]) if self.sigmoid else (raw[:, 0] + 1) / 2
        return self.low + share * (self.high - self.low)


# Losses that each kind of task may name; the first is its default.
ALLOWED = {
    "classes": ("cross_entropy",),
    "binary": ("bce", "cross_entropy", "mse"),
    "regression": ("mse", "scaled_cosine", "sigmoid_cosine"),
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
        UserError: a loss that this kind of task cannot have.
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
    return CosineError(low, high, sigmoid=chosen == "sigmoid_cosine")
