"""Builds the parts of result.json: scores, times, the held-out selection, the machine."""

import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace

import torch

from mtl_sharing.config.interpolations import hide
from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.job.phase_settings import PhaseSettings
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.job.timing import PairedTimings
from mtl_sharing.run_folder.results import Result
from mtl_sharing.score.flops import OperationComparison
from mtl_sharing.score.objectives import Multipliers, keep_objective, saved_cost, weighted_score
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.performance import kept, kept_above_floor, tasks_at_floor
from mtl_sharing.score.reference import SEPARATE, UNTUNED, Reference, task_changes
from mtl_sharing.training.phases import Timing
from mtl_sharing.utils.device import device_name


def scores(
    run_spec: RunSpec,
    evaluation: Evaluation,
    timings: PairedTimings | None,
    operations: OperationComparison,
    references: Mapping[str, Reference],
) -> Result:
    """The score, its factors, and the objectives beside it.

    Args:
        timings: of regime and baseline; None leaves every score null that needs them.
        operations: of both.
        references: fully trained separate models, without which ``kept`` is null, and others, by
            kind.
    """
    config = run_spec.config.score
    performance = (
        evaluation.performance if config.pearson == "unit" else evaluation.performance_raw_r
    )
    separate = references.get(SEPARATE)
    reference = None if separate is None else separate.performance
    if run_spec.is_separate:
        separate, reference = None, performance
    share = kept(performance, reference)
    floor = evaluation.floor_performance(config.pearson)
    weighted = keep = baseline = None
    saved = multipliers(run_spec, timings, operations)
    if saved is not None:
        exponents = config.memory_exponent, config.time_exponent
        weighted = weighted_score(performance, saved, *exponents)
        if reference is not None:
            at_floor = len(tasks_at_floor(evaluation.tasks))
            keep = keep_objective(share, config.keep, saved_cost(saved, *exponents), at_floor)
        baseline = _baseline(run_spec, timings, operations)
    return {
        "score": weighted,
        "kept": share,
        "kept_above_floor": kept_above_floor(performance, reference, floor),
        "floor_performance": evaluation.floor_performance("unit"),
        "floor_performance_raw_r": evaluation.floor_performance("raw"),
        "at_floor": tasks_at_floor(evaluation.tasks),
        **_compare(run_spec, {SEPARATE: separate, UNTUNED: references.get(UNTUNED)}, evaluation),
        "objectives": {"weighted": weighted, "keep": keep, "performance": performance},
        "multipliers": None if saved is None else asdict(saved),
        "baseline": baseline,
        "flops": asdict(operations.regime),
        "scored_by": run_spec.settings["score"],
    }


def _compare(
    run_spec: RunSpec, references: Mapping[str, Reference | None], evaluation: Evaluation
) -> Result:
    """The origin of each reference's metrics, and the run's changes against them in percent."""

    def record(kind: str) -> Result | None:
        reference = references[kind]
        if reference is None or reference.folder is None:
            return None if reference is None else reference.record()
        return replace(reference, folder=hide(reference.folder, run_spec.hidden)).record()

    return {
        "reference": record(SEPARATE),
        "untuned": record(UNTUNED),
        "against": {
            kind: task_changes(evaluation.tasks, reference.tasks)
            for kind, reference in references.items()
            if reference is not None and reference.tasks
        },
    }


def _baseline(
    run_spec: RunSpec, timings: PairedTimings | None, operations: OperationComparison
) -> Result:
    cost = plan_cost(run_spec.baseline)
    record = {
        "plan": str(run_spec.baseline.plan),
        "params": cost.summary(),
        "model_bytes": cost.model_bytes,
        "flops": asdict(operations.baseline),
    }
    return record if timings is None else record | timings.record()


def multipliers(
    run_spec: RunSpec, timings: PairedTimings | None, operations: OperationComparison
) -> Multipliers | None:
    """Memory and time saved, by the config's clock; None where that clock did not run."""
    config, regime, unshared = run_spec.config.score, run_spec.architecture, run_spec.baseline
    memory = plan_cost(unshared).model_bytes / plan_cost(regime).model_bytes
    if config.clock == "flops":
        return Multipliers(memory, operations.ratio(config.time))
    if timings is None:
        return None
    if regime == unshared:
        return Multipliers(1.0, 1.0)
    if config.memory == "peak_train":
        memory = timings.peak_train_bytes[1] / timings.peak_train_bytes[0]
    return Multipliers(memory, timings.ratio(config.time))


def times(
    timing: Timing, epoch_steps: float, frozen_s: float, timings: PairedTimings | None
) -> Result:
    """The ``time`` node of result.json, in seconds.

    Args:
        epoch_steps: updates of an epoch.
        frozen_s: seconds spent on the states of frozen layers.
        timings: of regime and baseline, where they were timed.
    """
    return {
        "train_s": timing.train_s,
        "phases_s": timing.phases_s,
        "frozen_s": frozen_s,
        "step_s": timing.step_s,
        "epoch_steps": epoch_steps,
        "epoch_s": None if timing.step_s is None else timing.step_s * epoch_steps,
        "examples_per_s": timing.examples_per_s,
        "predict_all_s": timings.seconds("predict", baseline=False) if timings else None,
    }


def selection_record(evaluation: Evaluation | None) -> Result | None:
    """The metrics on the held-out part of train; None where nothing is held out."""
    if evaluation is None:
        return None
    names = ("metric", "value", "floor", "loss", "examples", "undefined")
    return {
        "performance": evaluation.performance,
        "performance_raw_r": evaluation.performance_raw_r,
        "floor_performance": evaluation.floor_performance("unit"),
        "floor_performance_raw_r": evaluation.floor_performance("raw"),
        "tasks": {
            task: {name: metrics[name] for name in names}
            for task, metrics in evaluation.tasks.items()
        },
    }


def untrained_tasks(tasks: Iterable[str], settings: Iterable[PhaseSettings]) -> list[str]:
    """The tasks that no phase trains, since their loss has no weight."""
    phases = [phase for phase in settings if phase.options.kind == "tasks"]
    trained = {task for phase in phases for task in phase.schedule.sizes}
    return [task for task in tasks if task not in trained]


def machine(run_spec: RunSpec) -> Result:
    """The hardware and precision of the run."""
    runtime = run_spec.runtime
    return {
        "device": device_name(runtime.device),
        "threads": torch.get_num_threads(),
        "precision": runtime.precision,
        "system": platform.platform(),
    }
