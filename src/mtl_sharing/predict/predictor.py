"""What a trained network says of any texts, all tasks in one pass of the layers they share."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.batch import PackedBatch
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.data.text.cleaning import Cleaning
from mtl_sharing.data.tokens.batches import pack
from mtl_sharing.data.tokens.encoding import TextEncoder
from mtl_sharing.data.tokens.tokenizing import TokenRows
from mtl_sharing.evaluation.evaluate import Answers, answers_of
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.network import Network
from mtl_sharing.utils.device import autocast

FIRST, SECOND, JOINED = "first", "second", "joined"
"""What a sequence may be of a row: its text, its second text, or both with [SEP] between them."""
_Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts the tasks of a run_spec.

    Args:
        network: in evaluation mode, on the run_spec's device.
    """

    run_spec: RunSpec
    network: Network
    tokenizer: Tokenizer

    def predict(
        self,
        texts: Sequence[str | None],
        text_pairs: Sequence[str | None] | None,
        tasks: Sequence[str],
        batch_size: int,
    ) -> dict[str, Answers]:
        """What each of ``tasks`` says of every row; NaN where the row lacks what the task reads.

        Every sequence runs once through each copy of a stage, however many tasks read it there:
        of pairs that are encoded separately, a task of single texts is given the first texts.
        Rows of similar length share a batch.

        Args:
            text_pairs: None where there are none; then no task of pairs says anything.
            batch_size: rows of a batch.
        """
        count = len(texts)
        pairs = [None] * count if text_pairs is None else text_pairs
        there = np.array([not is_empty(text) for text in texts], dtype=bool)
        both = there & np.array([not is_empty(text) for text in pairs], dtype=bool)
        single = [task for task in tasks if not self.run_spec.specs[task].is_pair]
        found: dict[str, list[tuple[_Rows, Answers]]] = {task: [] for task in tasks}
        for rows, read in ((np.flatnonzero(both), tasks), (np.flatnonzero(there & ~both), single)):
            if len(rows) and read:
                for place, answers in self._of_rows(rows, texts, pairs, read, batch_size):
                    for task in read:
                        found[task].append((place, answers[task]))
        return {task: self._scattered(task, parts, count) for task, parts in found.items()}

    def _of_rows(
        self,
        rows: _Rows,
        texts: Sequence[str | None],
        pairs: Sequence[str | None],
        tasks: Sequence[str],
        batch_size: int,
    ) -> Iterator[tuple[_Rows, dict[str, Answers]]]:
        """Batch by batch the numbers of its rows, and what each of ``tasks`` says of them."""
        reads = {task: self._reads(task) for task in tasks}
        kinds = [kind for kind in (FIRST, SECOND, JOINED) if any(kind in r for r in reads.values())]
        firsts, seconds = ([_plain(given[n]) for n in rows] for given in (texts, pairs))
        encoded = self._encoded(kinds, firsts, seconds)
        order = np.argsort(sum(part.lengths for part in encoded.values()), kind="stable")
        runtime = self.run_spec.runtime
        # One autocast around all batches casts each weight once.
        with torch.inference_mode(), autocast(runtime.precision, runtime.device):
            for start in range(0, len(order), batch_size):
                numbers = order[start : start + batch_size]
                packed = {
                    kind: pack([part], numbers).to(runtime.device) for kind, part in encoded.items()
                }
                given = {task: tuple(packed[kind] for kind in reads[task]) for task in tasks}
                yield rows[numbers], self._answers(given, len(numbers))

    def _answers(
        self, given: Mapping[str, tuple[PackedBatch, ...]], count: int
    ) -> dict[str, Answers]:
        unknown = np.full(count, np.nan)
        measures = self.run_spec.measures
        raw = self.network(given)
        return {task: answers_of(measures[task].objective, raw[task], unknown) for task in given}

    def _reads(self, task: str) -> tuple[str, ...]:
        if not self.run_spec.specs[task].is_pair:
            return (FIRST,)
        return (JOINED,) if self.run_spec.joined[task] else (FIRST, SECOND)

    def _encoded(
        self, kinds: Sequence[str], firsts: list[str], seconds: list[str]
    ) -> dict[str, TokenRows]:
        """The tokens of each kind of sequence, cleaned as the run's own texts were."""
        firsts = self._cleaning.texts(firsts)[0]
        seconds = self._cleaning.texts(seconds)[0] if set(kinds) - {FIRST} else []
        found = {}
        for kind in kinds:
            alone = firsts if kind == FIRST else seconds
            both = list(zip(firsts, seconds, strict=True)) if kind == JOINED else None
            found[kind] = self._encoder.rows(alone if both is None else both)
        return found

    @cached_property
    def _cleaning(self) -> Cleaning:
        return self.run_spec.text.cleaning()

    @cached_property
    def _encoder(self) -> TextEncoder:
        return TextEncoder(self.run_spec.text, self.tokenizer)

    def _scattered(self, task: str, parts: Sequence[tuple[_Rows, Answers]], count: int) -> Answers:
        """Batches of answers as one, each row's at its place."""
        values, probability = np.full(count, np.nan), np.full(count, np.nan)
        for rows, answers in parts:
            values[rows] = answers.values
            if answers.probability is not None:
                probability[rows] = answers.probability
        regression = self.run_spec.specs[task].kind == "regression"
        unknown = np.full(count, np.nan)
        return Answers(values, None if regression else probability, unknown)


def readable(spec: TaskSpec, answers: Answers) -> list[str | int | float | None]:
    """Predictions as they are written: a class by its name or number, a value to 7 digits.

    None where there is none.
    """
    known = [None if np.isnan(value) else float(value) for value in answers.values]
    if spec.kind == "regression":
        return [None if value is None else rounded(value) for value in known]
    names = spec.labels or range(spec.classes or 0)
    return [None if value is None else names[int(value)] for value in known]


def rounded(value: float) -> float:
    """As many digits as float32 holds."""
    return float(f"{value:.7g}")


def _plain(text: str | None) -> str:
    """The text as training has it, without white space around; half a character is none."""
    return (text or "").encode("utf-8", "replace").decode("utf-8").strip()


def is_empty(text: str | None) -> bool:
    """Whether there is nothing to predict of, as in training."""
    return text is None or text.strip() in ("", "nan", "NaN")
