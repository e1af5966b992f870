"""What the main training and each phase set for themselves, made once for a run."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from zlib import crc32

from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.objectives.weighting import Weighting, make_weighting
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.training.schedule import TrainingSchedule, make_schedule
from mtl_sharing.training.settings import OptimizerConfig, PhaseConfig


@dataclass(frozen=True)
class PhaseSettings:
    """The settings in which a phase may differ from the main training, which is a phase too.

    Attributes:
        name: the phase's own, or ``main``.
        options: what the config says of the phase; the defaults for the main training.
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

    def train_data(self, inputs: RunInputs) -> Mapping[str, EncodedTask]:
        """The examples it trains on: of a ranking the positive pairs of its task alone."""
        return _train_data(self.options, inputs)

    def weighting(self, run_spec: RunSpec) -> Weighting:
        """A fresh weighting of the tasks' losses."""
        return _weighting(self.loss, run_spec, self.seed)


def make_phase_settings(run_spec: RunSpec, inputs: RunInputs) -> list[PhaseSettings]:
    """The settings of all phases in the order in which they run, the main training among them."""
    phases = [phase_settings(n, p, run_spec, inputs) for n, p in run_spec.config.phases.items()]
    before = [phase for phase in phases if not phase.is_late]
    after = [phase for phase in phases if phase.is_late]
    return [*before, main_settings(run_spec, inputs), *after]


def main_settings(run_spec: RunSpec, inputs: RunInputs) -> PhaseSettings:
    """The settings of the main training."""
    config, options = run_spec.config, PhaseConfig()
    sizes = _sizes(options, config.loss, config.seed, run_spec, inputs)
    batch_sizes = _batch_sizes(run_spec)
    schedule = make_schedule(config.trainer, config.sampler, sizes, batch_sizes, config.seed)
    return PhaseSettings(MAIN, options, config.seed, config.optimizer, config.loss, schedule)


def phase_settings(
    name: str, options: PhaseConfig, run_spec: RunSpec, inputs: RunInputs
) -> PhaseSettings:
    """The main training's settings with what a phase sets for itself, and a seed of its own.

    Only a phase of the tasks knows the losses that ``loss`` weighs. A phase that is given in epochs
    has no more steps than the main training may have.
    """
    config, optimizer = run_spec.config, run_spec.config.optimizer
    if options.lr is not None:
        optimizer = replace(optimizer, lr=options.lr, head_lr=None)
    loss = config.loss if options.kind == "tasks" else LossConfig()
    seed = crc32(f"{config.seed}/{name}".encode())
    schedule = make_schedule(
        replace(
            config.trainer, max_steps=options.steps, epochs=options.epochs, steps_per_epoch=None
        ),
        replace(config.sampler, name=options.sampler or config.sampler.name),
        _sizes(options, loss, seed, run_spec, inputs),
        _batch_sizes(run_spec, options.batch_size),
        seed,
        step_limit=config.trainer.max_steps,
    )
    return PhaseSettings(name, options, seed, optimizer, loss, schedule)


def _train_data(options: PhaseConfig, inputs: RunInputs) -> Mapping[str, EncodedTask]:
    if options.kind != "ranking":
        return inputs.train
    assert options.task is not None  # checked with the settings
    return {options.task: inputs.pairs[options.task]}


def _weighting(loss: LossConfig, run_spec: RunSpec, seed: int) -> Weighting:
    measures = run_spec.measures
    squared = [name for name, measure in measures.items() if measure.objective.squared]
    return make_weighting(loss, tuple(measures), squared, seed)


def _sizes(
    options: PhaseConfig, loss: LossConfig, seed: int, run_spec: RunSpec, inputs: RunInputs
) -> dict[str, int]:
    """Training examples of each task whose loss has a weight."""
    weighting, train = _weighting(loss, run_spec, seed), _train_data(options, inputs)
    return {name: len(data) for name, data in train.items() if weighting.has_weight(name)}


def _batch_sizes(run_spec: RunSpec, batch_size: int | None = None) -> dict[str, int]:
    """Examples in a batch of each task; ``batch_size`` replaces what a task says of its own."""
    default = run_spec.config.trainer.batch_size
    return {
        name: batch_size if batch_size is not None else task.batch_size or default
        for name, task in run_spec.specs.items()
    }
