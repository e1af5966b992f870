"""Encoded examples of one task, and batches of them."""

from bisect import bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from mtl_sharing.batch import BatchSize, LabelledBatch, Ladder, PackedBatch
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tokens.tokenizing import Encode, Texts, TokenRows, encode

# Examples are sorted by length within runs of this many batches: batches of similar lengths, yet
# random enough.
_RUN_OF_BATCHES = 50
# A batch that fills a rung may take examples as far ahead in the order of lengths as this many
# batches. With more, less filling is needed, and attention's grids have more padding.
_LOOKAHEAD = 4
# Rungs of an evaluation, whose batches are not composed, are this part of a batch's mean rows.
_EVALUATION_RUNG = 1 / 16


@dataclass(frozen=True, eq=False)
class EncodedTask:
    """One split of one task, tokenised.

    Attributes:
        first: the texts, or the joined pairs.
        second: second texts of separately encoded pairs, else None.
        labels: float64, shape (examples,).
        class_labels: whether labels are class numbers, int64 in batches, or else float32 scores.
        teacher: raw outputs of the model that the task learns from, shape (examples, K).
    """

    first: TokenRows
    second: TokenRows | None
    labels: NDArray[np.float64]
    class_labels: bool
    teacher: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def parts(self) -> tuple[TokenRows, ...]:
        """The first texts, and the second ones where they are apart."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, both texts together."""
        return self.first.lengths + (0 if self.second is None else self.second.lengths)

    @property
    def truncated(self) -> int:
        """Number of texts that were cut to the length limit."""
        return self.first.truncated + (0 if self.second is None else self.second.truncated)

    def collate(self, rows: Sequence[int] | NDArray[np.int64]) -> LabelledBatch:
        """Packs the examples with these numbers, first texts before second ones."""
        numbers = np.asarray(rows)
        labels = torch.from_numpy(self.labels[numbers])
        labels = labels.long() if self.class_labels else labels.float()
        teacher = None if self.teacher is None else torch.from_numpy(self.teacher[numbers])
        return LabelledBatch(pack(self.parts, numbers), labels, teacher)

    def sample(self, count: int | None, seed: int) -> "EncodedTask":
        """Draws ``count`` examples at random, equal for equal seeds (all for None)."""
        if count is None or count >= len(self):
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        second = None if self.second is None else self.second.take(rows)
        teacher = None if self.teacher is None else self.teacher[rows]
        first, labels = self.first.take(rows), self.labels[rows]
        return EncodedTask(first, second, labels, self.class_labels, teacher)


def pack(parts: Sequence[TokenRows], rows: NDArray[np.int64]) -> PackedBatch:
    """Packs these sequences of each part, one part after the other."""
    tokens, types, lengths, tags = [], [], [], []
    for part in parts:
        indices, part_lengths = part.token_indices(rows)
        tokens.append(part.tokens.take(indices))
        types.append(part.token_types.take(indices))
        lengths += part_lengths.tolist()
        if part.tags is not None:
            tags.append(part.tags[indices])
    read = [part.states.read(rows) for part in parts if part.states is not None]
    states = [part for part in read if part is not None]
    return PackedBatch(
        _int64_tensor(tokens),
        _int64_tensor(types),
        tuple(lengths),
        torch.cat(states) if len(states) == len(parts) else None,
        tags=_int64_tensor(tags) if len(tags) == len(parts) else None,
    )


def _int64_tensor(arrays: Sequence[NDArray[Any]]) -> Tensor:
    return torch.from_numpy(np.concatenate(arrays, dtype=np.int64))


def encode_examples(
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    max_length: int,
    joined: bool,
    class_labels: bool,
    encode: Encode = encode,
) -> EncodedTask:
    """Tokenizes examples, with pairs joined into one sequence or kept as two."""
    firsts = [example.text for example in examples]
    seconds = [e.text_pair for e in examples if e.text_pair is not None]
    labels = np.array([np.nan if e.label is None else e.label for e in examples], dtype=float)
    if seconds and not joined:
        second = encode(tokenizer, seconds, max_length)
        return EncodedTask(encode(tokenizer, firsts, max_length), second, labels, class_labels)
    texts: Texts = list(zip(firsts, seconds, strict=True)) if seconds else firsts
    return EncodedTask(encode(tokenizer, texts, max_length), None, labels, class_labels)


class Batches(Protocol):
    """Endless batches of one task; batch ``k`` is a pure function of ``k``."""

    def __getitem__(self, number: int) -> LabelledBatch: ...
    def size(self, number: int) -> BatchSize:
        """The size of a batch, which need not be read for it."""
        ...


