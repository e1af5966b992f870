"""Embeddings of the two texts of a pair, without a head."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from mtl_sharing.batch import PackedBatch
from mtl_sharing.errors import check_known
from mtl_sharing.model.network import Network
from mtl_sharing.model.routing import first_tokens, mean_tokens, values_by_task

POOLINGS = ("mean", "cls")


class PairEmbeddings(nn.Module):
    """A network that gives one vector for each text of a pair.

    Args:
        network: its encoder is read at the layer that the task's head reads.
        pooling: ``mean`` of a text's tokens, or ``cls`` for the first token.
        where: the config field of ``pooling``, for the error.

    Raises:
        UserError: an unknown pooling.
    """

    def __init__(self, network: Network, pooling: str = "mean", where: str = "pooling") -> None:
        super().__init__()
        self.network = network
        check_known(where, pooling, POOLINGS)
        self.pooling = pooling

    def forward(self, texts: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        """The embeddings of each task's pairs side by side, (E, 2 H), in float32.

        Args:
            texts: for each pair task all first texts, then all second ones.
        """
        mean = self.pooling == "mean"
        rows = self.network.encoder(texts, () if mean else tuple(texts))
        pooled = values_by_task(mean_tokens(rows) if mean else first_tokens(rows), texts)
        return {task: torch.cat(v.chunk(2), dim=1).float() for task, v in pooled.items()}
