"""Counts the nominal floating-point operations of a step's matrix products."""

from collections.abc import Mapping, Sequence

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.score.flops import prediction_flops, training_flops
from mtl_sharing.score.layer_flops import TextSize


def count_training(architecture: Architecture, lengths: Mapping[str, Sequence[int]]) -> int:
    """Operations of one training step.

    The count is nominal, and so the same for every loop: every layer for every token, also where
    a loop computes the last layer for first tokens only or reads frozen layers from a cache.

    Args:
        lengths: real tokens of each task's sequences.
    """
    texts = {task: TextSize.of(sizes) for task, sizes in lengths.items()}
    return sum(training_flops(architecture, texts, every_token=True).values())


def count_prediction(architecture: Architecture, lengths: Sequence[int]) -> int:
    """Nominal operations of all tasks' predictions on the same text."""
    return prediction_flops(architecture, TextSize.of(lengths), every_token=True)
