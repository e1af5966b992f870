"""From the config to the phases of a training, and the trainer that runs through them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.build import evaluation_interval, learner_of, training_steps
from mtl_sharing.config import Config
from mtl_sharing.material import Material
from mtl_sharing.model.network import HeadsOnly, Network
from mtl_sharing.run.learner import Learner
from mtl_sharing.run.phases import MAIN, Phase
from mtl_sharing.run.settings import PhaseConfig
from mtl_sharing.run.trainer import Trainer

# Makes a phase's learner over the run's network, with the settings of its own.
Maker = Callable[[Blueprint, Material, Network, PhaseConfig], Learner]


def make_trainer(blueprint: Blueprint, material: Material, folder: Path) -> Trainer:
    """The trainer of the blueprint's plan, which keeps its state in ``folder``.

    Raises:
        UserError: a setting of a phase, of optimiser, sampler or loss that does not fit.
    """
    options, seed = blueprint.config.trainer, blueprint.config.seed
    network = blueprint.network(blueprint.architecture, material.tower)
    # The network has copies of its own; what training needs no more makes room for it.
    material = replace(material, tower={})
    return Trainer(
        network=network,
        phases=make_phases(blueprint, material, network),
        dev={name: data.sample(options.eval_examples, seed) for name, data in material.dev.items()},
        measures=blueprint.measures,
        runtime=blueprint.runtime,
        folder=folder,
    )


def make_phases(blueprint: Blueprint, material: Material, network: Network) -> list[Phase]:
    """The phases before the main training, it, and those after."""
    chosen = blueprint.config.phases
    main = _main(blueprint, material, network)
    before = [_phase(n, c, blueprint, material, network) for n, c in chosen.items() if not _late(c)]
    after = [_phase(n, c, blueprint, material, network) for n, c in chosen.items() if _late(c)]
    return [*before, main, *after]


def _late(config: PhaseConfig) -> bool:
    return config.when == "after"


def _main(blueprint: Blueprint, material: Material, network: Network) -> Phase:
    total = training_steps(blueprint, material)
    return Phase(
        name=MAIN,
        make=lambda: learner_of(blueprint, material, network.encoder_requires_grad_(True)),
        total=total,
        eval_every=evaluation_interval(blueprint, total),
        patience=blueprint.config.trainer.patience,
    )


def _phase(
    name: str, config: PhaseConfig, blueprint: Blueprint, material: Material, network: Network
) -> Phase:
    own = replace(blueprint, config=phase_settings(blueprint, config))
    total = training_steps(own, material)
    make = MAKERS[config.kind]
    return Phase(
        name=name,
        make=lambda: make(own, material, network, config),
        total=total,
        eval_every=max(1, -(-total // 10)),
        judged=_late(config),
    )


def phase_settings(blueprint: Blueprint, phase: PhaseConfig) -> Config:
    """The run's config with what a phase sets for itself."""
    config = blueprint.config
    trainer = replace(
        config.trainer,
        max_steps=phase.steps,
        epochs=phase.epochs,
        steps_per_epoch=None,
        batch_size=phase.batch_size or config.trainer.batch_size,
    )
    optimizer = config.optimizer
    if phase.lr is not None:
        optimizer = replace(optimizer, lr=phase.lr, head_lr=None)
    sampler = replace(config.sampler, name=phase.sampler or config.sampler.name)
    return replace(config, trainer=trainer, optimizer=optimizer, sampler=sampler)


def _tasks(
    blueprint: Blueprint, material: Material, network: Network, phase: PhaseConfig
) -> Learner:
    if phase.frozen:
        return learner_of(blueprint, material, HeadsOnly(network))
    return learner_of(blueprint, material, network.encoder_requires_grad_(True))


# A maker for each of run.settings.PHASE_KINDS.
MAKERS: dict[str, Maker] = {"tasks": _tasks}
