"""Blueprint and material to a learner: what the main training updates, with which data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.data.batches import Batches, TrainingBatches
from mtl_sharing.material import Material
from mtl_sharing.mixing.epochs import Epochs
from mtl_sharing.mixing.samplers import Sampler, batches_of, epoch_draws, make_sampler
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.network import HeadsOnly, Network
from mtl_sharing.objectives.aggregation import Surgery, make_surgery
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.regularizers import Regularizer, make_regularizer
from mtl_sharing.objectives.ties import Tie, make_tie
from mtl_sharing.objectives.weighting import Weighting, make_weighting
from mtl_sharing.run.learner import Learner
from mtl_sharing.run.optimizer import make_optimizer
from mtl_sharing.run.precision import keep_freed_memory


@dataclass(frozen=True)
class Aim:
    """What a learner trains a network towards; by default the mean of the objectives' losses.

    Attributes:
        dense: weights whose gradients reach every row of a table.
    """

    batches: Mapping[str, Batches]
    objectives: Mapping[str, Objective]
    weighting: Weighting = field(default_factory=Weighting)
    regularizer: Regularizer = field(default_factory=lambda: Regularizer({}))
    tie: Tie | None = None
    surgery: Surgery | None = None
    dense: Sequence[Tensor] = ()


def make_learner(blueprint: Blueprint, material: Material, architecture: Architecture) -> Learner:
    """A learner of all tasks, over a fresh network of ``architecture``."""
    network = blueprint.network(architecture, material.tower)
    return learner_of(blueprint, material, network, tasks_aim(blueprint, material, network))


def tasks_aim(blueprint: Blueprint, material: Material, network: Network | HeadsOnly) -> Aim:
    """The tasks themselves, with the losses, the regulariser and the tie of the config.

    Raises:
        UserError: a setting of one of these that does not fit.
    """
    config = blueprint.config
    objectives = {name: measure.objective for name, measure in blueprint.measures.items()}
    tied = network.tied() if isinstance(network, Network) else []
    return Aim(
        batches={
            name: TrainingBatches(name, data, batch_size(blueprint, name), config.seed)
            for name, data in material.train.items()
        },
        objectives=objectives,
        weighting=training_weighting(blueprint),
        regularizer=make_regularizer(
            config.regularizer, objectives, blueprint.shape.hidden, network
        ),
        tie=make_tie(config.sharing.tie, tied),
        surgery=make_surgery(config.loss, network.shared(), tuple(objectives)),
    )


def learner_of(blueprint: Blueprint, material: Material, network: nn.Module, aim: Aim) -> Learner:
    """A fresh learner of a network: optimiser and data from the start.

    Raises:
        UserError: a setting of optimiser or sampler that does not fit.
    """
    keep_freed_memory()
    config = blueprint.config
    weighting = aim.weighting.to(blueprint.runtime.device)
    learnt = list(weighting.parameters())
    return Learner(
        network=network,
        optimizer=make_optimizer(
            network, config.optimizer, blueprint.shape.layers, learnt, config.loss.lr
        ),
        scheduler=config.scheduler,
        sampler=training_sampler(blueprint, material),
        epochs=training_epochs(blueprint, material),
        batches=aim.batches,
        objectives=aim.objectives,
        weighting=weighting,
        regularizer=aim.regularizer,
        runtime=blueprint.runtime,
        clip=config.optimizer.clip,
        accumulation=config.trainer.accumulation,
        tie=aim.tie,
        surgery=aim.surgery,
        dense=aim.dense,
    )


def training_sampler(blueprint: Blueprint, material: Material) -> Sampler:
    """Names the tasks of each draw of the whole training."""
    config, sizes = blueprint.config, training_sizes(blueprint, material)
    batches = batches_of(sizes, _batch_sizes(blueprint, sizes))
    epochs = training_epochs(blueprint, material)
    return make_sampler(config.sampler, sizes, batches, epochs, config.seed)


def training_epochs(blueprint: Blueprint, material: Material) -> Epochs:
    """How the draws of the whole training fall into epochs."""
    options = blueprint.config.trainer
    return Epochs(training_steps(blueprint, material) * options.accumulation, options.epochs)


def training_weighting(blueprint: Blueprint) -> Weighting:
    """How much each task's loss counts."""
    measures, config = blueprint.measures, blueprint.config
    squared = [name for name, measure in measures.items() if measure.objective.squared]
    return make_weighting(config.loss, tuple(measures), squared, config.seed)


def training_steps(blueprint: Blueprint, material: Material) -> int:
    """Updates of the whole training."""
    options = blueprint.config.trainer
    if options.max_steps is not None:
        return options.max_steps
    return max(1, round(options.epochs * epoch_steps(blueprint, material)))


def epoch_steps(blueprint: Blueprint, material: Material) -> float:
    """Updates of an epoch, as ``trainer.epochs`` counts them; ``trainer.max_steps`` aside."""
    options, sampler = blueprint.config.trainer, blueprint.config.sampler
    if options.steps_per_epoch is not None:
        return options.steps_per_epoch
    sizes = training_sizes(blueprint, material)
    return epoch_draws(sampler.name, sizes, _batch_sizes(blueprint, sizes)) / options.accumulation


def training_sizes(blueprint: Blueprint, material: Material) -> dict[str, int]:
    """Examples of each task that trains; one whose loss has no weight would take turns in vain."""
    weighting = training_weighting(blueprint)
    return {name: len(data) for name, data in material.train.items() if weighting.counts(name)}


def _batch_sizes(blueprint: Blueprint, tasks: Iterable[str]) -> dict[str, int]:
    return {name: batch_size(blueprint, name) for name in tasks}


def evaluation_interval(blueprint: Blueprint, total: int) -> int:
    """Updates between two evaluations of a training with ``total`` of them."""
    return blueprint.config.trainer.eval_every or max(1, -(-total // 10))


def batch_size(blueprint: Blueprint, task: str) -> int:
    """Examples of a task in a batch."""
    return blueprint.specs[task].batch_size or blueprint.config.trainer.batch_size
