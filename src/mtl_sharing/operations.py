"""Blueprint and material to floating-point operations, of the regime and of the baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.build import batch_size, training_weighting
from mtl_sharing.data.batches import EncodedTask
from mtl_sharing.material import Material
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.objectives.aggregation import SUM
from mtl_sharing.score.calibrate import timed_text
from mtl_sharing.score.flops import prediction_flops, training_flops
from mtl_sharing.score.products import TextSize


@dataclass(frozen=True)
class Operations:
    """Floating-point operations; what is counted says :mod:`mtl_sharing.score.flops`.

    Attributes:
        train_by_task: of a training step for one example, the mean over a task's training set;
            for each task that trains.
        train_per_example: their mean, each task weighing as its batch is large.
        predict_all: of all tasks' predictions on the text that ``time.predict_all_s`` is of.
        predict_per_text: the mean of that over its texts, of which a pair has two.
    """

    train_by_task: Mapping[str, float]
    train_per_example: float
    predict_all: int
    predict_per_text: float

    def record(self) -> dict[str, Any]:
        """The ``flops`` node of result.json."""
        return {
            "train_per_example": self.train_per_example,
            "train_by_task": dict(self.train_by_task),
            "predict_all": self.predict_all,
            "predict_per_text": self.predict_per_text,
        }


@dataclass(frozen=True)
class BothOperations:
    """What the regime takes and what the baseline takes, for the same text."""

    regime: Operations
    baseline: Operations

    def ratio(self, time_of: str) -> float:
        """Baseline over regime, for ``train`` or ``predict``."""
        if time_of == "train":
            return self.baseline.train_per_example / self.regime.train_per_example
        return self.baseline.predict_all / self.regime.predict_all


def count_operations(blueprint: Blueprint, material: Material) -> BothOperations:
    """Counts both; runs and builds nothing.

    Training counts a batch of every task, as a measured turn takes one of each, whatever share the
    sampler gives them: so both clocks compare the same work.
    """
    weighting = training_weighting(blueprint)
    counted = [task for task in blueprint.specs if weighting.counts(task)]
    texts = {task: _size(material.train[task]) for task in counted}
    examples = {task: len(material.train[task]) for task in counted}
    batches = {task: batch_size(blueprint, task) for task in counted}
    read = TextSize.of(timed_text(material.dev).lengths)

    def of(architecture: Architecture) -> Operations:
        totals = training_flops(architecture, texts, _together(blueprint, architecture))
        each = {task: totals[task] / examples[task] for task in counted}
        step = sum(each[task] * batches[task] for task in counted)
        per_example = step / sum(batches.values())
        predicted = prediction_flops(architecture, read)
        return Operations(each, per_example, predicted, predicted / read.sequences)

    return BothOperations(of(blueprint.architecture), of(blueprint.baseline))


def _size(data: EncodedTask) -> TextSize:
    parts = [data.first] if data.second is None else [data.first, data.second]
    return TextSize.of([length for part in parts for length in part.lengths.tolist()])


def _together(blueprint: Blueprint, architecture: Architecture) -> bool:
    """Whether a measured step takes the tasks through the network at once."""
    config = blueprint.config
    summed = config.loss.aggregation == SUM and config.loss.cosines == "none"
    return config.sampler.name == "unified" and (summed or not _meet(architecture))


def _meet(architecture: Architecture) -> bool:
    """Whether gradients of several tasks meet on any weights."""
    lanes = [] if architecture.lanes is None else [architecture.lane_norm()]
    trained = [stage for stage in (*architecture.stages(), *lanes) if stage.trains]
    return any(len(owners) > 1 for stage in trained for owners in stage.owners)
