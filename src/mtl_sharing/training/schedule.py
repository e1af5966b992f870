"""Length, evaluation interval and sampler of a training."""

from collections.abc import Mapping
from dataclasses import dataclass

from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.samplers import Sampler, batches_of, epoch_draws, make_sampler
from mtl_sharing.sampling.settings import SamplerConfig
from mtl_sharing.training.settings import TrainerConfig


@dataclass(frozen=True)
class TrainingSchedule:
    """Length, evaluation interval and sampler of the main training or of a phase.

    Attributes:
        steps, eval_every: updates of the whole training, and between two evaluations.
        epoch_steps: updates of an epoch as ``trainer.epochs`` counts them, also where
            ``trainer.max_steps`` ends the training earlier.
        sizes: training examples of each task that trains, without tasks whose loss has no weight.
    """

    steps: int
    epoch_steps: float
    epochs: Epochs
    batch_sizes: Mapping[str, int]
    sizes: Mapping[str, int]
    eval_every: int
    sampler: Sampler

    @property
    def evaluations(self) -> int:
        """Evaluations while training, the one after the last step included."""
        return -(-self.steps // self.eval_every)


def make_schedule(
    trainer: TrainerConfig,
    sampler: SamplerConfig,
    sizes: Mapping[str, int],
    batch_sizes: Mapping[str, int],
    seed: int,
    step_limit: int | None = None,
) -> TrainingSchedule:
    """Makes the schedule of these settings; raises UserError for those of the sampler.

    Args:
        sizes: training examples of each task that trains.
        batch_sizes: examples in a batch, at least for each task in ``sizes``.
        step_limit: most steps of a training whose length is given in epochs. Its epochs become
            shorter and keep their number, so that the sampler's schedule is completed.
    """
    trained = {task: batch_sizes[task] for task in sizes}
    epoch_steps: float | None = trainer.steps_per_epoch
    if epoch_steps is None:
        epoch_steps = epoch_draws(sampler.name, sizes, trained) / trainer.accumulation
    steps = trainer.max_steps
    if steps is None:
        steps = max(1, round(trainer.epochs * epoch_steps))
        steps = steps if step_limit is None else min(step_limit, steps)
    epochs = Epochs(steps * trainer.accumulation, trainer.epochs)
    return TrainingSchedule(
        steps=steps,
        epoch_steps=epoch_steps,
        epochs=epochs,
        batch_sizes=dict(batch_sizes),
        sizes=dict(sizes),
        eval_every=trainer.eval_every or max(1, -(-steps // 10)),
        sampler=make_sampler(sampler, sizes, batches_of(sizes, trained), epochs, seed),
    )
