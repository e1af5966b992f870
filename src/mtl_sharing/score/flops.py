"""Floating-point operations of a regime, counted from its architecture and texts. No torch.

The counts cover the network's matrix products over real tokens; a multiplication with its addition
counts 2. They follow the network: a last layer computes first tokens alone if no head reads others,
and upstream heads of lanes run on every text. A product of rows with a weight counts once forward,
once for the gradient of a trained weight, and once for the gradient of the rows if anything below
them trains. Attention's products have two such inputs each. So a stage below the first trained
weight counts forward only, and a frozen stage above it counts twice.

Elementwise operations (norms, activations, softmax, dropout, sums of embeddings), losses, the
optimiser, regularisers, ties, gradient aggregation and padding are not counted. On a CPU the
attention products of a task's texts in a batch all take as long as the longest. The real work thus
lies between the count of these texts and that of texts that are all as long.
"""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.specs import PalShape
from mtl_sharing.plan.plan import Stage
from mtl_sharing.score.layer_flops import TextSize, head_flops, pal_flops, stage_flops


def training_flops(
    architecture: Architecture,
    texts: Mapping[str, TextSize],
    groups: Iterable[Sequence[str]] | None = None,
    every_token: bool = False,
) -> dict[str, int]:
    """Operations of a forward and backward pass over each task's text.

    Args:
        texts: text of each trained task: the examples of a batch, or of a whole training set.
        groups: tasks that run through the network at once; None takes the components of the
            network. The counts differ if tasks that share a layer read different layers, or some of
            them first tokens alone.
        every_token: count the last layer for every token, even if only first ones are read.
    """
    counts: dict[str, int] = {}
    for group in architecture.components() if groups is None else groups:
        streams = [_Stream((task,), texts[task]) for task in group if task in texts]
        counts |= _Pass(architecture, True, every_token, streams).run()
    return {task: counts[task] for task in texts}


def prediction_flops(architecture: Architecture, text: TextSize, every_token: bool = False) -> int:
    """Operations of all tasks' predictions on the same text, as the measurement runs them.

    Tasks with equal states so far run through a shared stage once.

    Args:
        text: the text of every task; an even number of sequences if a task encodes the two
            sequences of a pair separately.
    """
    streams = [_Stream(architecture.plan.tasks, text)]
    return sum(_Pass(architecture, False, every_token, streams).run().values())


@dataclass(frozen=True)
class _Stream:
    """The text of some tasks whose states are equal so far, and whether these take a gradient."""

    tasks: tuple[str, ...]
    text: TextSize
    gradient: bool = False

    def split(self, key: Callable[[str], Hashable]) -> list["_Stream"]:
        """One stream for each value of ``key`` over the tasks."""
        groups: dict[Hashable, tuple[str, ...]] = {}
        for task in self.tasks:
            groups[key(task)] = (*groups.get(key(task), ()), task)
        return [replace(self, tasks=tasks) for tasks in groups.values()]


