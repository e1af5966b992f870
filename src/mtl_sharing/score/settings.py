"""Config group ``score``. Imports no torch, so the command line starts fast."""

from dataclasses import dataclass


@dataclass
class ScoreConfig:
    """The score of a run relative to separate models.

    Attributes:
        memory_exponent, time_exponent: exponents of the two ratios; 1 as published, 0 ignores one.
        memory: ``model`` (bytes of all weights) or ``peak_train`` (of a training process).
        time: ``train`` (a training step) or ``predict`` (all tasks on the same text).
        clock: ``measured`` (seconds, side by side) or ``flops`` (floating-point operations counted
            from plan and texts, so without noise and without a measurement).
        pearson: ``unit`` counts r as (r + 1) / 2, ``raw`` as r.
        objective: the objective of a sweep: ``weighted``, ``keep`` or ``performance``.
        keep: share of separate models' performance that is enough for ``keep``.
        reference: performance of fully trained separate models, or the folder of their run.
            ``separate`` trains them once for this data, encoder and settings, and later runs of
            any regime reuse the result.
        untuned: also compare with the pretrained encoder under untrained heads.
        pairs: number of interleaved timings of regime and baseline; 0 measures no baseline. It has
            no effect with ``clock=flops``.
        rounded: show precision, recall and F1 of regressions, too, on values rounded to whole
            classes.
    """

    memory_exponent: float = 1.0
    time_exponent: float = 1.0
    memory: str = "model"
    time: str = "train"
    clock: str = "measured"
    pearson: str = "unit"
    objective: str = "weighted"
    keep: float = 0.99
    reference: str | None = None
    untuned: bool = False
    pairs: int = 5
    rounded: bool = False
