"""The encoder that runs a sharing plan."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from mtl_sharing.batch import PackedBatch
from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder import attention
from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.model.encoder.layers import make_stage
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.pals import Pals, one_task_each
from mtl_sharing.model.routing import JoinedRow, Run, StageCopies, Stream, of_tasks, row_of_each
from mtl_sharing.model.specs import PalShape
from mtl_sharing.plan import SharingPlan, Stage

Parts = tuple[PackedBatch, ...]
Given = PackedBatch | Parts
"""What a task reads: a batch, or several that count as one."""


class PlannedEncoder(nn.Module):
    """One tower for each task, with the stages that the plan shares held once.

    Args:
        shape: of one tower.
        plan: who owns which stage.
        tower: starting weights, copied into every copy of a stage; None leaves them as torch
            makes them (for the meta device).
        pooler: whether the pooler is part of it.
        pals: layers of each task's own beside the plan's.
        read: for a task that reads the states of a layer below the last, that layer's number.
        frozen: how many of the lowest layers a batch's ``states`` have behind them.
        seed: of the starting weights that no tower has.

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
        self.embeddings = _planned_stage(stages[0], shape, tower)
        layers = stages[1 : 1 + shape.layers]
        self.layers = nn.ModuleList(_planned_stage(stage, shape, tower) for stage in layers)
        self.pooler = _planned_stage(stages[1 + shape.layers], shape, tower) if pooler else None
        start = None if tower is None else seed
        self.pals = Pals(pals, shape, plan.tasks, self.read, start) if pals is not None else None

    def forward(
        self, batches: Mapping[str, Given], first_only: Collection[str] = ()
    ) -> list[JoinedRow]:
        """Hidden states of each task's text at the layer that the task reads, by default the last.

        Tasks that are given the same batch object are run together wherever they share.

        Args:
            batches: packed text for any of the plan's tasks; several batches of a task count as
                one, laid end to end.
            first_only: tasks that read no token but the first of each sequence. Where only such
                tasks share their last layer, it gives rows (B, H) for them.

        Returns:
            Rows (N, H), joined as the last stage left them; see :meth:`hidden` for one task's.
        """
        texts = {task: parts_of(given) for task, given in batches.items()}
        fresh = {task: parts for task, parts in texts.items() if parts[0].states is None}
        known = _state_rows({task: parts for task, parts in texts.items() if task not in fresh})
        rows = [
            _disturbed(row, fresh) for row in self.embeddings(_token_rows(fresh, self.shape.tagged))
        ]
        finished: list[JoinedRow] = []
        for depth in range(self.shape.layers + 1):
            rows = _in_order(rows, known, batches) if depth == self.frozen else rows
            done = [task for task in batches if self._last_layer(task) < depth]
            if done:
                finished += of_tasks(rows, done)
                rows = of_tasks(rows, [task for task in self.plan.tasks if task not in done])
            if rows:
                rows = self.layers[depth](rows, self._run(depth, first_only))
        return finished

    def _last_layer(self, task: str) -> int:
        return self.read.get(task, self.shape.layers - 1)

    def _run(self, depth: int, first_only: Collection[str]) -> Run:
        """How layer ``depth`` takes a row, given the tasks that read first tokens alone."""
        adapter = None if self.pals is None else self.pals.at(depth)
        first_only = {task for task in first_only if self._last_layer(task) == depth}

        def run(layer: nn.Module, row: JoinedRow) -> JoinedRow:
            row = row if adapter is None else one_task_each(row)
            added = None if adapter is None else adapter(row)
            first = all(task in first_only for stream in row.streams for task in stream.tasks)
            values = layer(row.values, row.layouts, added, first)
            return JoinedRow(_of_first(row.streams) if first else row.streams, values)

        return run

    def hidden(self, batches: Mapping[str, Given]) -> dict[str, Tensor]:
        """What :meth:`forward` gives, parted: states of each task, shape (N, H)."""
        return by_task(self(batches), batches)

    def tower(self, copy: int) -> Tower:
        """The weights of copy number ``copy`` of every stage (of the only one, where it is one)."""
        stages = [self.embeddings, *self.layers, *([self.pooler] if self.pooler else [])]
        planned = [cast(StageCopies, stage) for stage in stages]
        return {s.name: s.copies[min(copy, len(s.copies) - 1)].state_dict() for s in planned}

    def pooled(self, rows: Sequence[JoinedRow]) -> list[JoinedRow]:
        """The pooler's output of every sequence, shape (B, H), from :meth:`forward`'s rows."""
        if self.pooler is None:
            raise ValueError("this encoder was made without a pooler")
        return self.pooler(first_tokens(rows))


