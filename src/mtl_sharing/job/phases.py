"""Builds the phases of a training, and the trainer that runs through them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mtl_sharing.data.tokens.batches import TrainingBatches
from mtl_sharing.data.tokens.masking import MaskedBatches
from mtl_sharing.errors import UserError
from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.learners import assemble_learner, task_learner
from mtl_sharing.job.phase_settings import PhaseSettings, make_phase_settings
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder, weight_file
from mtl_sharing.model.network import HeadsOnly, Network
from mtl_sharing.model.pretraining import MaskedLanguageModel, PairEmbeddings, load_mlm_head
from mtl_sharing.objectives.pretraining import MaskedTokens, ranked_pairs
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.phases import Phase
from mtl_sharing.training.settings import PhaseConfig
from mtl_sharing.training.trainer import Trainer


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
    batches = {
        name: MaskedBatches(
            name, data, settings.schedule.batch_sizes[name], settings.seed, vocabulary,
            options.rate, options.whole_word, options.second,
        )
        for name, data in inputs.train.items()
    }  # fmt: skip
    objective = MaskedTokens(run_spec.shape.vocabulary)
    objectives = dict.fromkeys(batches, objective)
    return assemble_learner(run_spec, settings, model, batches, objectives, dense=model.tables())


def _ranking(
    run_spec: RunSpec, inputs: RunInputs, network: Network, settings: PhaseSettings
) -> Learner:
    ((task, pairs),) = settings.train_data(inputs).items()
    options = settings.options
    network.encoder_requires_grad_(True)
    batches = TrainingBatches(task, pairs, settings.schedule.batch_sizes[task], settings.seed)
    objective = ranked_pairs("phases", run_spec.shape.hidden, options.similarity, options.scale)
    model = PairEmbeddings(network)
    return assemble_learner(run_spec, settings, model, {task: batches}, {task: objective})


# Makes a phase's learner over the run's network, for each of training.settings.PHASE_KINDS.
MAKERS: dict[str, Callable[[RunSpec, RunInputs, Network, PhaseSettings], Learner]] = {
    "tasks": _tasks,
    "masked_lm": _masked_lm,
    "ranking": _ranking,
}