@dataclass
class _Pass:
    """One pass of some streams through the network, in training with its backward pass.

    Attributes:
        counts: operations so far; those of a stream count for its first task.
    """

    architecture: Architecture
    training: bool
    every_token: bool
    streams: list[_Stream]
    counts: Counter[str] = field(default_factory=Counter)

    def run(self) -> dict[str, int]:
        """Operations of the whole network by task."""
        for stage in self.architecture.stages():
            if not stage.name.startswith("head."):
                self._encode(stage)
        self._heads()
        return dict(self.counts)

    def _encode(self, stage: Stage) -> None:
        """Counts one stage of the encoder with the PALs beside it."""
        groups = [self.architecture.reaching(stage.name, owners) for owners in stage.owners]
        copies = {task: number for number, group in enumerate(groups) for task in group}
        pals = self._pals_at(stage)
        # PALs separate the tasks. A task that does not read the stage keeps its states.
        self.streams = [
            part
            for stream in self.streams
            for part in stream.split(lambda task: (copies.get(task), pals is None or task))
        ]
        passing = [stream for stream in self.streams if stream.tasks[0] not in copies]
        for number in set(copies.values()):
            streams = [s for s in self.streams if copies.get(s.tasks[0]) == number]
            first_only = self._first_only(stage, streams)
            passing += [self._run(stage, pals, stream, first_only) for stream in streams]
        self.streams = passing

    def _run(
        self, stage: Stage, pals: PalShape | None, stream: _Stream, first_only: bool
    ) -> _Stream:
        """Counts one stream through one copy of a stage, and returns the stream above it."""
        shape, trains = self.architecture.encoder, self.training and stage.trains
        count = stage_flops(shape, stage.name, stream.text, first_only, trains, stream.gradient)
        if pals is not None:
            count += pal_flops(pals, shape.hidden, stream.text, self.training, stream.gradient)
        self.counts[stream.tasks[0]] += count
        gradient = stream.gradient or trains or (self.training and pals is not None)
        return replace(stream, gradient=gradient)

    def _pals_at(self, stage: Stage) -> PalShape | None:
        pals = self.architecture.pals
        here = pals is not None and stage.name in [f"layer.{number}" for number in pals.layers]
        return pals if here else None

    def _first_only(self, stage: Stage, streams: Sequence[_Stream]) -> bool:
        """Whether only first tokens of this copy's output are read."""
        if self.every_token or not stage.name.startswith("layer."):
            return False
        a, depth = self.architecture, int(stage.name.partition(".")[2])
        tasks = [task for stream in streams for task in stream.tasks]
        return all(a.last_layer(t) == depth and a.head_of(t).pooling != "mean" for t in tasks)

    def _heads(self) -> None:
        """Counts every task's own head, and the heads upstream of it on the same text."""
        a, gradients = self.architecture, self._head_gradients()
        for stream in self.streams:
            for task in stream.tasks:
                sequences, entering = stream.text.sequences, gradients[task]
                self.counts[task] += head_flops(a, task, sequences, self.training, entering)
                if a.lanes is not None:
                    trains = self.training and a.lanes.upstream_rate > 0
                    for name in a.lanes.ancestors(task):
                        self.counts[task] += head_flops(a, name, sequences, trains, entering)

    def _head_gradients(self) -> dict[str, list[bool]]:
        """Whether the input of each hidden head layer, and of the output, takes a gradient.

        Tasks that share a head layer are rows of one tensor, which takes a gradient as soon as one
        of them does.
        """
        a = self.architecture
        normed = self.training and a.lanes is not None  # the norm before the lanes always trains
        gradients = {task: [s.gradient or normed] for s in self.streams for task in s.tasks}
        for stage in a.stages():
            if stage.name.startswith("head."):
                for owners in stage.owners:
                    rows = [gradients[task] for task in owners if task in gradients]
                    joined = any(row[-1] for row in rows)
                    for row in rows:
                        row[-1] = joined
                        row.append(joined or (self.training and stage.trains))
        return gradients


@dataclass(frozen=True)
class OperationCounts:
    """Floating-point operations of a regime, the ``flops`` node of result.json.

    Attributes:
        train_per_example: the mean of ``train_by_task``, weighted by the tasks' batch sizes.
        train_by_task: of a training step for one example, for each task that trains; the mean over
            the task's training set.
        predict_all: of all tasks' predictions on the text behind ``time.predict_all_s``.
        predict_per_text: the mean of ``predict_all`` over its texts; a pair has two.
    """

    train_per_example: float
    train_by_task: Mapping[str, float]
    predict_all: int
    predict_per_text: float


@dataclass(frozen=True)
class OperationComparison:
    """The operations of the regime and of its baseline for the same text."""

    regime: OperationCounts
    baseline: OperationCounts

    def ratio(self, time_of: str) -> float:
        """The ratio of baseline to regime, for ``train`` or ``predict``."""
        if time_of == "train":
            return self.baseline.train_per_example / self.regime.train_per_example
        return self.baseline.predict_all / self.regime.predict_all
