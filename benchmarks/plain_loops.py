"""The two plain loops that the project is compared with.

``recipe`` is the loop of the reports: fp32, random batches padded to their longest text, AdamW with
its defaults. ``best`` has batches of similar length, fused AdamW, and the fastest combination of
precision (bf16 or fp32) and attention function of ``transformers``. On a GPU its layers may be
compiled.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import product
from typing import Protocol
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.clock import timed
from benchmarks.plain_network import DEFAULT_ATTENTION, PaddedText, PlainNetwork, pad
from benchmarks.project import grouped_batches, prediction_work, step_work, timed_text
from benchmarks.records import StepWork
from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.utils.device import autocast

Mode = tuple[str, ...]
"""Precision, attention function of ``transformers``, and ``compiled`` for compiled layers."""

COMPILED = "compiled"

DEFAULT_MODE: Mode = ("fp32", DEFAULT_ATTENTION)
_MODES: tuple[Mode, ...] = tuple(product(("fp32", "bf16"), ("sdpa", "eager")))
# Rounds of trials, the first untimed. A mode this many times slower than the best is dropped.
_TRIALS, _HOPELESS = 4, 1.5
_PREDICTED_TOGETHER = 32


class Batches(Protocol):
    """An endless sequence of one task's batches."""

    def __len__(self) -> int: ...
    def __getitem__(self, number: int) -> LabelledBatch: ...


@dataclass
class RandomBatches:
    """Batches of one task in random order, drawn again in every epoch."""

    task: str
    data: EncodedTask
    size: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _order: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64), init=False)

    def __len__(self) -> int:
        return -(-len(self.data) // self.size)

    def __getitem__(self, number: int) -> LabelledBatch:
        epoch, batch = divmod(number, len(self))
        if epoch != self._epoch:
            random = np.random.default_rng([self.seed, crc32(self.task.encode()), epoch])
            self._epoch, self._order = epoch, random.permutation(len(self.data))
        return self.data.collate(self._order[batch * self.size : (batch + 1) * self.size])


class PlainLoop(ABC):
    """A plain network and its mode."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs, mode: Mode) -> None:
        self.device, self.architecture = run_spec.runtime.device, run_spec.architecture
        network = run_spec.network(run_spec.architecture, inputs.tower)
        self.network = PlainNetwork(network).to(self.device)
        self.use(mode)

    def use(self, mode: Mode) -> None:
        """Changes the mode."""
        # Private to transformers: its public setter belongs to models, and these are layers.
        self.mode, (self.precision, self.network.config._attn_implementation) = mode, mode[:2]
        if COMPILED in mode:
            self.network.compile_layers()

    @property
    def how(self) -> str:
        """The mode."""
        return ", ".join(self.mode)

    @abstractmethod
    def step(self, number: int) -> None:
        """One update of the weights, or one pass over the text."""

    @abstractmethod
    def work(self, number: int) -> StepWork:
        """The work of a step."""

    @abstractmethod
    def trial(self) -> None:
        """A short step that changes no weight, to time a mode."""


class PlainTraining(PlainLoop):
    """A training loop: a batch of each task in turn, the mean loss, one update.

    Args:
        batches: batches of each task.
        best: fused AdamW with the project's clipping and decay, else AdamW with its defaults.
    """

    def __init__(
        self,
        run_spec: RunSpec,
        inputs: RunInputs,
        mode: Mode,
        batches: Mapping[str, Batches],
        best: bool,
    ) -> None:
        super().__init__(run_spec, inputs, mode)
        self.batches, self.measures = batches, run_spec.measures
        self.weights = [weight for weight in self.network.parameters() if weight.requires_grad]
        options = run_spec.config.optimizer
        best_options = {"weight_decay": options.weight_decay, "fused": True} if best else {}
        self.optimizer = torch.optim.AdamW(self.weights, lr=options.lr, **best_options)
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
        batches = _at(self.batches, number)
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

    def work(self, number: int) -> StepWork:
        """The work of a step."""
        return step_work(_at(self.batches, number), self.architecture)

    def trial(self) -> None:
        """A step without an update, to time a mode."""
        self.gradients(0)
        self.optimizer.zero_grad()


class PlainPrediction(PlainLoop):
    """Every task's prediction on the same text, in padded batches of similar length."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs, mode: Mode) -> None:
        super().__init__(run_spec, inputs, mode)
        self.network.eval()
        self.text = timed_text(inputs.dev)
        self.texts = [text.to(self.device) for text in padded(self.text)]

    def step(self, number: int) -> None:
        """One pass over the text."""
        with torch.inference_mode(), autocast(self.precision, self.device):
            for text in self.texts:
                self.network.predict_all(text)

    def work(self, number: int) -> StepWork:
        """The work of a pass."""
        return prediction_work(self.text, self.architecture)

    def trial(self) -> None:
        """A pass, to time a mode."""
        self.step(0)


def make_plain(
    run_spec: RunSpec, inputs: RunInputs, kind: str, work: str, mode: Mode | None = None
) -> PlainTraining | PlainPrediction:
    """The plain loop of a kind, ``recipe`` or ``best``.

    Args:
        mode: None takes fp32 and the default attention of ``transformers``.
    """
    mode = DEFAULT_MODE if mode is None else mode
    if work == "predict":
        return PlainPrediction(run_spec, inputs, mode)
    if kind == "best":
        # The project's batches, so that both have equal text in each step.
        batches = grouped_batches(run_spec, inputs)
        return PlainTraining(run_spec, inputs, mode, batches, best=True)
    size, seed = run_spec.config.trainer.batch_size, run_spec.config.seed
    random = {name: RandomBatches(name, data, size, seed) for name, data in inputs.train.items()}
    return PlainTraining(run_spec, inputs, mode, random, best=False)


def fastest_mode(loop: PlainLoop) -> Mode:
    """The mode in which the loop's trial takes the least time."""
    seconds: dict[Mode, list[float]] = {mode: [] for mode in _MODES}
    for number in range(_TRIALS):
        for mode, taken in seconds.items():
            loop.use(mode)
            taken.append(timed(loop.device, loop.trial))
        if number:
            limit = _HOPELESS * min(taken[-1] for taken in seconds.values())
            seconds = {mode: taken for mode, taken in seconds.items() if taken[-1] <= limit}
    return min(seconds, key=lambda mode: min(seconds[mode][1:]))


def gpu_mode(loop: PlainTraining | PlainPrediction, mode: Mode) -> Mode:
    """The fastest of a mode, the package flash-attn and compiled layers; takes tens of seconds."""
    flash = [("bf16", "flash_attention_2")] if find_spec("flash_attn") else []
    seconds: dict[Mode, float] = {}
    # Compiled last, since that is not undone.
    for tried in (mode, *flash, (*mode, COMPILED)):
        # A package or compiler that does not work on this machine is no mode of it.
        with suppress(Exception):
            loop.use(tried)
            seconds[tried] = min([timed(loop.device, loop.trial) for _ in range(_TRIALS)][1:])
    return min(seconds, key=lambda tried: seconds[tried])


def _at(batches: Mapping[str, Batches], number: int) -> dict[str, LabelledBatch]:
    return {task: own[number] for task, own in batches.items()}


def padded(text: PackedBatch) -> Sequence[PaddedText]:
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