def _of_first(streams: Iterable[Stream]) -> tuple[Stream, ...]:
    return tuple(Stream(s.tasks, s.layout, s.layout.sequences) for s in streams)


def _planned_stage(stage: Stage, shape: EncoderShape, tower: Tower | None) -> StageCopies:
    # Built without memory, so that no time goes into random numbers that are overwritten.
    with torch.device("meta"):
        copies = StageCopies(stage, lambda: make_stage(stage.name, shape))
    if tower is not None:
        for copy in copies.copies:
            own = {name: value.clone() for name, value in tower[stage.name].items()}
            copy.load_state_dict(own, assign=True)
    # Assigned tensors bring their own flag.
    return copies.requires_grad_(stage.trains)


def parts_of(given: Given) -> tuple[PackedBatch, ...]:
    """The batches that a task is given, one or several."""
    return (given,) if isinstance(given, PackedBatch) else given


def _token_rows(batches: Mapping[str, Parts], tagged: bool = False) -> list[JoinedRow]:
    """Token ids and types of every text, and its tags where they are read."""

    def values(text: PackedBatch) -> Tensor:
        ids = torch.stack([text.tokens, text.token_types], dim=1)
        if not tagged:
            return ids
        tags = torch.zeros_like(ids) if text.tags is None else text.tags
        return torch.cat([ids, tags], dim=1)

    return _text_rows(batches, values)


def _state_rows(batches: Mapping[str, Parts]) -> list[JoinedRow]:
    """The states that came with every text."""
    return _text_rows(batches, lambda text: cast(Tensor, text.states).float())


def _disturbed(row: JoinedRow, texts: Mapping[str, Parts]) -> JoinedRow:
    """The row with the noise that its texts bring, all of them or none."""
    noise = []
    for number, stream in enumerate(row.streams):
        task = stream.tasks[0]
        before = sum(task in other.tasks for other in row.streams[:number])
        noise.append(texts[task][before].noise)
    known = [one for one in noise if one is not None]
    return JoinedRow(row.streams, row.values + torch.cat(known)) if known else row


def _in_order(
    rows: list[JoinedRow], known: list[JoinedRow], tasks: Iterable[str]
) -> list[JoinedRow]:
    """Both, in the order of ``tasks``, by which dropout takes its random numbers."""
    if not rows or not known:
        return rows + known
    order = list(tasks)
    parts = [part for row in rows + known for part in row.parts()]
    return sorted(parts, key=lambda part: order.index(part.streams[0].tasks[0]))


def _text_rows(
    batches: Mapping[str, Parts], values_of: Callable[[PackedBatch], Tensor]
) -> list[JoinedRow]:
    """A row for each text, given once with all the tasks that read it."""
    readers: dict[int, list[str]] = {}
    texts = {id(text): text for parts in batches.values() for text in parts}
    for task, parts in batches.items():
        for text in parts:
            readers.setdefault(id(text), []).append(task)
    rows = []
    for key, text in texts.items():
        layout = SequenceLayout.of(text.lengths, text.tokens.device)
        values = values_of(text)
        rows.append(JoinedRow((Stream(tuple(readers[key]), layout, len(values)),), values))
    return rows


def by_task(rows: Sequence[JoinedRow], tasks: Iterable[str]) -> dict[str, Tensor]:
    """The values of each task's own rows."""
    return {task: row.values for task, row in row_of_each(rows, tasks).items()}


def first_tokens(rows: Sequence[JoinedRow]) -> list[JoinedRow]:
    """The state of every sequence's first token: rows (N, H) to rows (B, H)."""
    return [_pool(row, lambda x, layout: attention.first_tokens(x, [layout])) for row in rows]


def mean_tokens(rows: Sequence[JoinedRow]) -> list[JoinedRow]:
    """The mean state of every sequence's tokens: rows (N, H) to rows (B, H)."""
    return [_pool(row, _mean) for row in rows]


def _pool(row: JoinedRow, reduce: Callable[[Tensor, SequenceLayout], Tensor]) -> JoinedRow:
    values = []
    for part in row.parts():
        (stream,) = part.streams
        # One row for each sequence: the last layer gave no others.
        single = stream.rows == stream.layout.sequences
        values.append(part.values if single else reduce(part.values, stream.layout))
    joined = torch.cat(values) if len(values) > 1 else values[0]
    return JoinedRow(_of_first(row.streams), joined)


def _mean(values: Tensor, layout: SequenceLayout) -> Tensor:
    sums = values.new_zeros(layout.sequences, values.shape[1])
    lengths = torch.bincount(layout.sequence_of_token(), minlength=layout.sequences)
    return sums.index_add(0, layout.sequence_of_token(), values) / lengths[:, None]
