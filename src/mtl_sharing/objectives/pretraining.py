"""What pretraining asks of an encoder: hidden tokens, and which texts belong together."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.errors import check_above, check_known
from mtl_sharing.objectives.losses import CrossEntropy

SIMILARITIES = ("dot", "cosine")
# Of scores between -1 and 1 a softmax over a batch is nearly flat, so cosines are stretched.
_SCALES = {"dot": 1.0, "cosine": 20.0}


@dataclass(frozen=True)
class MaskedTokens(CrossEntropy):
    """Cross entropy over the vocabulary at the hidden tokens (Devlin et al. 2019).

    ``outputs`` is the size of the vocabulary, and an example is a hidden token: raw outputs are
    logits (P, V), labels the ids that stood there (P,), predictions the likeliest ids (P,).
    """

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over the hidden tokens, 0 where nothing is hidden."""
        total = F.cross_entropy(raw, labels.long(), reduction="sum")
        return total / max(1, len(labels))


@dataclass(frozen=True)
class RankedPairs:
    """Multiple-negatives ranking (Henderson et al. 2017, section 4.4).

    Each first text has to find its own second text among those of the whole batch: cross entropy
    over the scores of a first text with all second texts. Raw outputs are the embeddings of both
    texts side by side, (E, 2 H); labels (E,) number groups of texts that belong together. Pairs of
    one group are no negatives of each other; the paper has no such groups.

    Attributes:
        width: of one text's embedding, H.
        scale: what a score is multiplied by.
        normalized: whether a score is the cosine of the embeddings instead of their dot product.
        symmetric: whether each second text has to find its first text, too; the loss is the mean.
    """

    width: int
    scale: float = 1.0
    normalized: bool = False
    symmetric: bool = False
    cosine: bool = False
    bias: float = 0.0
    squared: bool = False

    @property
    def outputs(self) -> int:
        """Numbers for each pair, 2 H."""
        return 2 * self.width

    def scores(self, raw: Tensor) -> Tensor:
        """Embeddings (E, 2 H) to the scores of every first text with every second one, (E, E)."""
        first, second = self._embeddings(raw)
        return self.scale * first @ second.T

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over the pairs."""
        own = torch.arange(len(raw), device=raw.device)
        together = (labels[:, None] == labels) & (own[:, None] != own)
        scores = self.scores(raw).masked_fill(together, float("-inf"))
        loss = F.cross_entropy(scores, own)
        return (loss + F.cross_entropy(scores.T, own)) / 2 if self.symmetric else loss

    def predict(self, raw: Tensor) -> Tensor:
        """The score of each pair's own two texts, (E,)."""
        first, second = self._embeddings(raw)
        return self.scale * (first * second).sum(dim=1)

    def probabilities(self, raw: Tensor) -> Tensor | None:
        """None: a score is a value."""
        return None

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """How far the answers to "which second text?" differ, as for classes."""
        return CrossEntropy(len(one)).divergence(self.scores(one), self.scores(other))

    def _embeddings(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        first, second = raw.chunk(2, dim=1)
        if not self.normalized:
            return first, second
        return F.normalize(first, dim=1), F.normalize(second, dim=1)


def ranked_pairs(
    where: str, width: int, similarity: str = "dot", scale: float | None = None,
    symmetric: bool = False,
) -> RankedPairs:  # fmt: skip
    """The ranking objective that a config asks for.

    Args:
        where: the config field that holds ``similarity`` and ``scale``, for the error.
        width: of one text's embedding, H.
        similarity: ``dot`` or ``cosine``.
        scale: what a score is multiplied by; None is 1 for dot products and 20 for cosines.

    Raises:
        UserError: an unknown similarity, or a scale of 0 or less.
    """
    check_known(f"{where}.similarity", similarity, SIMILARITIES)
    chosen = _SCALES[similarity] if scale is None else scale
    check_above(f"{where}.scale", chosen, 0)
    return RankedPairs(width, chosen, similarity == "cosine", symmetric)
