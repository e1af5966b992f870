"""Embeddings of the two texts of a pair, without any head."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl_sharing.batch import PackedBatch
from mtl_sharing.errors import check_known
from mtl_sharing.model.network import Network
from mtl_sharing.model.planned_encoder import by_task, first_tokens, mean_tokens

POOLINGS = ("mean", "cls")


class PairEmbeddings(nn.Module):
    """Both texts of each pair as one vector each.

    Args:
        network: its encoder is read at the layer that the task's head reads.
        pooling: ``mean`` of a text's tokens, or ``cls`` for the first token.
        where: the config field that holds ``pooling``, for the error.

    Raises:
        UserError: an unknown pooling.
    """

    def __init__(self, network: Network, pooling: str = "mean", where: str = "pooling") -> None:
        super().__init__()
        self.network = network
        check_known(where, pooling, POOLINGS)
        self.pooling = pooling

    def forward(self, texts: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        """For each task its pairs' embeddings side by side, (E, 2 H), in float32.

        Args:
            texts: of each pair task all first texts, then all second ones.
        """
        mean = self.pooling == "mean"
        rows = self.network.encoder(texts, () if mean else tuple(texts))
        pooled = by_task(mean_tokens(rows) if mean else first_tokens(rows), texts)
        return {task: torch.cat(found.chunk(2), dim=1).float() for task, found in pooled.items()}
