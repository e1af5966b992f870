"""Measures a regime beside its baseline, by the clock or by counting operations."""

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from mtl_sharing.config import Config
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.errors import is_out_of_memory
from mtl_sharing.job.autotune import autotune
from mtl_sharing.job.description import describe_regime
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.phase_settings import PhaseSettings, by_turns, main_settings
from mtl_sharing.job.phases import make_learner
from mtl_sharing.job.result import machine
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.job.timing import PairedTimings, time_side_by_side, timed_text
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.objectives.aggregation import SUM
from mtl_sharing.run_folder.results import Result
from mtl_sharing.score.flops import (
    OperationComparison,
    OperationCounts,
    prediction_flops,
    training_flops,
)
from mtl_sharing.score.layer_flops import TextSize
from mtl_sharing.training.schedule import TrainingSchedule

log = logging.getLogger(__name__)


def measure(
    config: Config, folder: Path, load: Callable[[RunSpec, Path], RunInputs] = load_inputs
) -> Result | None:
    """Times the config's regime beside separate models without training either.

    Returns:
        The ratios of the times, the machine, and the timings as in result.json; None where both do
        not fit into memory together.

    Raises:
        UserError: a mistake in the config or the data.
    """
    run_spec = start_on_machine(resolve_spec(config))
    inputs = replace(load(run_spec, folder), tower={})
    run_spec = autotune(run_spec, inputs)
    settings = main_settings(run_spec, inputs)
    timings = time_pairs(run_spec, inputs, settings, max(1, config.score.pairs))
    if timings is None:
        return None
    ratios = {name: timings.ratio(name) for name in ("train", "predict")}
    return {"time": ratios, "machine": machine(run_spec), **timings.record()}


def time_pairs(
    run_spec: RunSpec, inputs: RunInputs, settings: PhaseSettings, pairs: int
) -> PairedTimings | None:
    """Interleaved timings of the spec's regime and its baseline on its own data.

    None, with a warning, where both do not fit into memory together.
    """
    architecture, unshared = run_spec.architecture, run_spec.baseline
    regime = describe_regime(run_spec)
    log.info("measuring %s and the baseline %s side by side", regime, unshared.plan)
    # Random weights cost the same as others. No states from a cache: what is cached here must
    # not decide the score.
    inputs = replace(inputs, tower=random_tower(run_spec.shape, run_spec.config.seed))
    settings, turns = by_turns(run_spec, settings)
    # Separate models are their own baseline, which is timed once.
    both = [architecture] if architecture == unshared else [architecture, unshared]
    makers = [partial(make_learner, run_spec, inputs, timed, settings) for timed in both]
    try:
        return time_side_by_side(makers, timed_text(inputs.dev), pairs, turns)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        log.warning("the baseline does not fit into memory beside the regime: no score")
        return None


def count_operations(
    run_spec: RunSpec, inputs: RunInputs, schedule: TrainingSchedule
) -> OperationComparison:
    """Counts the operations of the regime and of its baseline without running either.

    Training counts a batch of every task, as a measured turn takes one of each, whatever share the
    sampler gives them. So both clocks compare the same work.
    """
    counted, batches = list(schedule.sizes), schedule.batch_sizes
    texts = {task: _size(inputs.train[task]) for task in counted}
    examples = {task: len(inputs.train[task]) for task in counted}
    dev_text = TextSize.of(timed_text(inputs.dev).lengths)

    def operations_of(architecture: Architecture) -> OperationCounts:
        groups = None if _joint(run_spec) else [(task,) for task in texts]
        totals = training_flops(architecture, texts, groups)
        by_task = {task: totals[task] / examples[task] for task in counted}
        step = sum(by_task[task] * batches[task] for task in counted)
        per_example = step / sum(batches[task] for task in counted)
        predicted = prediction_flops(architecture, dev_text)
        return OperationCounts(per_example, by_task, predicted, predicted / dev_text.sequences)

    return OperationComparison(
        operations_of(run_spec.architecture), operations_of(run_spec.baseline)
    )


def _size(data: EncodedTask) -> TextSize:
    parts = [data.first] if data.second is None else [data.first, data.second]
    return TextSize.of([length for part in parts for length in part.lengths.tolist()])


def _joint(run_spec: RunSpec) -> bool:
    """Whether a measured step takes the tasks of a component through the network at once."""
    loss = run_spec.config.loss
    summed = loss.aggregation == SUM and loss.cosines == "none"
    return run_spec.config.sampler.name == "unified" and summed
