"""Pretraining objectives: masked tokens, and ranking of text pairs."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.errors import check_above, check_known
from mtl_sharing.objectives.losses import CrossEntropy, Objective

# Default scale by similarity. The softmax of a batch of cosines, all between -1 and 1, is nearly
# uniform, so they are scaled up.
_SCALES = {"dot": 1.0, "cosine": 20.0}


@dataclass(frozen=True)
class MaskedTokens(CrossEntropy):
    """Cross entropy over the vocabulary at the masked tokens (Devlin et al. 2019).

    ``classes`` is the size of the vocabulary, and an example is a masked token: raw outputs are
    logits (P, vocabulary), labels the original ids (P,), predictions the most probable ids (P,).
    """

    def loss(self, raw: Tensor, labels: Tensor) -> Tensor:
        """Mean loss over the masked tokens, 0 without any."""
        total = F.cross_entropy(raw, labels.long(), reduction="sum")
        return total / max(1, len(labels))


@dataclass(frozen=True)
class RankedPairs(Objective):
    """Multiple-negatives ranking (Henderson et al. 2017, section 4.4).

    The second text of each pair is ranked among those of the batch: cross entropy over the scores
    of a first text with all second texts. Raw outputs are the embeddings of both texts side by
    side, (E, 2 H). Labels (E,) number groups of equivalent texts. Deviation from the paper: pairs
    of one group are no negatives of each other.

    Attributes:
        width: width of one text's embedding, H.
        scale: factor of the scores.
        normalized: whether a score is the cosine of the embeddings, not their dot product.
    """

    width: int
    scale: float = 1.0
    normalized: bool = False

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
        numbers = torch.arange(len(raw), device=raw.device)
        equivalent = (labels[:, None] == labels) & (numbers[:, None] != numbers)
        scores = self.scores(raw).masked_fill(equivalent, float("-inf"))
        return F.cross_entropy(scores, numbers)

    def predict(self, raw: Tensor) -> Tensor:
        """The score of each pair's own two texts, (E,)."""
        first, second = self._embeddings(raw)
        return self.scale * (first * second).sum(dim=1)

    def divergence(self, one: Tensor, other: Tensor) -> Tensor:
        """Symmetric KL divergence of the distributions over second texts."""
        return CrossEntropy(len(one)).divergence(self.scores(one), self.scores(other))

    def _embeddings(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        first, second = raw.chunk(2, dim=1)
        if not self.normalized:
            return first, second
        return F.normalize(first, dim=1), F.normalize(second, dim=1)


def ranked_pairs(where: str, width: int, similarity: str, scale: float | None) -> RankedPairs:
    """The ranking objective of a config.

    Args:
        where: the config field that holds ``similarity`` and ``scale``, for the error.
        similarity: ``dot`` or ``cosine``.
        scale: factor of the scores; None is 1 for dot products and 20 for cosines.

    Raises:
        UserError: an unknown similarity, or a scale of 0 or less.
    """
    check_known(f"{where}.similarity", similarity, _SCALES)
    scale = _SCALES[similarity] if scale is None else scale
    check_above(f"{where}.scale", scale, 0)
    return RankedPairs(width, scale, similarity == "cosine")
