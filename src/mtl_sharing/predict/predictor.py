"""Predicts several tasks for rows of texts, in one pass of the layers that the tasks share."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.data.tables.cells import cell_text
from mtl_sharing.data.text.cleaning import Cleaning
from mtl_sharing.data.tokens.batches import evaluation_ladder, pack
from mtl_sharing.data.tokens.encoding import TextEncoder
from mtl_sharing.data.tokens.tokenizing import TokenRows
from mtl_sharing.evaluation.evaluate import Answers, answers_of
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.network import Network
from mtl_sharing.utils.device import autocast

FIRST, SECOND, JOINED = "first", "second", "joined"
"""Sequences of a row: its text, its second text, or both with [SEP] between them."""
_RowNumbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Predictor:
    """Predicts the tasks of a run.

    Args:
        network: in evaluation mode, on the device of ``run_spec.runtime``.
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
        """Predicts each of ``tasks`` for every row; NaN where the row lacks a text of the task.

        Every sequence runs once through each copy of a stage, however many tasks read it there.
        Where pairs are encoded separately, tasks of single texts read the first texts. Rows of
        similar length share a batch.

        Args:
            text_pairs: second texts; with None, tasks of pairs have no predictions.
            batch_size: rows of a batch.
        """
        count = len(texts)
        # As in training; None where a text is missing.
        texts = [cell_text(text) for text in texts]
        pairs = [None] * count if text_pairs is None else [cell_text(text) for text in text_pairs]
        has_text = np.array([text is not None for text in texts], dtype=bool)
        has_pair = has_text & np.array([text is not None for text in pairs], dtype=bool)
        single = [task for task in tasks if not self.run_spec.specs[task].is_pair]
        measures = self.run_spec.measures
        answers = {task: Answers.missing(count, measures[task].classes) for task in tasks}
        for mask, predicted in ((has_pair, tasks), (has_text & ~has_pair, single)):
            rows = np.flatnonzero(mask)
            if len(rows) and predicted:
                for batch, parts in self._batches(rows, texts, pairs, predicted, batch_size):
                    for task, part in parts.items():
                        answers[task].fill(batch, part)
        return answers

    def _batches(
        self,
        rows: _RowNumbers,
        texts: Sequence[str | None],
        pairs: Sequence[str | None],
        tasks: Sequence[str],
        batch_size: int,
    ) -> Iterator[tuple[_RowNumbers, dict[str, Answers]]]:
        """The row numbers of each batch, with the answers of each task."""
        inputs = {task: self._inputs(task) for task in tasks}
        kinds = [k for k in (FIRST, SECOND, JOINED) if any(k in read for read in inputs.values())]
        firsts, seconds = ([column[n] or "" for n in rows] for column in (texts, pairs))
        encoded = self._encode(kinds, firsts, seconds)
        order = np.argsort(sum(part.lengths for part in encoded.values()), kind="stable")
        runtime = self.run_spec.runtime
        # One autocast around all batches casts each weight once.
        with torch.inference_mode(), autocast(runtime.precision, runtime.device):
            ladders = {
                kind: evaluation_ladder(part.lengths, batch_size) if runtime.steady else None
                for kind, part in encoded.items()
            }
            for start in range(0, len(order), batch_size):
                numbers = order[start : start + batch_size]
                packed = {
                    kind: pack([part], numbers).filled(ladders[kind]).to(runtime.device)
                    for kind, part in encoded.items()
                }
                batch = {task: tuple(packed[kind] for kind in inputs[task]) for task in tasks}
                unknown, raw = np.full(len(numbers), np.nan), self.network(batch)
                answers = {
                    task: answers_of(self.run_spec.measures[task].objective, raw[task], unknown)
                    for task in tasks
                }
                yield rows[numbers], answers

    def _inputs(self, task: str) -> tuple[str, ...]:
        """The kinds of sequences that the task reads."""
        if not self.run_spec.specs[task].is_pair:
            return (FIRST,)
        return (JOINED,) if self.run_spec.joined[task] else (FIRST, SECOND)

    def _encode(
        self, kinds: Sequence[str], firsts: list[str], seconds: list[str]
    ) -> dict[str, TokenRows]:
        """The tokens of each kind of sequence, cleaned like the texts of the training."""
        firsts = self._cleaning.texts(firsts)[0]
        if set(kinds) == {FIRST}:
            return {FIRST: self._encoder.rows(firsts)}
        seconds = self._cleaning.texts(seconds)[0]
        joined = list(zip(firsts, seconds, strict=True))
        texts: dict[str, Any] = {FIRST: firsts, SECOND: seconds, JOINED: joined}
        return {kind: self._encoder.rows(texts[kind]) for kind in kinds}

    @cached_property
    def _cleaning(self) -> Cleaning:
        return self.run_spec.text.cleaning()

    @cached_property
    def _encoder(self) -> TextEncoder:
        return TextEncoder(self.run_spec.text, self.tokenizer)
