"""Times a regime and its baseline (separate models) side by side.

Both are built with random weights, which cost the same as trained ones. They take the same batches
in turn (A B A B), so that a machine that slows down slows both. Ratios are medians over the pairs.
"""

import gc
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any, TypeVar

import numpy as np
import torch

from mtl_sharing.batch import PackedBatch
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.warm_up import warm_up
from mtl_sharing.utils.device import Runtime, autocast, peak_memory, reset_peak_memory

_Number = TypeVar("_Number", int, float)
# Of each task; even, so that they also make pairs.
_TIMED_TEXTS = 32
# A choice of precision and threads takes so long at most, but for one round.
_CHOICE_S, _CHOICE_ROUNDS = 8.0, 6
_CHOICE_WARM_UP_S = 2.0
# A longer step consists of large products, which gain from threads.
_LONG_STEP_S = 0.4

StepSeconds = Mapping[tuple[str, int], float]
"""Seconds of a step by precision and number of threads."""


@dataclass(frozen=True)
class PairedTimings:
    """Seconds of each pair, and peak bytes of a process that trains, for both.

    Attributes:
        train_s, predict_s: (regime, baseline) of each pair.
        peak_train_bytes: (regime, baseline).
    """

    train_s: tuple[tuple[float, float], ...]
    predict_s: tuple[tuple[float, float], ...]
    peak_train_bytes: tuple[int, int]

    def ratio(self, time_of: str) -> float:
        """The median ratio of baseline to regime, for ``train`` or ``predict``."""
        return median(baseline / regime for regime, baseline in self._pairs(time_of))

    def seconds(self, time_of: str, baseline: bool) -> float:
        """The median seconds of the baseline or of the regime."""
        return median(pair[baseline] for pair in self._pairs(time_of))

    def _pairs(self, time_of: str) -> tuple[tuple[float, float], ...]:
        return self.train_s if time_of == "train" else self.predict_s

    def record(self) -> dict[str, Any]:
        """The measured part of result.json's ``baseline`` node; ``beside`` holds the regime's."""
        ranges = {
            f"{name}_ratio_range": self._range(pairs)
            for name, pairs in (("train", self.train_s), ("predict", self.predict_s))
        }

        def costs(baseline: bool) -> dict[str, Any]:
            return {
                "step_s": self.seconds("train", baseline),
                "predict_all_s": self.seconds("predict", baseline),
                "peak_train_bytes": self.peak_train_bytes[baseline],
            }

        return costs(baseline=True) | {
            "beside": costs(baseline=False),
            "pairs": len(self.train_s),
            **ranges,
        }

    @staticmethod
    def _range(pairs: Sequence[tuple[float, float]]) -> list[float]:
        ratios = [baseline / regime for regime, baseline in pairs]
        return [min(ratios), max(ratios)]


def time_side_by_side(
    makers: Sequence[Callable[[], Learner]], text: PackedBatch, pairs: int, turns: int
) -> PairedTimings:
    """Times the regime and its baseline by turns.

    Args:
        makers: make a fresh learner of the regime and of its baseline, or of one that is both.
        text: the text that all tasks predict on.
        pairs: timings of each, interleaved, after one untimed round.
        turns: updates until every task has been in one.
    """
    peaks = [_peak(make, turns) for make in makers]
    learners = [make() for make in makers]
    for learner in learners:
        warm_up(learner, (pairs + 1) * turns)
    train, predict = [], []
    for number in range(pairs + 1):
        train.append(_ends([_step_s(learner, number, turns) for learner in learners]))
        predict.append(_ends([_timed(partial(predict_all, n, text), n.runtime) for n in learners]))
    return PairedTimings(tuple(train[1:]), tuple(predict[1:]), _ends(peaks))


def _ends(numbers: Sequence[_Number]) -> tuple[_Number, _Number]:
    """The numbers of regime and baseline, which are the same where only one was timed."""
    return numbers[0], numbers[-1]


