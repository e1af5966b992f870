"""Encoded examples of one task, and the batches they are served in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from zlib import crc32

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tokens.tokenizing import Encode, TokenRows, encode

# Batches are cut from runs of this many, sorted by length: little padding, yet random enough.
_RUN_OF_BATCHES = 50


@dataclass(frozen=True, eq=False)
class EncodedTask:
    """One split of one task, tokenised.

    Attributes:
        first: the texts, or the joined pairs.
        second: second texts of pairs that are encoded separately, else None.
        labels: float64, shape (examples,).
        whole: whether labels are class numbers.
    """

    first: TokenRows
    second: TokenRows | None
    labels: NDArray[np.float64]
    whole: bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each example, both texts together."""
        return self.first.lengths + (0 if self.second is None else self.second.lengths)

    @property
    def truncated(self) -> int:
        """How many texts were cut to the length limit."""
        return self.first.truncated + (0 if self.second is None else self.second.truncated)

    def collate(self, rows: Sequence[int] | NDArray[np.int64]) -> LabelledBatch:
        """The examples with these numbers as one packed batch, first texts before second ones."""
        numbers = np.asarray(rows)
        parts = [self.first] if self.second is None else [self.first, self.second]
        labels = torch.from_numpy(self.labels[numbers])
        return LabelledBatch(pack(parts, numbers), labels.long() if self.whole else labels.float())

    def sample(self, count: int | None, seed: int) -> "EncodedTask":
        """A random ``count`` of the examples, the same for equal seeds (all where None)."""
        if count is None or count >= len(self):
            return self
        rows = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        second = None if self.second is None else self.second.take(rows)
        return EncodedTask(self.first.take(rows), second, self.labels[rows], self.whole)


def pack(parts: Sequence[TokenRows], numbers: NDArray[np.int64]) -> PackedBatch:
    """The sequences with these numbers of each part, one part after the other."""
    tokens, types, lengths, tags = [], [], [], []
    for part in parts:
        places, part_lengths = part.places(numbers)
        tokens.append(part.tokens.take(places))
        types.append(part.token_types.take(places))
        lengths += part_lengths.tolist()
        if part.tags is not None:
            tags.append(part.tags[places])
    known = [part.states.read(numbers) if part.states is not None else None for part in parts]
    states = [found for found in known if found is not None]
    return PackedBatch(
        torch.from_numpy(np.concatenate(tokens, dtype=np.int64)),
        torch.from_numpy(np.concatenate(types, dtype=np.int64)),
        tuple(lengths),
        torch.cat(states) if len(states) == len(parts) else None,
        tags=torch.from_numpy(np.concatenate(tags, dtype=np.int64))
        if len(tags) == len(parts)
        else None,
    )


def encode_examples(
    examples: Sequence[Example],
    tokenizer: Tokenizer,
    max_length: int,
    joined: bool,
    whole: bool,
    encode: Encode = encode,
) -> EncodedTask:
    """Tokenises examples; pairs are joined into one sequence or kept as two.

    Args:
        encode: takes and gives what ``tokenizing.encode`` does.
    """
    firsts = [example.text for example in examples]
    pairs = [e.text_pair for e in examples if e.text_pair is not None]
    labels = np.array([np.nan if e.label is None else e.label for e in examples], dtype=float)
    if not pairs:
        return EncodedTask(encode(tokenizer, firsts, max_length), None, labels, whole)
    if joined:
        both = list(zip(firsts, pairs, strict=True))
        return EncodedTask(encode(tokenizer, both, max_length), None, labels, whole)
    second = encode(tokenizer, pairs, max_length)
    return EncodedTask(encode(tokenizer, firsts, max_length), second, labels, whole)


class Batches(Protocol):
    """An endless sequence of batches of one task; batch ``k`` is a pure function of ``k``."""

    def __getitem__(self, number: int) -> LabelledBatch: ...


@dataclass
class TrainingBatches:
    """An endless sequence of batches of one task, addressed by number.

    Batch ``k`` depends on the seed, the task's name and ``k`` alone, so the only state of a
    training run is how many batches each task has served.
    """

    task: str
    data: EncodedTask
    batch_size: int
    seed: int
    _epoch: int = field(default=-1, init=False)
    _batches: list[NDArray[np.int64]] = field(default_factory=list, init=False)

    def __len__(self) -> int:
        """Batches of one epoch; the last may be smaller."""
        return -(-len(self.data) // self.batch_size)

    def __getitem__(self, number: int) -> LabelledBatch:
        epoch, place = divmod(number, len(self))
        if epoch != self._epoch:
            self._epoch, self._batches = epoch, self._shuffle(epoch)
        return self.data.collate(self._batches[place])

    def _shuffle(self, epoch: int) -> list[NDArray[np.int64]]:
        """The epoch's batches: shuffled, grouped by length in long runs, shuffled again."""
        random = np.random.default_rng([self.seed, crc32(self.task.encode()), epoch])
        order, lengths = random.permutation(len(self.data)), self.data.lengths
        run = self.batch_size * _RUN_OF_BATCHES
        batches = []
        for start in range(0, len(order), run):
            rows = order[start : start + run]
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            batches += [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        return [batches[i] for i in random.permutation(len(batches))]


def evaluation_batches(
    data: EncodedTask, batch_size: int
) -> Iterator[tuple[NDArray[np.int64], LabelledBatch]]:
    """All examples once, in batches of similar length, each with its examples' numbers."""
    order = np.argsort(data.lengths, kind="stable")
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield rows, data.collate(rows)
