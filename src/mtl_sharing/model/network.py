"""The complete network: planned encoder, pooling, lanes and every task's head."""

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.model.heads import Heads
from mtl_sharing.model.lanes import upstream_outputs
from mtl_sharing.model.planned_encoder import PlannedEncoder, TextInput
from mtl_sharing.model.routing import (
    PackedRows,
    StageCopies,
    first_tokens,
    mean_tokens,
    rows_by_task,
    select_tasks,
)


class Network(nn.Module):
    """Maps packed text to the raw outputs of every task.

    Args:
        tower: starting weights of the encoder; None leaves it without memory (meta device).
        seed: seed of the starting weights that no tower has.

    Raises:
        UserError: a plan that does not fit the encoder.
    """

    def __init__(self, architecture: Architecture, tower: Tower | None, seed: int = 0) -> None:
        super().__init__()
        self.architecture = architecture
        a, frozen = architecture, architecture.frozen_layers
        self.encoder = PlannedEncoder(
            a.encoder, a.plan, tower, a.pooler, a.pals, a.read, frozen=frozen, seed=seed
        )
        norm = partial(nn.LayerNorm, a.encoder.hidden, eps=1e-12)  # BERT's epsilon
        self.norm = None if a.lanes is None else StageCopies(a.lane_norm(), norm)
        self.heads = Heads(architecture, seed)
        self._first_only = {head.name for head in architecture.heads if head.pooling != "mean"}

    def forward(self, batches: Mapping[str, TextInput]) -> dict[str, Tensor]:
        """Raw outputs (E, K) of each task in ``batches``, in float32.

        A batch of separately encoded pairs has all first texts, then all second ones, or is two
        batches. Tasks with the same batch object are predicted in one pass, so a task of single
        texts can share the first texts of a task of pairs.
        """
        rows = self._pool(self.encoder(batches, self._first_only))
        if self.norm is not None:
            rows = self.norm(rows, lambda norm, r: PackedRows(r.streams, norm(r.values)))
        pooled, lanes = rows_by_task(rows, batches), self.architecture.lanes
        upstream = {} if lanes is None else upstream_outputs(self.heads, lanes, pooled)
        outputs: dict[str, Tensor] = self.heads(pooled, upstream)
        return outputs

    def tied(self) -> list[list[nn.Parameter]]:
        """Each task's copies of the tied weights; empty without a tied stage."""
        stages = [stage for stage in self._stages() if stage.tied and stage.owners]
        numbers = range(len(self.architecture.plan.tasks)) if stages else ()
        return [[w for stage in stages for w in stage.copies[n].parameters()] for n in numbers]

    def shared(self) -> dict[str, list[nn.Parameter]]:
        """The trained weights of each stage, by name, that several tasks own."""
        weights: dict[str, list[nn.Parameter]] = {}
        for stage in self._stages():
            for copy, owners in zip(stage.copies, stage.owners, strict=True):
                if stage.trains and len(owners) > 1:
                    weights.setdefault(stage.name, []).extend(copy.parameters())
        return weights

    def owners(self) -> dict[str, tuple[str, ...]]:
        """The tasks whose predictions use each weight, by the weight's name.

        A copy that no prediction uses is its owners'.
        """
        a, tasks = self.architecture, self.architecture.plan.tasks
        parts = {
            f"{prefix}.copies.{number}": a.reaching(stage.name, owners) or owners
            for prefix, stage in self.named_modules()
            if isinstance(stage, StageCopies)
            for number, owners in enumerate(stage.owners)
        }
        of_each_task = ("encoder.pals.tasks", "heads.fusions", "heads.outputs")
        parts |= {f"{name}.{n}": (task,) for name in of_each_task for n, task in enumerate(tasks)}
        return {
            name: next(owners for part, owners in parts.items() if name.startswith(f"{part}."))
            for name in self.state_dict()
        }

    def encoder_requires_grad_(self, flag: bool) -> "Network":
        """Sets whether the encoder takes a gradient; stages frozen by the plan never do."""
        self.encoder.requires_grad_(flag)
        for stage in self.encoder.modules():
            if isinstance(stage, StageCopies):
                stage.requires_grad_(flag and stage.trains)
        return self

    def _stages(self) -> list[StageCopies]:
        return [module for module in self.modules() if isinstance(module, StageCopies)]

    def _pool(self, rows: list[PackedRows]) -> list[PackedRows]:
        """Each task's rows by the pooling of its head."""
        poolings = {"pooler": self.encoder.pooled, "cls": first_tokens, "mean": mean_tokens}
        pooled = []
        for name, pool in poolings.items():
            tasks = [head.name for head in self.architecture.heads if head.pooling == name]
            selected = select_tasks(rows, tasks)
            pooled += pool(selected) if selected else []
        return pooled


class PhaseNetwork(nn.Module):
    """A network as a phase trains it: with other outputs, or some of its weights alone."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    @property
    def architecture(self) -> Architecture:
        """The network's."""
        return self.network.architecture

    def owners(self) -> dict[str, tuple[str, ...]]:
        """See :meth:`Network.owners`."""
        return {f"network.{name}": tasks for name, tasks in self.network.owners().items()}

    def shared(self) -> dict[str, list[nn.Parameter]]:
        """The weights of :meth:`Network.shared` whose gradients are aggregated: none."""
        return {}

    def tied(self) -> list[list[nn.Parameter]]:
        """The weights of :meth:`Network.tied` with a penalty: none."""
        return []


class HeadsOnly(PhaseNetwork):
    """A network with a frozen encoder, which takes no gradient and runs without dropout."""

    def __init__(self, network: Network) -> None:
        super().__init__(network.encoder_requires_grad_(False))

    def train(self, mode: bool = True) -> "HeadsOnly":
        """Sets the mode as in torch, except that the encoder stays in evaluation mode."""
        super().train(mode)
        self.network.encoder.eval()
        return self

    def forward(self, batches: Mapping[str, TextInput]) -> dict[str, Tensor]:
        """See :meth:`Network.forward`."""
        outputs: dict[str, Tensor] = self.network(batches)
        return outputs

    def shared(self) -> dict[str, list[nn.Parameter]]:
        """The weights of :meth:`Network.shared` that take a gradient."""
        shared = self.network.shared()
        return {name: weights for name, weights in shared.items() if weights[0].requires_grad}
