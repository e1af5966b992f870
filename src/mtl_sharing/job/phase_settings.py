"""Settings of the main training and of each phase, made once for a run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.objectives.weighting import Weighting, make_weighting
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.sampling.samplers import RoundRobin
from mtl_sharing.training.schedule import TrainingSchedule, make_schedule
from mtl_sharing.training.settings import OptimizerConfig, PhaseConfig


@dataclass(frozen=True)
class PhaseSettings:
    """The settings in which a phase may differ from the main training, which is a phase too.

    Attributes:
        name: the phase's own, or ``main``.
        options: the phase's entry in the config; the defaults for the main training.
        seed: of batches, sampler and weighting.
        loss: how the tasks' losses are weighed and their gradients merged.
        schedule: how long it is, and which tasks its steps take.
    """

    name: str
    options: PhaseConfig
    seed: int
    optimizer: OptimizerConfig
    loss: LossConfig
    schedule: TrainingSchedule

    @property
    def is_late(self) -> bool:
        """Whether it follows the main training."""
        return self.name != MAIN and self.options.when == "after"


def make_phase_settings(run_spec: RunSpec, inputs: RunInputs) -> list[PhaseSettings]:
    """The settings of all phases in the order in which they run, the main training among them."""
    phases = [phase_settings(n, p, run_spec, inputs) for n, p in run_spec.config.phases.items()]
    before = [phase for phase in phases if not phase.is_late]
    after = [phase for phase in phases if phase.is_late]
    return [*before, main_settings(run_spec, inputs), *after]


def main_settings(run_spec: RunSpec, inputs: RunInputs) -> PhaseSettings:
    """The settings of the main training."""
    return phase_settings(MAIN, PhaseConfig(), run_spec, inputs)


def phase_settings(
    name: str, options: PhaseConfig, run_spec: RunSpec, inputs: RunInputs
) -> PhaseSettings:
    """The main training's settings with what a phase sets for itself, and a seed of its own.

    Only a phase of the tasks knows the losses that ``loss`` weighs. A phase that is given in epochs
    has no more steps than the main training may have.
    """
    config = run_spec.config
    trainer, optimizer, seed, step_limit = config.trainer, config.optimizer, config.seed, None
    if name != MAIN:
        steps, epochs, step_limit = options.steps, options.epochs, trainer.max_steps
        trainer = replace(trainer, max_steps=steps, epochs=epochs, steps_per_epoch=None)
        seed = crc32(f"{seed}/{name}".encode())
    if options.lr is not None:
        optimizer = replace(optimizer, lr=options.lr, head_lr=None)
    loss = config.loss if options.kind == "tasks" else LossConfig()
    sampler = replace(config.sampler, name=options.sampler or config.sampler.name)
    train, weighting = train_data(options, inputs), task_weighting(loss, run_spec, seed)
    sizes = {task: len(data) for task, data in train.items() if weighting.has_weight(task)}
    batch_sizes = {
        task: options.batch_size or spec.batch_size or trainer.batch_size
        for task, spec in run_spec.specs.items()
    }
    schedule = make_schedule(trainer, sampler, sizes, batch_sizes, seed, step_limit=step_limit)
    return PhaseSettings(name, options, seed, optimizer, loss, schedule)


def by_turns(run_spec: RunSpec, settings: PhaseSettings) -> tuple[PhaseSettings, int]:
    """Settings that leave no task out of what is timed, and the steps until each was in one.

    All tasks are in each step with ``sampler=unified``; with others they take turns.
    """
    if run_spec.config.sampler.name == "unified":
        return settings, 1
    tasks = tuple(settings.schedule.sizes)
    schedule = replace(settings.schedule, sampler=RoundRobin(tasks))
    return replace(settings, schedule=schedule), len(tasks)


def train_data(options: PhaseConfig, inputs: RunInputs) -> Mapping[str, EncodedTask]:
    """The examples that a phase trains on; a ranking takes the positive pairs of its task."""
    if options.kind != "ranking":
        return inputs.train
    assert options.task is not None  # checked with the settings
    return {options.task: inputs.pairs[options.task]}


def task_weighting(
    loss: LossConfig, run_spec: RunSpec, seed: int, tasks: Sequence[str] | None = None
) -> Weighting:
    """A fresh weighting of the losses of some tasks, which train together; None takes all."""
    measures = run_spec.measures
    squared = [name for name, measure in measures.items() if measure.objective.squared]
    return make_weighting(loss, tuple(measures if tasks is None else tasks), squared, seed)
