"""From the config to the phases of a training, and the trainer that runs through them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from zlib import crc32

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.build import (
    Aim,
    batch_size,
    evaluation_interval,
    learner_of,
    tasks_aim,
    training_steps,
)
from mtl_sharing.data.batches import TrainingBatches
from mtl_sharing.data.masking import MaskedBatches
from mtl_sharing.errors import UserError
from mtl_sharing.material import Material
from mtl_sharing.model.mlm_head import MaskedLanguageModel, load_mlm_head
from mtl_sharing.model.network import HeadsOnly, Network
from mtl_sharing.model.pair_embeddings import PairEmbeddings
from mtl_sharing.model.sources import checkpoint_folder, weight_file
from mtl_sharing.objectives.pretraining import MaskedTokens, ranked_pairs
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.run.learner import Learner
from mtl_sharing.run.phases import MAIN, Phase
from mtl_sharing.run.settings import PhaseConfig
from mtl_sharing.run.trainer import Trainer


def make_trainer(blueprint: Blueprint, material: Material, folder: Path) -> Trainer:
    """The trainer of the blueprint's plan, which keeps its state in ``folder``.

    Raises:
        UserError: a setting of a phase, of optimiser, sampler or loss that does not fit.
    """
    options, seed = blueprint.config.trainer, blueprint.config.seed
    network = blueprint.network(blueprint.architecture, material.tower)
    # The network has copies of its own; what training needs no more makes room for it.
    material = replace(material, tower={})
    split, watched = material.watched
    return Trainer(
        network=network,
        phases=make_phases(blueprint, material, network),
        watched={name: data.sample(options.eval_examples, seed) for name, data in watched.items()},
        measures=blueprint.measures,
        runtime=blueprint.runtime,
        folder=folder,
        split=split,
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
        make=lambda: _tasks(blueprint, material, network, PhaseConfig()),
        total=total,
        eval_every=evaluation_interval(blueprint, total),
        patience=blueprint.config.trainer.patience,
    )


def _phase(
    name: str, config: PhaseConfig, blueprint: Blueprint, material: Material, network: Network
) -> Phase:
    _check_effect(f"phases.{name}", config, network)
    text = _text(material, config)
    own = phase_blueprint(name, blueprint, config, text)
    total = training_steps(own, text)
    make = MAKERS[config.kind]
    return Phase(
        name=name,
        make=lambda: make(own, text, network, config),
        total=total,
        eval_every=evaluation_interval(own, total),
        judged=_late(config),
    )


def _check_effect(where: str, phase: PhaseConfig, network: Network) -> None:
    """Raises UserError for a phase that would train no weight of the network."""
    heads = [w for n, w in network.named_parameters() if not n.startswith("encoder.")]
    trains = any(weight.requires_grad for weight in network.encoder.parameters())
    if phase.kind == "tasks" and phase.frozen and not heads:
        raise UserError(f"{where}.frozen", "true, and no head has weights", "false")
    if phase.kind != "tasks" and not trains:
        raise UserError(f"{where}.kind", phase.kind, "tasks, since all of the encoder is frozen")


def _text(material: Material, phase: PhaseConfig) -> Material:
    """What the phase trains on: a ranking on the positive pairs of its task alone."""
    if phase.kind != "ranking":
        return material
    assert phase.task is not None  # checked with the settings
    return replace(material, train={phase.task: material.pairs[phase.task]})


def phase_blueprint(
    name: str, blueprint: Blueprint, phase: PhaseConfig, material: Material
) -> Blueprint:
    """The blueprint with what a phase sets for itself, and a seed of its own.

    Only a phase of the tasks knows the losses that ``loss`` weighs.

    Args:
        material: what the phase trains on.
    """
    config, specs = blueprint.config, blueprint.specs
    trainer = replace(
        config.trainer, max_steps=phase.steps, epochs=phase.epochs, steps_per_epoch=None
    )
    if phase.batch_size is not None:
        trainer = replace(trainer, batch_size=phase.batch_size)
        specs = {task: replace(spec, batch_size=None) for task, spec in specs.items()}
    optimizer = config.optimizer
    if phase.lr is not None:
        optimizer = replace(optimizer, lr=phase.lr, head_lr=None)
    sampler = replace(config.sampler, name=phase.sampler or config.sampler.name)
    seed = crc32(f"{config.seed}/{name}".encode())
    own = replace(
        config,
        seed=seed,
        trainer=trainer,
        optimizer=optimizer,
        sampler=sampler,
        loss=config.loss if phase.kind == "tasks" else LossConfig(),
    )
    return _cut(replace(blueprint, config=own, specs=specs), material, config.trainer.max_steps)


def _cut(blueprint: Blueprint, material: Material, most: int | None) -> Blueprint:
    """A phase's blueprint with no more steps than the main training may have.

    Those that it sets for itself stay. Its epochs become shorter and keep their number, so that its
    sampler still runs its whole course.
    """
    config = blueprint.config
    if most is None or config.trainer.max_steps is not None:
        return blueprint
    steps = min(most, training_steps(blueprint, material))
    return replace(
        blueprint, config=replace(config, trainer=replace(config.trainer, max_steps=steps))
    )


def _tasks(
    blueprint: Blueprint, material: Material, network: Network, phase: PhaseConfig
) -> Learner:
    network.encoder_requires_grad_(True)
    trained = HeadsOnly(network) if phase.frozen else network
    return learner_of(blueprint, material, trained, tasks_aim(blueprint, material, trained))


def _masked_lm(
    blueprint: Blueprint, material: Material, network: Network, phase: PhaseConfig
) -> Learner:
    source, seed = blueprint.config.encoder.checkpoint, blueprint.config.seed
    path = None if source is None else weight_file(checkpoint_folder(source))
    head = None if path is None else load_mlm_head(path, blueprint.shape)
    network.encoder_requires_grad_(True)
    model = MaskedLanguageModel(network, head, seed).to(blueprint.runtime.device)
    vocabulary = material.vocabulary
    assert vocabulary is not None  # read for this phase
    batches = {
        name: MaskedBatches(
            name, data, batch_size(blueprint, name), seed, vocabulary,
            phase.rate, phase.whole_word, phase.second,
        )
        for name, data in material.train.items()
    }  # fmt: skip
    objective = MaskedTokens(blueprint.shape.vocabulary)
    aim = Aim(batches, dict.fromkeys(batches, objective), dense=model.tables())
    return learner_of(blueprint, material, model, aim)


def _ranking(
    blueprint: Blueprint, material: Material, network: Network, phase: PhaseConfig
) -> Learner:
    ((task, pairs),) = material.train.items()
    network.encoder_requires_grad_(True)
    batches = TrainingBatches(task, pairs, batch_size(blueprint, task), blueprint.config.seed)
    objective = ranked_pairs("phases", blueprint.shape.hidden, phase.similarity, phase.scale)
    aim = Aim({task: batches}, {task: objective})
    return learner_of(blueprint, material, PairEmbeddings(network), aim)


# Makes a phase's learner over the run's network; one for each of run.settings.PHASE_KINDS.
MAKERS: dict[str, Callable[[Blueprint, Material, Network, PhaseConfig], Learner]] = {
    "tasks": _tasks,
    "masked_lm": _masked_lm,
    "ranking": _ranking,
}
