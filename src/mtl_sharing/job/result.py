"""What a run writes about itself: the contents of plan.json, config.json and result.json."""

import platform
from collections.abc import Mapping
from dataclasses import asdict

import torch

from mtl_sharing.evaluation.evaluate import Evaluation
from mtl_sharing.job.measurement import OperationComparison
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.job.timing import PairedTimings
from mtl_sharing.run_folder.results import Result
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.reference import SEPARATE, UNTUNED, Reference, task_changes
from mtl_sharing.score.score import Multipliers, keep_objective, saved_cost, weighted_score
from mtl_sharing.training.phases import Timing


def scores(
    run_spec: RunSpec,
    found: Evaluation,
    measured: PairedTimings | None,
    counted: OperationComparison,
    references: Mapping[str, Reference],
) -> Result:
    """The score, what it is made of, and the objectives that stand beside it.

    Args:
        measured: cost of regime and baseline; None leaves every score null that needs it.
        counted: operations of both.
        references: separate models, fully trained, without which ``kept`` is null, and others, by
            what they are.
    """
    config = run_spec.config.score
    performance = found.performance if config.pearson == "unit" else found.performance_raw_r
    separate = references.get(SEPARATE)
    reference = None if separate is None else separate.performance
    if run_spec.architecture == run_spec.baseline:
        separate, reference = None, performance
    kept = None if reference is None else performance / reference
    weighted = keep = baseline = None
    saved = multipliers(run_spec, measured, counted)
    if saved is not None:
        exponents = config.memory_exponent, config.time_exponent
        weighted = weighted_score(performance, saved, *exponents)
        keep = (
            None
            if kept is None
            else keep_objective(kept, config.keep, saved_cost(saved, *exponents))
        )
        baseline = _baseline(run_spec, measured, counted)
    return {
        "score": weighted,
        "kept": kept,
        **_held_against({SEPARATE: separate, UNTUNED: references.get(UNTUNED)}, found),
        "objectives": {"weighted": weighted, "keep": keep, "performance": performance},
        "multipliers": None if saved is None else asdict(saved),
        "baseline": baseline,
        "flops": counted.regime.record(),
        "scored_by": asdict(config),
    }


def _held_against(references: Mapping[str, Reference | None], found: Evaluation) -> Result:
    """Where the figures of each baseline come from, and by how many percent the run's differ."""
    known = {name: each for name, each in references.items() if each is not None and each.tasks}
    given = {name: None if r is None else r.record() for name, r in references.items()}
    return {
        "reference": given[SEPARATE],
        "untuned": given[UNTUNED],
        "against": {name: task_changes(found.tasks, each.tasks) for name, each in known.items()},
    }


def _baseline(
    run_spec: RunSpec, measured: PairedTimings | None, counted: OperationComparison
) -> Result:
    cost = plan_cost(run_spec.baseline)
    sizes = {"params": cost.summary(), "model_bytes": cost.model_bytes}
    found = {"plan": str(run_spec.baseline.plan)} | sizes | {"flops": counted.baseline.record()}
    return found if measured is None else found | measured.record()


def multipliers(
    run_spec: RunSpec, measured: PairedTimings | None, counted: OperationComparison
) -> Multipliers | None:
    """By the clock of the config; None where that one did not run."""
    config, regime, unshared = run_spec.config.score, run_spec.architecture, run_spec.baseline
    memory = plan_cost(unshared).model_bytes / plan_cost(regime).model_bytes
    if config.clock == "flops":
        return Multipliers(memory, counted.ratio(config.time))
    if measured is None:
        return None
    if regime == unshared:
        return Multipliers(1.0, 1.0)
    if config.memory == "peak_train":
        memory = measured.peak_train_bytes[1] / measured.peak_train_bytes[0]
    return Multipliers(memory, measured.ratio(config.time))


def times(
    timing: Timing, epoch_steps: float, frozen_s: float, measured: PairedTimings | None
) -> Result:
    """The ``time`` node of result.json, in seconds.

    Args:
        epoch_steps: updates of an epoch, which ``epoch_s`` takes at ``step_s`` each.
        frozen_s: for the states of frozen layers.
    """
    return {
        "train_s": timing.train_s,
        "phases_s": timing.phases_s,
        "frozen_s": frozen_s,
        "step_s": timing.step_s,
        "epoch_steps": epoch_steps,
        "epoch_s": None if timing.step_s is None else timing.step_s * epoch_steps,
        "examples_per_s": timing.examples_per_s,
        "predict_all_s": measured.seconds("predict", baseline=False) if measured else None,
    }


def selection_record(found: Evaluation | None) -> Result | None:
    """What the best weights reach on the held-out part of train; None where nothing is held out."""
    if found is None:
        return None
    figures = ("metric", "value", "loss", "examples")
    return {
        "performance": found.performance,
        "performance_raw_r": found.performance_raw_r,
        "tasks": {name: {f: task[f] for f in figures} for name, task in found.tasks.items()},
    }


def machine(run_spec: RunSpec) -> Result:
    """What the run ran on."""
    runtime = run_spec.runtime
    cuda = runtime.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "precision": runtime.precision,
        "system": platform.platform(),
    }
