"""How many floating-point operations a step's matrix products nominally need."""

from collections.abc import Mapping, Sequence

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.score.flops import prediction_flops, training_flops
from mtl_sharing.score.layer_flops import TextSize


def count_training(architecture: Architecture, lengths: Mapping[str, Sequence[int]]) -> int:
    """Operations of one training step.

    The count is nominal: every layer is counted for every token, also where a program computes
    the last layer for first tokens only or reads frozen layers from a cache. So it says the same
    of every loop.

    Args:
        lengths: real tokens of each sequence, of each task.
    """
    texts = {task: TextSize.of(own) for task, own in lengths.items()}
    return sum(training_flops(architecture, texts, every_token=True).values())


def count_prediction(architecture: Architecture, lengths: Sequence[int]) -> int:
    """Operations of all tasks' predictions on the same text, as nominal as those of a step."""
    return prediction_flops(architecture, TextSize.of(lengths), every_token=True)
