"""Config groups ``optimizer``, ``scheduler``, ``trainer`` and ``phases``; imports no torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass
class OptimizerConfig:
    """The ``optimizer`` config group: AdamW (Loshchilov and Hutter 2019).

    Attributes:
        lr: peak learning rate of the encoder, PALs included.
        head_lr: peak learning rate of heads; null is ``lr``.
        layer_decay: each encoder layer's rate over that of the layer above it (Howard and Ruder
            2018); embeddings count as the layer below the first. 1 gives all the same rate.
        weight_decay: decay of weight matrices; biases and layer norms have none.
        betas: decay rates of the averages of gradients and of their squares.
        epsilon: added to the square root of the second average.
        clip: largest norm of the gradient of all weights that train together; separate models have
            a norm each. null does not clip.
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
        warmup: share of all steps in which the rate rises from 0 to its peak (``onecycle``: from
            a 25th of its peak).
    """

    name: str = "linear"
    warmup: float = 0.1


@dataclass
class TrainerConfig:
    """The ``trainer`` config group.

    Attributes:
        max_steps: updates; null trains for ``epochs``, 0 evaluates the encoder as it is.
        epochs: passes over as many examples as the training sets hold together, without those of
            tasks without a loss weight.
        steps_per_epoch: updates of an epoch; null derives them from the training sets.
        batch_size: examples of each task in a step, unless the task has its own.
        accumulation: micro-batches whose gradients make one update.
        eval_every: updates between evaluations; null is a tenth of the training, or of a phase.
        eval_examples: largest number of examples of each task for an evaluation while training, of
            dev or of the part held out by suite.select_fraction; null is all. The result always
            counts all of them.
        eval_batch_size: examples of a batch in evaluation and prediction.
        patience: evaluations without improvement before the training of a component stops; null for
            no limit.
        precision: ``auto``, ``fp32`` or ``bf16``; on a CPU ``auto`` times some steps of each.
        device: ``auto``, ``cpu``, ``cuda``, or one of several GPUs by its number: ``cuda:1``.
        threads: torch's threads on a CPU; null is one for each core that the process may use, or
            one where these gain little.
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
# Settings that only some kinds of phases have, with those kinds.
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
    """A phase before or after the main training, with its own optimizer.

    Attributes:
        kind: ``tasks`` (as the main training), ``masked_lm`` (on the tasks' training texts) or
            ``ranking`` (multiple negatives, on the positive pairs of a task).
        when: ``before`` or ``after`` the main training; several keep their order in the config.
        steps: updates; null trains for ``epochs``, but for ``trainer.max_steps`` at most.
        epochs: passes over as many examples as the training sets hold together.
        lr: peak learning rate of heads and encoder; null is the main training's.
        batch_size: examples of each task in a step; null is the main training's.
        sampler: (``tasks``, ``masked_lm``) name of a sampler; null is the main training's.
        frozen: (``tasks``) freeze the encoder and train the heads alone.
        rate: (``masked_lm``) share of tokens to predict.
        whole_word: (``masked_lm``) mask all pieces of a word together.
        second: (``masked_lm``) use the second texts of pairs too, where pairs are two sequences.
        task: (``ranking``) a task of pairs.
        similarity: (``ranking``) similarity of two texts' vectors, ``dot`` or ``cosine``.
        scale: (``ranking``) factor of the similarity; null is 1, for ``cosine`` 20.
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
