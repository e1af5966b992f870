"""Blueprint and material to a trainer that is ready to run."""

from pathlib import Path

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.data.batches import TrainingBatches
from mtl_sharing.material import Material
from mtl_sharing.mixing.samplers import epoch_steps, make_sampler
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
            name: TrainingBatches(name, data, _batch_size(blueprint, name), config.seed)
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
    options = blueprint.config.trainer
    learner = make_learner(blueprint, material, blueprint.architecture)
    total = options.max_steps
    if total is None:
        sizes = {name: len(data) for name, data in material.train.items()}
        batches = {name: _batch_size(blueprint, name) for name in sizes}
        drawn = epoch_steps(learner.sampler, sizes, batches) / options.accumulation
        total = max(1, round(options.epochs * (options.steps_per_epoch or drawn)))
    seed = blueprint.config.seed
    return Trainer(
        learner=learner,
        dev={name: data.sample(options.eval_examples, seed) for name, data in material.dev.items()},
        folder=folder,
        total=total,
        eval_every=options.eval_every or max(1, -(-total // 10)),
        patience=options.patience,
    )


def _batch_size(blueprint: Blueprint, task: str) -> int:
    return blueprint.specs[task].batch_size or blueprint.config.trainer.batch_size
