"""The two loops that the project is compared with.

The reports' recipe: fp32, random batches padded to their longest text, AdamW as it comes. The best
plain loop: batches of similar length, fused AdamW, and of bf16 or fp32 and the attention functions
of ``transformers`` whichever takes the least time here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Protocol
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.clock import timed
from benchmarks.plain import DEFAULT_ATTENTION, PaddedText, PlainNetwork, pad
from benchmarks.project import grouped_batches, load_of, prediction_load, timed_text
from benchmarks.records import Load
from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.utils.device import autocast

Way = tuple[str, str]
"""Precision, and attention function of ``transformers``."""

DEFAULT_WAY: Way = ("fp32", DEFAULT_ATTENTION)
_WAYS: tuple[Way, ...] = tuple(product(("fp32", "bf16"), ("sdpa", "eager")))
# Rounds of trials, the first untimed; a way that takes this much longer than the best is dropped.
_TRIALS, _HOPELESS = 4, 1.5
_PREDICTED_TOGETHER = 32


class Batches(Protocol):
    """An endless sequence of one task's batches."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> LabelledBatch: ...


@dataclass
class RandomBatches:
    """Batches of one task in random order, whatever their lengths; anew in every epoch."""

    task: str
    data: EncodedTask
    size: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _order: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), init=False)

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def __getitem__(self, number: int) -> LabelledBatch:
        epoch, place = divmod(number, len(self))
        if epoch != self._epoch:
            random = np.random.default_rng([self.seed, crc32(self.task.encode()), epoch])
            self._epoch, self._order = epoch, random.permutation(len(self.data))
        return self.data.collate(self._order[place * self.size : (place + 1) * self.size])


class _PlainLoop:
    """What both kinds of work have: the network, and the way in which it multiplies."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs, way: Way) -> None:
        self.device, self.architecture = run_spec.runtime.device, run_spec.architecture
        network = run_spec.network(run_spec.architecture, inputs.tower)
        self.network = PlainNetwork(network).to(self.device)
        self.use(way)

    def use(self, way: Way) -> None:
        """Goes on in this way."""
        self.precision, self.network.config._attn_implementation = way

    @property
    def how(self) -> str:
        """Precision and attention."""
        return f"{self.precision}, {self.network.config._attn_implementation}"


class PlainTraining(_PlainLoop):
    """A training loop: a batch of each task one after the other, the mean loss, one update.

    Args:
        batches: of each task.
        best: fused AdamW and the project's clipping and decay, else AdamW as it comes.
    """

    def __init__(
        self,
        run_spec: RunSpec,
        inputs: RunInputs,
        way: Way,
        batches: Mapping[str, Batches],
        best: bool,
    ) -> None:
        super().__init__(run_spec, inputs, way)
        self.batches, self.measures = batches, run_spec.measures
        self.weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        options = run_spec.config.optimizer
        self.optimizer = (
            torch.optim.AdamW(
                self.weights, lr=options.lr, weight_decay=options.weight_decay, fused=True
            )
            if best
            else torch.optim.AdamW(self.weights, lr=options.lr)
        )
        self.clip = options.clip if best else None

    def step(self, number: int) -> None:
        """One update of the weights."""
        float(self.gradients(number))
        if self.clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def gradients(self, number: int) -> Tensor:
        """Adds the gradient of the tasks' mean loss, and returns the loss."""
        self.network.train()
        batches = {task: each[number] for task, each in self.batches.items()}
        texts = {task: pad(batch.text).to(self.device) for task, batch in batches.items()}
        with autocast(self.precision, self.device):
            raw = self.network(texts)
        losses = [
            self.measures[task].objective.loss(raw[task], batch.labels.to(self.device))
            for task, batch in batches.items()
        ]
        loss = torch.stack(losses).mean()
        loss.backward()
        return loss.detach()

    def load(self, number: int) -> Load:
        """What step ``number`` amounts to."""
        batches = {task: each[number] for task, each in self.batches.items()}
        return load_of(batches, self.architecture)

    def trial(self) -> None:
        """What is timed to choose a way; no weight changes."""
        self.gradients(0)
        self.optimizer.zero_grad()


class PlainPrediction(_PlainLoop):
    """Every task's prediction on the same text, in padded batches of similar length."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs, way: Way) -> None:
        super().__init__(run_spec, inputs, way)
        self.network.eval()
        self.whole = timed_text(inputs.dev)
        self.texts = [text.to(self.device) for text in _padded(self.whole)]

    def step(self, number: int) -> None:
        """One pass over the text."""
        with torch.inference_mode(), autocast(self.precision, self.device):
            for text in self.texts:
                self.network.predict_all(text)

    def load(self, number: int) -> Load:
        """What a pass amounts to."""
        return prediction_load(self.whole, self.architecture)

    def trial(self) -> None:
        """What is timed to choose a way."""
        self.step(0)


def make_plain(
    run_spec: RunSpec, inputs: RunInputs, kind: str, work: str, way: Way | None = None
) -> PlainTraining | PlainPrediction:
    """The plain loop of a kind, ``recipe`` or ``best``.

    The best one takes the project's own batches, so that both meet equal text step by step.

    Args:
        way: None takes fp32 and the library's own attention.
    """
    way = DEFAULT_WAY if way is None else way
    if work == "predict":
        return PlainPrediction(run_spec, inputs, way)
    if kind == "best":
        own = grouped_batches(run_spec, inputs)
        return PlainTraining(run_spec, inputs, way, own, best=True)
    size, seed = run_spec.config.trainer.batch_size, run_spec.config.seed
    random = {name: RandomBatches(name, data, size, seed) for name, data in inputs.train.items()}
    return PlainTraining(run_spec, inputs, way, random, best=False)


def fastest_way(loop: PlainTraining | PlainPrediction) -> Way:
    """The precision and attention in which the loop's trial takes the least time."""
    seconds: dict[Way, list[float]] = {way: [] for way in _WAYS}
    for number in range(_TRIALS):
        for way, taken in seconds.items():
            loop.use(way)
            taken.append(timed(loop.device, loop.trial))
        if number:
            limit = _HOPELESS * min(taken[-1] for taken in seconds.values())
            seconds = {way: taken for way, taken in seconds.items() if taken[-1] <= limit}
    return min(seconds, key=lambda way: min(seconds[way][1:]))


def _padded(text: PackedBatch) -> Sequence[PaddedText]:
    """The sequences sorted by length, in padded batches."""
    lengths = list(text.lengths)
    pairs = zip(text.tokens.split(lengths), text.token_types.split(lengths), strict=True)
    rows = sorted(pairs, key=lambda row: len(row[0]))
    batches = []
    for start in range(0, len(rows), _PREDICTED_TOGETHER):
        ids, types = zip(*rows[start : start + _PREDICTED_TOGETHER], strict=True)
        packed = PackedBatch(torch.cat(ids), torch.cat(types), tuple(map(len, ids)))
        batches.append(pad(packed))
    return batches
