"""The whole network: planned encoder, pooling, and every task's head."""

from collections.abc import Mapping

from torch import Tensor, nn

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.model.encoder.layers import VectorNorm
from mtl_sharing.model.heads import Heads
from mtl_sharing.model.lanes import upstream_outputs
from mtl_sharing.model.planned_encoder import Given, PlannedEncoder, first_tokens, mean_tokens
from mtl_sharing.model.routing import JoinedRow, StageCopies, of_tasks, row_of_each


class Network(nn.Module):
    """Predictions of every task from packed text.

    Args:
        architecture: everything but the weights.
        tower: starting weights of the encoder; None leaves it without memory (meta device).
        seed: of the starting weights that no tower has.

    Raises:
        UserError: a plan that does not fit the encoder.
    """

    def __init__(self, architecture: Architecture, tower: Tower | None, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        self.encoder = PlannedEncoder(
            architecture.encoder,
            architecture.plan,
            tower,
            pooler=architecture.pooler,
            pals=architecture.pals,
            read=architecture.read,
            frozen=architecture.frozen_layers,
            seed=seed,
        )
        hidden, stage = architecture.encoder.hidden, architecture.lane_norm()
        has_lanes = architecture.lanes is not None
        self.norm = StageCopies(stage, lambda: VectorNorm(hidden)) if has_lanes else None
        self.heads = Heads(architecture, seed)
        heads = architecture.heads
        self._first_only = frozenset(head.name for head in heads if head.pooling != "mean")

    def forward(self, batches: Mapping[str, Given]) -> dict[str, Tensor]:
        """Raw outputs (E, K) of each task in ``batches``, in float32.

        A batch for a task with ``features`` or ``cosine`` holds all first texts, then all second
        ones; they may also be given as two batches. Give several tasks the same batch object to
        predict them all in one pass: a task of single texts may so be given the first texts that
        a task of pairs reads.
        """
        rows = self._pool(self.encoder(batches, self._first_only))
        if self.norm is not None:
            rows = self.norm(rows)
        pooled, lanes = row_of_each(rows, batches), self.architecture.lanes
        upstream = {} if lanes is None else upstream_outputs(self.heads, lanes, pooled)
        outputs: dict[str, Tensor] = self.heads(pooled, upstream)
        return outputs

    def tied(self) -> list[list[nn.Parameter]]:
        """For each task its copies of the weights that a penalty holds together."""
        planned = [m for m in self.modules() if isinstance(m, StageCopies)]
        stages = [stage for stage in planned if stage.tied and stage.owners]
        each = range(len(self.architecture.plan.tasks)) if stages else ()
        return [[w for stage in stages for w in stage.copies[n].parameters()] for n in each]

    def encoder_requires_grad_(self, flag: bool) -> "Network":
        """Whether the encoder takes a gradient, as far as the plan lets it train."""
        self.encoder.requires_grad_(flag)
        for stage in self.encoder.modules():
            if isinstance(stage, StageCopies):
                stage.requires_grad_(flag and stage.trains)
        return self

    def shared(self) -> dict[str, list[nn.Parameter]]:
        """For each stage, by name, the weights that train and that several tasks own."""
        found: dict[str, list[nn.Parameter]] = {}
        for stage in self.modules():
            if isinstance(stage, StageCopies) and stage.trains:
                for copy, owners in zip(stage.copies, stage.owners, strict=True):
                    if len(owners) > 1:
                        found.setdefault(stage.name, []).extend(copy.parameters())
        return found

    def _pool(self, rows: list[JoinedRow]) -> list[JoinedRow]:
        """Each task's rows pooled as its head says."""
        pooled = []
        for name, pool in (("pooler", self.encoder.pooled), ("cls", first_tokens),
                           ("mean", mean_tokens)):  # fmt: skip
            tasks = [head.name for head in self.architecture.heads if head.pooling == name]
            kept = of_tasks(rows, tasks)
            pooled += pool(kept) if kept else []
        return pooled


class HeadsOnly(nn.Module):
    """A network whose encoder stays as it is: it takes no gradient, and runs without dropout."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network.encoder_requires_grad_(False)

    def train(self, mode: bool = True) -> "HeadsOnly":
        """As in torch, except that the encoder never leaves evaluation mode."""
        super().train(mode)
        self.network.encoder.eval()
        return self

    def forward(self, batches: Mapping[str, Given]) -> dict[str, Tensor]:
        """See :meth:`Network.forward`."""
        outputs: dict[str, Tensor] = self.network(batches)
        return outputs

    def shared(self) -> dict[str, list[nn.Parameter]]:
        """As :meth:`Network.shared`, without what takes no gradient."""
        found = self.network.shared()
        return {name: weights for name, weights in found.items() if weights[0].requires_grad}
