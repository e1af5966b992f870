"""Runs a training's matrix products once in each of their shapes, before its first step.

oneDNN compiles a bf16 kernel for every shape of a product, which takes longer than the product.
Batches come in few sizes (:class:`mtl_sharing.batch.Ladder`), so a training meets few shapes.
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mtl_sharing.batch import BatchSize
from mtl_sharing.model.encoder.attention import (
    SequenceLayout,
    first_token_attention,
    grid_width,
    is_short,
    packed_attention,
)
from mtl_sharing.model.encoder.layers import EncoderLayer
from mtl_sharing.model.routing import StageCopies
from mtl_sharing.training.learner import Learner
from mtl_sharing.utils.device import autocast

# Draws from which the sizes of a training are known, as good as all.
_DRAWS = 2000
_MOST_S = 5.0


_Size = TypeVar("_Size")


@dataclass(frozen=True)
class _Part:
    """A part of the network that has products: maps rows (R, width) to rows (R, ...)."""

    width: int
    weights: tuple[Tensor, ...]
    run: Callable[[Tensor], Tensor]

    def meet(self, rows: int) -> None:
        """Computes outputs and gradients on ``rows`` rows of zeros."""
        inputs = torch.zeros(rows, self.width, requires_grad=True)
        trained = [weight for weight in self.weights if weight.requires_grad]
        with torch.enable_grad():
            outputs = self.run(inputs)
            torch.autograd.grad(outputs, [inputs, *trained], torch.zeros_like(outputs))

    @property
    def kind(self) -> Hashable:
        """Equal for parts with products of the same shapes."""
        return tuple((weight.shape, weight.requires_grad) for weight in self.weights)


def warm_up(learner: Learner, total: int, start: int = 0, most_s: float = _MOST_S) -> None:
    """Runs every product of a learner's layers once in each size, the most frequent sizes first.

    Neither weights nor gradients nor random numbers change.

    Args:
        total: updates of the training.
        start: those that are done.
        most_s: seconds after which the remaining sizes are left out.
    """
    if not learner.runtime.steady:
        return
    end = time.monotonic() + most_s
    rows, sequences, grids = _sizes(learner, start, total)
    with autocast(learner.runtime.precision, learner.runtime.device):
        meetings = _meetings(learner.network, rows, sequences)
        for meet in itertools.chain(meetings, _grids(learner.network, grids)):
            if time.monotonic() > end:
                return
            meet()


def _meetings(
    network: nn.Module, rows: Iterable[int], sequences: Iterable[int]
) -> Iterator[Callable[[], None]]:
    """Calls that run each part in each of its sizes; the encoder's layers come first."""
    layers = [module for module in network.modules() if isinstance(module, EncoderLayer)]
    inside = {id(module) for layer in layers for module in layer.modules()}
    others = [
        _linear(module)
        for module in network.modules()
        if isinstance(module, nn.Linear) and id(module) not in inside
    ]
    of_tokens = _different(part for layer in layers for part in _parts(layer))
    # The last layer runs on first tokens alone where its readers need no others.
    of_sequences = [*of_tokens, *_different(others)]
    yield from (partial(part.meet, size) for size in rows for part in of_tokens)
    yield from (partial(part.meet, size) for size in sequences for part in of_sequences)


def _grids(network: nn.Module, grids: Iterable[tuple[int, int]]) -> Iterator[Callable[[], None]]:
    """Calls that run attention over grids of so many sequences and positions."""
    layer = next(module for module in network.modules() if isinstance(module, EncoderLayer))

    for sequences, width in grids:
        if not is_short(width):
            layout = SequenceLayout.of([width] * sequences, layer.qkv.weight.device)
            part = _Part(layer.qkv.out_features, (), partial(_attend, layout, layer.heads))
            yield partial(part.meet, sequences * width)


def _attend(layout: SequenceLayout, heads: int, qkv: Tensor) -> Tensor:
    """Attention of all tokens, and of first tokens alone."""
    qkv = qkv.to(torch.bfloat16)
    width = qkv.shape[1] // 3
    first = qkv[layout.starts, :width]
    attended = packed_attention(qkv, [layout], heads, 0.0)
    alone = first_token_attention(first, qkv[:, width:].contiguous(), [layout], heads, 0.0)
    return torch.cat([attended, alone])


def _parts(layer: EncoderLayer) -> list[_Part]:
    """The parts of a layer, queries alone and keys with values alone among them."""
    width, feed_forward = layer.attention_output.in_features, (layer.up.weight, layer.down.weight)
    sizes = [width, 2 * width]
    pairs = zip(layer.qkv.weight.split(sizes), layer.qkv.bias.split(sizes), strict=True)
    alone = [_Part(width, (w,), partial(F.linear, weight=w, bias=bias)) for w, bias in pairs]
    return [
        _linear(layer.qkv),
        _linear(layer.attention_output),
        _Part(width, feed_forward, layer.feed_forward),
        *alone,
    ]


def _linear(linear: nn.Linear) -> _Part:
    return _Part(linear.in_features, (linear.weight,), linear)


def _different(parts: Iterable[_Part]) -> list[_Part]:
    return list({part.kind: part for part in parts}.values())


def _sizes(
    learner: Learner, start: int, total: int
) -> tuple[list[int], list[int], list[tuple[int, int]]]:
    """Numbers of rows and of sequences on which stages run, and attention's grids."""
    rows, sequences, grids = Counter[int](), Counter[int](), Counter[tuple[int, int]]()
    groups = {owners for m in learner.network.modules() if isinstance(m, StageCopies)
              for owners in m.owners}  # fmt: skip
    for sizes in _draws(learner, start, total):
        for owners in groups:
            read = [size for task, size in sizes.items() if task in owners]
            if read:
                rows[sum(size.rows for size in read)] += 1
                sequences[sum(size.sequences for size in read)] += 1
        grids.update((s.sequences, grid_width(s.longest, steady=True)) for s in sizes.values())
    return _by_frequency(rows), _by_frequency(sequences), _by_frequency(grids)


def _by_frequency(counts: Counter[_Size]) -> list[_Size]:
    return [size for size, _ in counts.most_common()]


def _draws(learner: Learner, start: int, total: int) -> Iterator[dict[str, BatchSize]]:
    """The size of each task's batch in each pass through the network."""
    served = dict(learner.served)
    first, end = start * learner.accumulation, total * learner.accumulation
    for draw in range(first, min(end, first + _DRAWS)):
        for component in learner.components:
            sizes = {}
            for task in (t for t in learner.sampler.tasks(draw) if t in component.tasks):
                number = served.get(task, 0)
                served[task] = number + 1
                sizes[task] = learner.batches[task].size(number)
            # An aggregator takes one task at a time.
            passes = [sizes] if component.surgery is None else [{t: s} for t, s in sizes.items()]
            yield from (one for one in passes if one)
