"""The encoder of a sharing plan: one tower for each task, with shared stages held once."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtl_sharing.batch import PackedBatch
from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.model.encoder.layers import make_stage
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.pals import Pals
from mtl_sharing.model.routing import (
    PackedRows,
    RunStage,
    StageCopies,
    Stream,
    first_tokens,
    one_row_per_sequence,
    repeat_per_task,
    select_tasks,
    values_by_task,
)
from mtl_sharing.model.specs import PalShape
from mtl_sharing.plan.plan import SharingPlan, Stage

Batches = tuple[PackedBatch, ...]
TextInput = PackedBatch | Batches
"""The text of a task: a batch, or several that count as one."""


class PlannedEncoder(nn.Module):
    """The towers of all tasks.

    Args:
        tower: starting weights, copied into every copy of a stage; None leaves the stages on the
            meta device.
        read: the layer that a task's head reads, for tasks that read below the last layer.
        frozen: number of lowest layers that a batch's ``states`` stand for.
        seed: seed of the starting weights that no tower has.

    Raises:
        UserError: a plan with another number of layers.
    """

    def __init__(
        self,
        shape: EncoderShape,
        plan: SharingPlan,
        tower: Tower | None,
        pooler: bool = False,
        pals: PalShape | None = None,
        read: Mapping[str, int] | None = None,
        frozen: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if plan.depth != shape.layers:
            allowed = f"depths that add up to {shape.layers} layers"
            raise UserError("sharing.plan", f"{plan} ({plan.depth} layers)", allowed)
        self.shape, self.plan = shape, plan
        self.read, self.frozen = dict(read or {}), frozen
        stages = plan.stages(len(plan.head), pooler, self.read)
        self.embeddings = _make_copies(stages[0], shape, tower)
        layers = stages[1 : 1 + shape.layers]
        self.layers = nn.ModuleList(_make_copies(stage, shape, tower) for stage in layers)
        self.pooler = _make_copies(stages[1 + shape.layers], shape, tower) if pooler else None
        pal_seed = None if tower is None else seed
        self.pals = None if pals is None else Pals(pals, shape, plan.tasks, self.read, pal_seed)

    def forward(
        self, batches: Mapping[str, TextInput], first_only: Collection[str] = ()
    ) -> list[PackedRows]:
        """Hidden states of each task's text at the layer that the task reads.

        Tasks with the same batch object run together wherever they share.

        Args:
            batches: packed text for any of the plan's tasks.
            first_only: tasks that read only the first token of each sequence. A last layer that
                only such tasks share computes rows (B, H).

        Returns:
            Rows (N, H), joined as the last stage left them; :meth:`hidden` splits them by task.
        """
        texts = {task: (b,) if isinstance(b, PackedBatch) else b for task, b in batches.items()}
        cached = {task: parts for task, parts in texts.items() if parts[0].states is not None}
        new = {task: parts for task, parts in texts.items() if task not in cached}
        states = _text_rows(cached, lambda text: cast(Tensor, text.states).float())
        rows = self.embeddings(_text_rows(new, self._ids))
        rows = [_add_noise(packed, new) for packed in rows]
        finished: list[PackedRows] = []
        for depth in range(self.shape.layers + 1):
            if depth == self.frozen:
                rows = _merge_in_order(rows, states, list(batches))
            done = [task for task in batches if self._last_layer(task) < depth]
            if done:
                finished += select_tasks(rows, done)
                rows = select_tasks(rows, [task for task in self.plan.tasks if task not in done])
            if rows:
                rows = self.layers[depth](rows, self._run(depth, first_only))
        return finished

    def hidden(self, batches: Mapping[str, TextInput]) -> dict[str, Tensor]:
        """The states of :meth:`forward` for each task, shape (N, H)."""
        return values_by_task(self(batches), batches)

    def pooled(self, rows: Sequence[PackedRows]) -> list[PackedRows]:
        """The pooler's output of every sequence, shape (B, H), from :meth:`forward`'s rows."""
        if self.pooler is None:
            raise ValueError("this encoder was made without a pooler")
        return self.pooler(first_tokens(rows))

    def _last_layer(self, task: str) -> int:
        return self.read.get(task, self.shape.layers - 1)

    def _run(self, depth: int, first_only: Collection[str]) -> RunStage:
        """Function that runs a copy of layer ``depth``."""
        adapter = None if self.pals is None else self.pals.adapter(depth)
        first_only = {task for task in first_only if self._last_layer(task) == depth}

        def run(layer: nn.Module, rows: PackedRows) -> PackedRows:
            # Tasks that share this layer and the text still have PALs of their own.
            rows = rows if adapter is None else repeat_per_task(rows)
            added = None if adapter is None else adapter(rows)
            first = all(task in first_only for stream in rows.streams for task in stream.tasks)
            values = layer(rows.values, rows.layouts, added, first)
            return PackedRows(one_row_per_sequence(rows.streams) if first else rows.streams, values)

        return run

    def _ids(self, text: PackedBatch) -> Tensor:
        """Token ids and types, (N, 2), followed by tags where the embeddings read them, (N, 4)."""
        ids = torch.stack([text.tokens, text.token_types], dim=1)
        if not self.shape.tagged:
            return ids
        tags = torch.zeros_like(ids) if text.tags is None else text.tags
        return torch.cat([ids, tags], dim=1)


def _make_copies(stage: Stage, shape: EncoderShape, tower: Tower | None) -> StageCopies:
    # On the meta device, so that no time goes into random numbers that are overwritten.
    with torch.device("meta"):
        copies = StageCopies(stage, lambda: make_stage(stage.name, shape))
    if tower is not None:
        for copy in copies.copies:
            weights = {name: value.clone() for name, value in tower[stage.name].items()}
            copy.load_state_dict(weights, assign=True)
    # Assigned tensors bring a flag of their own.
    return copies.requires_grad_(stage.trains)


def _text_rows(
    texts: Mapping[str, Batches], values_of: Callable[[PackedBatch], Tensor]
) -> list[PackedRows]:
    """Rows of each different text, with all the tasks that read it."""
    readers: dict[int, list[str]] = {}
    # Identity, not equality: the caller shares a batch object to have it computed once.
    different = {id(text): text for parts in texts.values() for text in parts}
    for task, parts in texts.items():
        for text in parts:
            readers.setdefault(id(text), []).append(task)
    rows = []
    for key, text in different.items():
        layout = SequenceLayout.of(text.lengths, text.tokens.device, len(text.tokens), text.steady)
        values = values_of(text)
        rows.append(PackedRows((Stream(tuple(readers[key]), layout, len(values)),), values))
    return rows


def _add_noise(rows: PackedRows, texts: Mapping[str, Batches]) -> PackedRows:
    """The rows plus the noise of their texts. Either all of the texts have noise or none has."""
    noise = []
    for number, stream in enumerate(rows.streams):
        task = stream.tasks[0]
        # Streams of a task come in the order of its batches.
        batch = sum(task in other.tasks for other in rows.streams[:number])
        noise.append(texts[task][batch].noise)
    present = [one for one in noise if one is not None]
    return PackedRows(rows.streams, rows.values + torch.cat(present)) if present else rows


def _merge_in_order(
    rows: list[PackedRows], states: list[PackedRows], tasks: Sequence[str]
) -> list[PackedRows]:
    """Both lists, in the order of ``tasks``, since dropout draws its numbers in row order."""
    if not rows or not states:
        return rows + states
    chunks = [chunk for packed in rows + states for chunk in packed.split()]
    return sorted(chunks, key=lambda chunk: tasks.index(chunk.streams[0].tasks[0]))
