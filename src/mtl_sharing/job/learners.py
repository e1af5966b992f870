"""Builds a learner from a run's spec and inputs: what is updated, and with which data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor, nn

from mtl_sharing.data.tokens.batches import Batches, TrainingBatches
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.phase_settings import PhaseSettings, main_settings
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.network import HeadsOnly, Network
from mtl_sharing.objectives.aggregation import GradientAggregator, make_aggregator
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.regularizers import Regularizer, make_regularizer
from mtl_sharing.objectives.ties import Tie, make_tie
from mtl_sharing.objectives.weighting import Weighting
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.optimizer import make_optimizer
from mtl_sharing.utils.device import keep_freed_memory


@dataclass(frozen=True)
class LearnerParts:
    """What a learner trains a network towards; by default the mean of the objectives' losses.

    Attributes:
        dense: weights whose gradients reach every row of a table.
    """

    batches: Mapping[str, Batches]
    objectives: Mapping[str, Objective]
    weighting: Weighting = field(default_factory=Weighting)
    regularizer: Regularizer = field(default_factory=lambda: Regularizer({}))
    tie: Tie | None = None
    surgery: GradientAggregator | None = None
    dense: Sequence[Tensor] = ()


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
    parts = task_learner_parts(run_spec, inputs, network, settings)
    return assemble_learner(run_spec, settings, network, parts)


def task_learner_parts(
    run_spec: RunSpec,
    inputs: RunInputs,
    network: Network | HeadsOnly,
    settings: PhaseSettings,
) -> LearnerParts:
    """The tasks themselves, with the losses, the regulariser and the tie of the config.

    Raises:
        UserError: a setting of one of these that does not fit.
    """
    config, sizes = run_spec.config, settings.schedule.batch_sizes
    objectives = {name: measure.objective for name, measure in run_spec.measures.items()}
    tied = network.tied() if isinstance(network, Network) else []
    return LearnerParts(
        batches={
            name: TrainingBatches(name, data, sizes[name], settings.seed)
            for name, data in inputs.train.items()
        },
        objectives=objectives,
        weighting=settings.weighting(run_spec),
        regularizer=make_regularizer(
            config.regularizer, objectives, run_spec.shape.hidden, network
        ),
        tie=make_tie(config.sharing.tie, tied),
        surgery=make_aggregator(settings.loss, network.shared(), tuple(objectives)),
    )


def assemble_learner(
    run_spec: RunSpec, settings: PhaseSettings, network: nn.Module, parts: LearnerParts
) -> Learner:
    """A fresh learner of a network: optimiser and data from the start.

    Raises:
        UserError: a setting of the optimiser that does not fit.
    """
    keep_freed_memory()
    config = run_spec.config
    weighting = parts.weighting.to(run_spec.runtime.device)
    learnt = list(weighting.parameters())
    return Learner(
        network=network,
        optimizer=make_optimizer(
            network, settings.optimizer, run_spec.shape.layers, learnt, settings.loss.lr
        ),
        scheduler=config.scheduler,
        sampler=settings.schedule.sampler,
        epochs=settings.schedule.epochs,
        batches=parts.batches,
        objectives=parts.objectives,
        weighting=weighting,
        regularizer=parts.regularizer,
        runtime=run_spec.runtime,
        clip=settings.optimizer.clip,
        accumulation=config.trainer.accumulation,
        tie=parts.tie,
        surgery=parts.surgery,
        dense=parts.dense,
    )
