"""Floating-point operations of a regime, counted from its architecture and texts. No torch.

Counted are the matrix products of the network over real tokens, as it runs them (the last layer for
first tokens alone where heads read no others, upstream heads of lanes on every text); a
multiplication with its addition counts 2. A product of rows by a weight takes its size once
forward, once more for the gradient of the weight where that trains, and once more for that of the
rows where anything below them trains. Attention's products have two such inputs each. So nothing
below the first trained weight is counted but forward, and a frozen stage above it twice.

Not counted: what goes number by number (norms, activations, softmax, dropout, sums of embeddings),
losses, the optimiser, what a regulariser, a tie or gradient aggregation adds, and padding. On a CPU
the attention products of the texts that a task has in a batch take each as long as the longest, so
what a machine does lies between the count of these texts and that of texts all as long.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.specs import PalShape
from mtl_sharing.plan import Stage
from mtl_sharing.score.layer_flops import TextSize, head_flops, pal_flops, stage_flops
from mtl_sharing.score.parameters import reaching


def training_flops(
    architecture: Architecture,
    texts: Mapping[str, TextSize],
    together: bool = True,
    every_token: bool = False,
) -> dict[str, int]:
    """Operations of a forward and backward pass over each task's text.

    Args:
        texts: of each task that trains; the examples of a batch, or of a whole training set.
        together: all tasks go through the network at once, else one by one. It matters only where
            tasks that share a layer read different layers, or some of them first tokens alone.
        every_token: the last layer is counted for every token, also where only first ones are read.
    """
    groups = [tuple(texts)] if together else [(task,) for task in texts]
    found: dict[str, int] = {}
    for group in groups:
        streams = [_Stream((task,), texts[task]) for task in group]
        found |= _Pass(architecture, True, every_token, streams).run()
    return found


def prediction_flops(architecture: Architecture, text: TextSize, every_token: bool = False) -> int:
    """Operations of all tasks' predictions on the same text, as the measurement runs them.

    Tasks whose states are still the same go through a stage that they share once.

    Args:
        text: read by every task; where one has pairs encoded separately, an even number of them.
        every_token: as in :func:`training_flops`.
    """
    streams = [_Stream(architecture.plan.tasks, text)]
    return sum(_Pass(architecture, False, every_token, streams).run().values())


@dataclass(frozen=True)
class _Stream:
    """Text that some tasks read, and so far with the same states.

    Attributes:
        below: whether these states take a gradient.
    """

    tasks: tuple[str, ...]
    text: TextSize
    below: bool = False

    def parted(self, key: Callable[[str], Hashable]) -> list["_Stream"]:
        """A stream for each value that ``key`` has of its tasks."""
        groups: dict[Hashable, tuple[str, ...]] = {}
        for task in self.tasks:
            groups[key(task)] = (*groups.get(key(task), ()), task)
        return [replace(self, tasks=tasks) for tasks in groups.values()]


@dataclass
class _Pass:
    """One pass of some streams through the network, and back where it trains.

    Attributes:
        spent: operations so far; of a stream that several tasks read under the first of them.
    """

    architecture: Architecture
    training: bool
    every_token: bool
    streams: list[_Stream]
    spent: Counter[str] = field(default_factory=Counter)

    def run(self) -> dict[str, int]:
        """Operations of the whole network; in training of each task."""
        for stage in self.architecture.stages():
            if not stage.name.startswith("head."):
                self._encode(stage)
        self._heads()
        return dict(self.spent)

    def _encode(self, stage: Stage) -> None:
        """One stage of the encoder, with the PALs beside it."""
        groups = [reaching(self.architecture, stage.name, owners) for owners in stage.owners]
        copies = {task: number for number, group in enumerate(groups) for task in group}
        pals = self._pals_at(stage)
        # Beside PALs each task goes its own way; who does not read the stage keeps what it has.
        self.streams = [
            part
            for stream in self.streams
            for part in stream.parted(lambda task: (copies.get(task), pals is None or task))
        ]
        inside = [
            [s for s in self.streams if copies.get(s.tasks[0]) == n] for n in set(copies.values())
        ]
        past = [s for s in self.streams if s.tasks[0] not in copies]
        for streams in inside:
            first_only = self._first_only(stage, streams)
            past += [self._run(stage, pals, stream, first_only) for stream in streams]
        self.streams = past

    def _run(
        self, stage: Stage, pals: PalShape | None, stream: _Stream, first_only: bool
    ) -> _Stream:
        """Counts one stream through one copy of a stage; the stream as it leaves."""
        shape, trains = self.architecture.encoder, self.training and stage.trains
        found = stage_flops(shape, stage.name, stream.text, first_only, trains, stream.below)
        if pals is not None:
            found += pal_flops(pals, shape.hidden, stream.text, self.training, stream.below)
        self.spent[stream.tasks[0]] += found
        return replace(stream, below=stream.below or trains or (self.training and pals is not None))

    def _pals_at(self, stage: Stage) -> PalShape | None:
        pals = self.architecture.pals
        here = pals is not None and stage.name in [f"layer.{number}" for number in pals.layers]
        return pals if here else None

    def _first_only(self, stage: Stage, streams: Sequence[_Stream]) -> bool:
        """Whether nobody reads more than first tokens of what this copy gives."""
        if self.every_token or not stage.name.startswith("layer."):
            return False
        a, depth = self.architecture, int(stage.name.partition(".")[2])
        tasks = [task for stream in streams for task in stream.tasks]
        return all(a.last_layer(t) == depth and a.head_of(t).pooling != "mean" for t in tasks)

    def _heads(self) -> None:
        """Every task's own head, and those upstream of it on the same text."""
        a, below = self.architecture, self._below_heads()
        for stream in self.streams:
            for task in stream.tasks:
                count = stream.text.sequences
                self.spent[task] += head_flops(a, task, count, self.training, below[task])
                if a.lanes is not None:
                    trains = self.training and a.lanes.upstream_rate > 0
                    for name in a.lanes.ancestors(task):
                        self.spent[task] += head_flops(a, name, count, trains, below[task])

    def _below_heads(self) -> dict[str, list[bool]]:
        """Whether what enters each hidden head layer, and the output, takes a gradient.

        Tasks that share a head layer are one row there, which takes one as soon as any of it does.
        """
        a = self.architecture
        normed = self.training and a.lanes is not None  # the norm before the lanes always trains
        found = {task: [s.below or normed] for s in self.streams for task in s.tasks}
        for stage in a.stages():
            if stage.name.startswith("head."):
                for owners in stage.owners:
                    here = [found[task] for task in owners if task in found]
                    joined = any(own[-1] for own in here)
                    for own in here:
                        own[-1] = joined
                        own.append(joined or (self.training and stage.trains))
        return found
