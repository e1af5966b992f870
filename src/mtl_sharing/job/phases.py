"""Builds learners, the phases of a training, and the trainer that runs through them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from mtl_sharing.batch import Ladder
from mtl_sharing.data.tokens.batches import (
    Batches,
    EncodedTask,
    TrainingBatches,
    training_ladder,
)
from mtl_sharing.data.tokens.masking import MaskedBatches
from mtl_sharing.errors import UserError
from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.phase_settings import (
    PhaseSettings,
    main_settings,
    make_phase_settings,
    task_weighting,
    train_data,
)
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder, weight_file
from mtl_sharing.model.network import HeadsOnly, Network, PhaseNetwork
from mtl_sharing.model.pretraining import MaskedLanguageModel, PairEmbeddings, load_mlm_head
from mtl_sharing.objectives.aggregation import make_aggregator
from mtl_sharing.objectives.distillation import make_distillation
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.pretraining import MaskedTokens, ranked_pairs
from mtl_sharing.objectives.regularizers import Regularizer, make_regularizer
from mtl_sharing.objectives.ties import make_tie
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.training.component import Component
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.optimizer import make_optimizer
from mtl_sharing.training.phases import Phase
from mtl_sharing.training.settings import PhaseConfig
from mtl_sharing.training.trainer import Trainer
from mtl_sharing.utils.device import keep_freed_memory


def make_trainer(
    run_spec: RunSpec,
    inputs: RunInputs,
    folder: Path,
    settings: Sequence[PhaseSettings] | None = None,
    on_evaluation: Callable[[float, Evaluation], None] | None = None,
    on_row: Callable[[Mapping[str, Any]], None] | None = None,
) -> Trainer:
    """The trainer of the spec's plan, which keeps its state in ``folder``.

    Args:
        settings: of all phases in their order; None makes them from the spec.
        on_evaluation, on_row: see :class:`Trainer`.

    Raises:
        UserError: a setting of a phase, of optimiser, sampler or loss that does not fit.
    """
    options, seed = run_spec.config.trainer, run_spec.config.seed
    settings = make_phase_settings(run_spec, inputs) if settings is None else settings
    network = run_spec.network(run_spec.architecture, inputs.tower)
    # The network has copies of its own; what training needs no more makes room for it.
    inputs = replace(inputs, tower={})
    split, examples = inputs.eval_split
    return Trainer(
        network=network,
        phases=[make_phase(phase, run_spec, inputs, network) for phase in settings],
        eval_data={
            name: data.sample(options.eval_examples, seed) for name, data in examples.items()
        },
        measures=run_spec.measures,
        runtime=run_spec.runtime,
        folder=folder,
        split=split,
        on_evaluation=on_evaluation,
        on_row=on_row,
    )


def make_phase(
    settings: PhaseSettings, run_spec: RunSpec, inputs: RunInputs, network: Network
) -> Phase:
    """A phase of the training, or the main training itself.

    Raises:
        UserError: a phase that would train no weight of the network.
    """
    is_main = settings.name == MAIN
    if not is_main:
        _check_effect(f"phases.{settings.name}", settings.options, network)
    make = MAKERS[settings.options.kind]
    return Phase(
        name=settings.name,
        make_learner=lambda: make(run_spec, inputs, network, settings),
        total=settings.schedule.steps,
        eval_every=settings.schedule.eval_every,
        evaluated=is_main or settings.is_late,
        patience=run_spec.config.trainer.patience if is_main else None,
    )


def _check_effect(where: str, phase: PhaseConfig, network: Network) -> None:
    """Raises UserError for a phase that would train no weight of the network."""
    heads = [w for n, w in network.named_parameters() if not n.startswith("encoder.")]
    trains = any(weight.requires_grad for weight in network.encoder.parameters())
    if phase.kind == "tasks" and phase.frozen and not heads:
        raise UserError(f"{where}.frozen", "true, and no head has weights", "false")
    if phase.kind != "tasks" and not trains:
        raise UserError(f"{where}.kind", phase.kind, "tasks, since all of the encoder is frozen")


def _tasks(
    run_spec: RunSpec, inputs: RunInputs, network: Network, settings: PhaseSettings
) -> Learner:
    network.encoder_requires_grad_(True)
    trained = HeadsOnly(network) if settings.options.frozen else network
    return task_learner(run_spec, inputs, trained, settings)


def _masked_lm(
    run_spec: RunSpec, inputs: RunInputs, network: Network, settings: PhaseSettings
) -> Learner:
    source, options = run_spec.config.encoder.checkpoint, settings.options
    path = None if source is None else weight_file(checkpoint_folder(source))
    head = None if path is None else load_mlm_head(path, run_spec.shape)
    network.encoder_requires_grad_(True)
    model = MaskedLanguageModel(network, head, settings.seed).to(run_spec.runtime.device)
    vocabulary = inputs.vocabulary
    assert vocabulary is not None  # read for this phase
    ladders = _ladders(run_spec, network, inputs.train, settings)
    batches = {
        name: MaskedBatches(
            name, data, settings.schedule.batch_sizes[name], settings.seed, vocabulary,
            options.rate, options.whole_word, options.second,
            ladders[name], run_spec.runtime.steady,
        )
        for name, data in inputs.train.items()
    }  # fmt: skip
    objective = MaskedTokens(run_spec.shape.vocabulary)
    objectives = dict.fromkeys(batches, objective)
    return assemble_learner(run_spec, settings, model, batches, objectives, dense=model.tables())


def _ranking(
    run_spec: RunSpec, inputs: RunInputs, network: Network, settings: PhaseSettings
) -> Learner:
    options = settings.options
    ((task, pairs),) = train_data(options, inputs).items()
    network.encoder_requires_grad_(True)
    size, steady = settings.schedule.batch_sizes[task], run_spec.runtime.steady
    ladders = _ladders(run_spec, network, {task: pairs}, settings)
    batches = TrainingBatches(task, pairs, size, settings.seed, ladders[task], steady)
    objective = ranked_pairs("phases", run_spec.shape.hidden, options.similarity, options.scale)
    model = PairEmbeddings(network)
    return assemble_learner(run_spec, settings, model, {task: batches}, {task: objective})


def make_learner(
    run_spec: RunSpec,
    inputs: RunInputs,
    architecture: Architecture,
    settings: PhaseSettings | None = None,
) -> Learner:
    """A learner of all tasks, over a fresh network of ``architecture``.

    Args:
        settings: None takes the main training's.
    """
    settings = main_settings(run_spec, inputs) if settings is None else settings
    return task_learner(run_spec, inputs, run_spec.network(architecture, inputs.tower), settings)


def task_learner(
    run_spec: RunSpec, inputs: RunInputs, network: Network | PhaseNetwork, settings: PhaseSettings
) -> Learner:
    """A fresh learner of the tasks, with the config's losses, regulariser and tie.

    Raises:
        UserError: a setting of one of these, or of the optimiser, that does not fit.
    """
    config, sizes = run_spec.config, settings.schedule.batch_sizes
    objectives = {name: measure.objective for name, measure in run_spec.measures.items()}
    ladders, steady = _ladders(run_spec, network, inputs.train, settings), run_spec.runtime.steady
    batches = {
        name: TrainingBatches(name, data, sizes[name], settings.seed, ladders[name], steady)
        for name, data in inputs.train.items()
    }
    regularizer = make_regularizer(config.regularizer, objectives, run_spec.shape.hidden, network)
    return assemble_learner(run_spec, settings, network, batches, objectives, regularizer)


def _ladders(
    run_spec: RunSpec,
    network: Network | PhaseNetwork,
    data: Mapping[str, EncodedTask],
    settings: PhaseSettings,
) -> dict[str, Ladder | None]:
    """The sizes of each task's batches in a phase; None where any size will do.

    Tasks that train together have one ladder. Others have their own, as they would alone.
    """
    if not run_spec.runtime.composed:
        return dict.fromkeys(data)
    sizes, ladders = settings.schedule.batch_sizes, dict[str, Ladder | None]()
    for tasks in network.architecture.components():
        own = [task for task in tasks if task in data]
        if own:
            ladders |= dict.fromkeys(own, training_ladder((data[t], sizes[t]) for t in own))
    return ladders


def assemble_learner(
    run_spec: RunSpec,
    settings: PhaseSettings,
    network: Network | PhaseNetwork,
    batches: Mapping[str, Batches],
    objectives: Mapping[str, Objective],
    regularizer: Regularizer | None = None,
    dense: Iterable[Tensor] = (),
) -> Learner:
    """A fresh learner of a network: optimisers and data from the start.

    Args:
        regularizer: None adds no penalty.
        dense: see :class:`Learner`.
    """
    keep_freed_memory()
    config, schedule = run_spec.config, settings.schedule
    return Learner(
        network=network,
        components=_make_components(run_spec, settings, network),
        scheduler=config.scheduler,
        sampler=schedule.sampler,
        epochs=schedule.epochs,
        batches=batches,
        objectives=objectives,
        regularizer=Regularizer({}) if regularizer is None else regularizer,
        runtime=run_spec.runtime,
        accumulation=config.trainer.accumulation,
        seed=settings.seed,
        dense=dense,
        distillation=make_distillation(config.distillation),
    )


def _make_components(
    run_spec: RunSpec, settings: PhaseSettings, network: Network | PhaseNetwork
) -> list[Component]:
    """The components of a network that have weights to train.

    Raises:
        UserError: nothing trains, or a setting of the optimiser is out of range.
    """
    owners, components = network.owners(), []
    for tasks in network.architecture.components():
        trained = [
            (name.removeprefix("network."), weight)  # a phase may wrap the network
            for name, weight in network.named_parameters()
            if weight.requires_grad and set(owners[name]) & set(tasks)
        ]
        if trained:
            components.append(_make_component(run_spec, settings, network, tasks, trained))
    if not components:
        raise UserError("sharing.plan", "no weight that trains", "at least one S, I, G or T stage")
    return components


def _make_component(
    run_spec: RunSpec, settings: PhaseSettings, network: Network | PhaseNetwork,
    tasks: tuple[str, ...], trained: Sequence[tuple[str, nn.Parameter]],
) -> Component:  # fmt: skip
    """The component of these tasks and weights."""
    loss, own = settings.loss, {id(weight) for _, weight in trained}
    weighting = task_weighting(loss, run_spec, settings.seed, tasks).to(run_spec.runtime.device)
    stages = {
        stage: [weight for weight in weights if id(weight) in own]
        for stage, weights in network.shared().items()
    }
    shared = {stage: weights for stage, weights in stages.items() if weights}
    tied = network.tied()
    return Component(
        tasks=tasks,
        optimizer=make_optimizer(
            trained, settings.optimizer, run_spec.shape.layers,
            list(weighting.parameters()), loss.lr,
        ),
        weighting=weighting,
        clip=settings.optimizer.clip,
        tie=make_tie(run_spec.config.sharing.tie, tied) if tied else None,
        surgery=make_aggregator(loss, shared, tasks),
    )  # fmt: skip


# Makes a phase's learner over the run's network, for each of training.settings.PHASE_KINDS.
MAKERS: dict[str, Callable[[RunSpec, RunInputs, Network, PhaseSettings], Learner]] = {
    "tasks": _tasks,
    "masked_lm": _masked_lm,
    "ranking": _ranking,
}
