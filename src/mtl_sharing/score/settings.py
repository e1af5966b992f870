"""Config group ``score``. Without torch, so that the command line starts fast."""

from dataclasses import dataclass


@dataclass
class ScoreConfig:
    """How a run is scored against separate models.

    Attributes:
        memory_exponent, time_exponent: of the two ratios; 1 as published, 0 switches one off.
        memory: ``model`` (bytes of all weights) or ``peak_train`` (of a training process).
        time: ``train`` (a training step) or ``predict`` (all tasks on the same text).
        clock: ``measured`` (seconds, side by side) or ``flops`` (floating-point operations, counted
            from plan and texts: without noise, also beside other runs, and nothing is measured).
        pearson: ``unit`` counts r as (r + 1) / 2, ``raw`` as it is.
        objective: what a sweep maximises: ``weighted``, ``keep`` or ``performance``.
        keep: share of separate models' performance that ``keep`` demands.
        reference: performance of fully trained separate models, or the folder of their run;
            ``separate`` trains them once for this data, encoder and settings, and later runs of
            any regime find what they reached.
        untuned: hold the run against the encoder as it is, too, evaluated once like these.
        pairs: interleaved timings of regime and baseline; 0 measures no baseline. With
            ``clock=flops`` it says nothing.
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
