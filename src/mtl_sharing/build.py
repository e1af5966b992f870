"""Blueprint and material to a trainer that is ready to run."""

from pathlib import Path

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.data.batches import TrainingBatches
from mtl_sharing.material import Material
from mtl_sharing.mixing.samplers import Sampler, epoch_steps, make_sampler
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.objectives.ties import make_tie
from mtl_sharing.objectives.weighting import make_weighting
from mtl_sharing.run.learner import Learner
from mtl_sharing.run.optimizer import make_optimizer
from mtl_sharing.run.precision import keep_freed_memory
from mtl_sharing.run.trainer import Trainer


def make_learner(blueprint: Blueprint, material: Material, architecture: Architecture) -> Learner:
    """A fresh learner of ``architecture``: network, optimiser and data from the start.

    Raises:
        UserError: a setting of optimiser, sampler or loss that does not fit.
    """
    keep_freed_memory()
    config = blueprint.config
    sizes = {name: len(data) for name, data in material.train.items()}
    network = blueprint.network(architecture, material.tower)
    return Learner(
        network=network,
        optimizer=make_optimizer(network, config.optimizer),
        scheduler=config.scheduler,
        sampler=make_sampler(config.sampler, sizes, config.seed),
        batches={
            name: TrainingBatches(name, data, batch_size(blueprint, name), config.seed)
            for name, data in material.train.items()
        },
        measures=blueprint.measures,
        weighting=make_weighting(config.loss, tuple(blueprint.specs)),
        runtime=blueprint.runtime,
        clip=config.optimizer.clip,
        accumulation=config.trainer.accumulation,
        tie=make_tie(config.sharing.tie, network.tied()),
    )


def make_trainer(blueprint: Blueprint, material: Material, folder: Path) -> Trainer:
    """The trainer of the blueprint's plan, which keeps its state in ``folder``."""
    options, seed = blueprint.config.trainer, blueprint.config.seed
    learner = make_learner(blueprint, material, blueprint.architecture)
    total = training_steps(blueprint, material, learner.sampler)
    return Trainer(
        learner=learner,
        dev={name: data.sample(options.eval_examples, seed) for name, data in material.dev.items()},
        folder=folder,
        total=total,
        eval_every=evaluation_interval(blueprint, total),
        patience=options.patience,
    )


def training_steps(blueprint: Blueprint, material: Material, sampler: Sampler) -> int:
    """Updates of the whole training."""
    options = blueprint.config.trainer
    if options.max_steps is not None:
        return options.max_steps
    sizes = {name: len(data) for name, data in material.train.items()}
    batches = {name: batch_size(blueprint, name) for name in sizes}
    drawn = epoch_steps(sampler, sizes, batches) / options.accumulation
    return max(1, round(options.epochs * (options.steps_per_epoch or drawn)))


def evaluation_interval(blueprint: Blueprint, total: int) -> int:
    """Updates between two evaluations of a training with ``total`` of them."""
    return blueprint.config.trainer.eval_every or max(1, -(-total // 10))


def batch_size(blueprint: Blueprint, task: str) -> int:
    """Examples of a task in a batch."""
    return blueprint.specs[task].batch_size or blueprint.config.trainer.batch_size
