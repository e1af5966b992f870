"""Config groups ``optimizer``, ``scheduler`` and ``trainer``. Without torch: it loads slowly."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class OptimizerConfig:
    """The ``optimizer`` config group: AdamW (Loshchilov and Hutter 2019).

    Attributes:
        lr: peak learning rate of the encoder, PALs included.
        head_lr: of heads; null is ``lr``.
        layer_decay: each encoder layer's rate over that of the layer above it (Howard and Ruder
            2018); embeddings stand below the first layer. 1 gives all the same.
        weight_decay: of weight matrices; biases and layer norms have none.
        clip: largest norm of the whole gradient, that of separate models together; null leaves it
            as it is.
    """

    lr: float = 5e-5
    head_lr: float | None = None
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])
    epsilon: float = 1e-8
    clip: float | None = 1.0


@dataclass
class SchedulerConfig:
    """The ``scheduler`` config group.

    Attributes:
        name: ``none``, ``linear`` (to 0), ``cosine`` (to 0) or ``onecycle``.
        warmup: share of all steps in which the rate rises from 0 (of onecycle: to its peak, from
            a 25th of it).
    """

    name: str = "linear"
    warmup: float = 0.1


@dataclass
class TrainerConfig:
    """The ``trainer`` config group.

    Attributes:
        max_steps: updates; null trains for ``epochs``, 0 evaluates the encoder as it is.
        epochs: passes over as many examples as the training sets hold together; those of tasks
            without a loss weight are left out.
        steps_per_epoch: updates that make an epoch; null is as many as ``epochs`` says.
        batch_size: examples of each task in a step, unless the task says its own.
        accumulation: micro-batches whose gradients make one update.
        eval_every: updates between evaluations; null is a tenth of the training, or of a phase.
        eval_examples: most examples of each task, of dev or of what suite.select_fraction holds
            out, used while training; the result is always taken on all of them. null is all.
        eval_batch_size: examples of a batch where nothing is learnt.
        patience: evaluations without a better performance before training stops; null never.
        precision: ``auto``, ``fp32`` or ``bf16``.
        device: ``auto``, ``cpu``, ``cuda``, or one of several GPUs by its number: ``cuda:1``.
        threads: of a CPU's products; null is one for each core that the process may use.
        debug: show the traceback of an error.
    """

    max_steps: int | None = None
    epochs: float = 3.0
    steps_per_epoch: int | None = None
    batch_size: int = 16
    accumulation: int = 1
    eval_every: int | None = None
    eval_examples: int | None = None
    eval_batch_size: int = 64
    patience: int | None = None
    precision: str = "auto"
    device: str = "auto"
    threads: int | None = None
    debug: bool = False


PHASE_KINDS = ("tasks", "masked_lm", "ranking")
# Settings of a phase that only some kinds have, each with those kinds.
KINDS_WITH: Mapping[str, tuple[str, ...]] = {
    "sampler": ("tasks", "masked_lm"),
    "frozen": ("tasks",),
    "rate": ("masked_lm",),
    "whole_word": ("masked_lm",),
    "second": ("masked_lm",),
    "task": ("ranking",),
    "similarity": ("ranking",),
    "scale": ("ranking",),
}


@dataclass
class PhaseConfig:
    """A part of the training before or after the main one, with an optimiser of its own.

    Attributes:
        kind: ``tasks`` (as the main training), ``masked_lm`` (on the tasks' training texts) or
            ``ranking`` (multiple negatives, on the positive pairs of a task).
        when: ``before`` the main training or ``after`` it, in the order in which they are given.
        steps: updates; null trains for ``epochs``, for ``trainer.max_steps`` at most.
        epochs: passes over as many examples as the training sets hold together.
        lr: peak learning rate of heads and encoder; null is the main training's.
        batch_size: examples of each task in a step; null is the main training's.
        sampler: of ``tasks`` and ``masked_lm``: name of a sampler; null is the main training's.
        frozen: of ``tasks``: leave the encoder as it is, and train the heads alone.
        rate: of ``masked_lm``: share of tokens that are to be predicted.
        whole_word: of ``masked_lm``: hide all pieces of a word together.
        second: of ``masked_lm``: read the second texts of pairs as well, where pairs are two
            sequences.
        task: of ``ranking``: a task of pairs.
        similarity: of ``ranking``: of two texts' vectors: ``dot`` or ``cosine``.
        scale: of ``ranking``: what it is multiplied by; null is 1, for ``cosine`` 20.
    """

    kind: str = "tasks"
    when: str = "before"
    steps: int | None = None
    epochs: float = 1.0
    lr: float | None = None
    batch_size: int | None = None
    sampler: str | None = None
    frozen: bool = False
    rate: float = 0.15
    whole_word: bool = False
    second: bool = False
    task: str | None = None
    similarity: str = "dot"
    scale: float | None = None