@dataclass
class TrainingBatches:
    """Endless training batches of one task.

    Batch ``k`` depends on the seed, the task's name and ``k`` alone, so the only state of a
    training run is each task's number of batches so far.

    With a ``ladder`` batches are composed to fill its rungs; with ``fill`` they are filled up to
    them.

    An epoch has every example once. Where the last batch is short, its examples have more weight
    than others; they change from epoch to epoch, so that all examples take turns.
    """

    task: str
    data: EncodedTask
    batch_size: int
    seed: int
    ladder: Ladder | None = None
    fill: bool = True
    _epoch: int = field(default=-1, init=False)
    _batches: list[NDArray[np.int64]] = field(default_factory=list, init=False)

    def __len__(self) -> int:
        """Number of batches of one epoch; the last may be smaller."""
        return -(-len(self.data) // self.batch_size)

    def __getitem__(self, number: int) -> LabelledBatch:
        batch = self.data.collate(self._numbers(number))
        return batch.filled(self.ladder) if self.fill else batch

    def size(self, number: int) -> BatchSize:
        """The size of a batch, which need not be read for it."""
        numbers = self._numbers(number)
        lengths = np.concatenate([part.lengths[numbers] for part in self.data.parts])
        rows = int(lengths.sum())
        rows = rows if self.ladder is None else self.ladder.rung(rows)
        return BatchSize(rows, len(lengths), int(lengths.max()))

    def _numbers(self, number: int) -> NDArray[np.int64]:
        """The numbers of a batch's examples."""
        epoch, index = divmod(number, len(self))
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffle(epoch)
        return self._batches[index]

    def _shuffle(self, epoch: int) -> list[NDArray[np.int64]]:
        """The epoch's batches: shuffled, grouped by length in long runs, shuffled again."""
        task = crc32(self.task.encode())
        random = np.random.default_rng([self.seed, task, epoch])
        order, lengths = random.permutation(len(self.data)), self.data.lengths
        run, batches = self.batch_size * _RUN_OF_BATCHES, []
        if rest := len(order) % self.batch_size:
            turns = np.random.default_rng([self.seed, task]).permutation(len(order))
            short = turns[np.arange(epoch * rest, (epoch + 1) * rest) % len(order)]
            order, batches = order[~np.isin(order, short)], [short]
        for start in range(0, len(order), run):
            rows = order[start : start + run]
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            if self.ladder is not None:
                rows = _compose(rows, lengths[rows], self.batch_size, self.ladder)
            batches += [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        return [batches[i] for i in random.permutation(len(batches))]


def _compose(
    rows: NDArray[np.int64], lengths: NDArray[np.int64], size: int, ladder: Ladder
) -> NDArray[np.int64]:
    """The examples, sorted by length, in an order whose batches nearly fill their rungs.

    Each batch of ``size`` in turn swaps examples for longer ones that follow soon after.

    Args:
        rows, lengths: numbers of the examples, and their tokens, ascending.
    """
    ahead = list(zip(lengths.tolist(), rows.tolist(), strict=True))
    composed: list[int] = []
    while ahead:
        batch, ahead = ahead[:size], ahead[size:]
        room = ladder.rung(sum(length for length, _ in batch)) - sum(length for length, _ in batch)
        for place, (length, row) in enumerate(batch):
            near = min(len(ahead), _LOOKAHEAD * size)
            best = bisect_right(ahead, length + room, 0, near, key=lambda one: one[0]) - 1
            if best >= 0 and ahead[best][0] > length:
                batch[place] = ahead.pop(best)
                room -= batch[place][0] - length
                insort(ahead, (length, row), key=lambda one: one[0])
        composed += [row for _, row in batch]
    return np.array(composed, dtype=np.int64)


def evaluation_batches(
    data: EncodedTask, batch_size: int, steady: bool = False
) -> Iterator[tuple[NDArray[np.int64], LabelledBatch]]:
    """Batches of similar length that cover all examples once, each with its examples' numbers.

    Args:
        steady: whether the batches are filled to few different sizes.
    """
    ladder = evaluation_ladder(data.lengths, batch_size) if steady else None
    order = np.argsort(data.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield rows, data.collate(rows).filled(ladder)


def evaluation_ladder(lengths: NDArray[np.int64], batch_size: int) -> Ladder:
    """The sizes of batches of texts with these lengths, in the order of their lengths."""
    texts = min(batch_size, len(lengths))
    return Ladder.fitting(float(lengths.mean()) * texts * _EVALUATION_RUNG)


def training_ladder(tasks: Iterable[tuple[EncodedTask, int]]) -> Ladder:
    """The sizes of batches that are composed to fill them.

    A third of the shortest task's batch is the least that its examples fill with few gaps.

    Args:
        tasks: examples of each task, and the number of them in a batch.
    """
    means = [float(data.lengths.mean()) * min(size, len(data)) for data, size in tasks]
    return Ladder.fitting(min(means) / 3)
