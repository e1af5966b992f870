"""Builds a learner from a run's spec and inputs: what is updated, and with which data."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from mtl_sharing.data.tokens.batches import Batches, TrainingBatches
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.phase_settings import PhaseSettings, main_settings
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.network import HeadsOnly, Network
from mtl_sharing.objectives.aggregation import make_aggregator
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.regularizers import Regularizer, make_regularizer
from mtl_sharing.objectives.ties import make_tie
from mtl_sharing.objectives.weighting import Weighting
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.optimizer import make_optimizer
from mtl_sharing.utils.device import keep_freed_memory


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
    network = run_spec.network(architecture, inputs.tower)
    return task_learner(run_spec, inputs, network, settings)


def task_learner(
    run_spec: RunSpec, inputs: RunInputs, network: Network | HeadsOnly, settings: PhaseSettings
) -> Learner:
    """A fresh learner of the tasks, with the config's losses, regulariser and tie.

    Raises:
        UserError: a setting of one of these, or of the optimiser, that does not fit.
    """
    config, sizes = run_spec.config, settings.schedule.batch_sizes
    objectives = {name: measure.objective for name, measure in run_spec.measures.items()}
    tied = network.tied() if isinstance(network, Network) else []
    batches = {
        name: TrainingBatches(name, data, sizes[name], settings.seed)
        for name, data in inputs.train.items()
    }
    return assemble_learner(
        run_spec,
        settings,
        network,
        batches,
        objectives,
        settings.weighting(run_spec),
        make_regularizer(config.regularizer, objectives, run_spec.shape.hidden, network),
        tie=make_tie(config.sharing.tie, tied),
        surgery=make_aggregator(settings.loss, network.shared(), tuple(objectives)),
    )


def assemble_learner(
    run_spec: RunSpec,
    settings: PhaseSettings,
    network: nn.Module,
    batches: Mapping[str, Batches],
    objectives: Mapping[str, Objective],
    weighting: Weighting | None = None,
    regularizer: Regularizer | None = None,
    **options: Any,
) -> Learner:
    """A fresh learner of a network: optimiser and data from the start.

    Args:
        weighting: None takes the mean of the objectives' losses.
        regularizer: None adds no penalty.
        options: further arguments of :class:`Learner`.
    """
    keep_freed_memory()
    config = run_spec.config
    weighting = (Weighting() if weighting is None else weighting).to(run_spec.runtime.device)
    weights = list(weighting.parameters())
    return Learner(
        network=network,
        optimizer=make_optimizer(
            network, settings.optimizer, run_spec.shape.layers, weights, settings.loss.lr
        ),
        scheduler=config.scheduler,
        sampler=settings.schedule.sampler,
        epochs=settings.schedule.epochs,
        batches=batches,
        objectives=objectives,
        weighting=weighting,
        regularizer=Regularizer({}) if regularizer is None else regularizer,
        runtime=run_spec.runtime,
        clip=settings.optimizer.clip,
        accumulation=config.trainer.accumulation,
        **options,
    )