def time_choices(
    learners: Mapping[str, Learner], choices: Sequence[tuple[str, int]], turns: int
) -> StepSeconds:
    """Median seconds of a step for each choice of precision and threads, taken by turns.

    Fewer threads are timed only where a step is short. It sets torch's threads.

    Args:
        learners: one for each precision.
        choices: the first has the most threads.
        turns: updates until every task has been in one.
    """
    rounds: list[dict[tuple[str, int], float]] = []
    end, last = time.perf_counter() + _CHOICE_S, 0.0
    for learner in learners.values():
        warm_up(learner, _CHOICE_ROUNDS * turns, most_s=_CHOICE_WARM_UP_S)
    equal = _tokens(next(iter(learners.values())), 0)
    # The last round tells whether another fits.
    while not rounds or (len(rounds) < _CHOICE_ROUNDS and time.perf_counter() + last < end):
        seconds: dict[tuple[str, int], float] = {}
        for precision, threads in choices:
            if threads < choices[0][1] and seconds[choices[0]] > _LONG_STEP_S:
                continue
            torch.set_num_threads(threads)
            learner = learners[precision]
            learner.served = dict.fromkeys(learner.batches, len(rounds))  # the same for all
            # Precisions may group the texts in other batches, so steps are scaled to equal text.
            scale = equal / _tokens(learner, len(rounds))
            seconds[precision, threads] = _step_s(learner, len(rounds), turns) * scale
        rounds.append(seconds)
        choices, last = list(seconds), sum(seconds.values()) * turns
    # In the first round shapes are new to the process, which matters where steps are short.
    counted = rounds[1:] or rounds
    return {choice: median(seconds[choice] for seconds in counted) for choice in choices}


def timed_text(dev: Mapping[str, EncodedTask]) -> PackedBatch:
    """One batch of dev texts: the same, even number from every task."""
    texts = []
    for data in dev.values():
        rows = np.arange(_TIMED_TEXTS) % len(data)  # a short dev split is read over and over
        texts.append(data.collate(rows).text)
    tags = [text.tags for text in texts if text.tags is not None]
    return PackedBatch(
        torch.cat([text.tokens for text in texts]),
        torch.cat([text.token_types for text in texts]),
        tuple(length for text in texts for length in text.lengths),
        tags=torch.cat(tags) if len(tags) == len(texts) else None,
    )


def predict_all(learner: Learner, text: PackedBatch) -> Mapping[str, torch.Tensor]:
    """All tasks' raw outputs for the same text, in one pass of the stages that they share."""
    runtime, network = learner.runtime, learner.network.eval()
    moved = text.to(runtime.device)
    with torch.inference_mode(), autocast(runtime.precision, runtime.device):
        result: Mapping[str, torch.Tensor] = network(dict.fromkeys(learner.batches, moved))
        return result


def _tokens(learner: Learner, number: int) -> int:
    """Tokens of every task's batch with a number."""
    return sum(sum(batches[number].text.lengths) for batches in learner.batches.values())


def _peak(make: Callable[[], Learner], turns: int) -> int:
    """Peak bytes while a fresh learner takes an update of every task, and one more."""
    gc.collect()
    learner = make()
    reset_peak_memory(learner.runtime.device)
    # As many as it takes for every weight to get its gradient and its moments, and once more.
    for step in range(1 + turns):
        learner.update(step, 1 + turns)
    return peak_memory(learner.runtime.device)


def _step_s(learner: Learner, number: int, turns: int) -> float:
    """Seconds of a step, the mean over a turn of every task."""

    def turn() -> None:
        for step in range(number * turns, (number + 1) * turns):
            learner.update(step, step + 1)

    return _timed(turn, learner.runtime) / turns


def _timed(work: Callable[[], object], runtime: Runtime) -> float:
    on_gpu = runtime.device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize()
    began = time.perf_counter()
    work()
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - began
