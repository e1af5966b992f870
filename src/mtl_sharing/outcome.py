"""What a run writes about itself: the contents of plan.json, config.json and result.json."""

import platform
from dataclasses import asdict
from typing import Any

import torch

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.run.evaluate import Evaluation
from mtl_sharing.score.calibrate import Calibration
from mtl_sharing.score.score import Multipliers, keep_objective, saved_cost, weighted_score

SCHEMA = 1

Result = dict[str, Any]


def plan_record(blueprint: Blueprint) -> Result:
    """The content of plan.json: who owns which stage, and what it costs."""
    cost, baseline = blueprint.cost(blueprint.plan), blueprint.cost(blueprint.baseline_plan)
    return {
        "schema": SCHEMA,
        "plan": str(blueprint.plan),
        "tasks": list(blueprint.plan.tasks),
        "encoder": asdict(blueprint.shape),
        "tower_parameters": _tower_parameters(blueprint),
        "stages": [asdict(stage) | {"total": stage.total} for stage in cost.stages],
        "params": cost.summary(),
        "memory": {"model_bytes": cost.model_bytes},
        "baseline": {"plan": str(blueprint.baseline_plan), "params": baseline.summary()},
    }


def _tower_parameters(blueprint: Blueprint) -> int:
    shape = blueprint.shape
    names = ["embeddings", *(f"layer.{i}" for i in range(shape.layers))]
    return sum(map(shape.stage_parameters, [*names, *(["pooler"] if shape.pooler else [])]))


def model_config(blueprint: Blueprint) -> Result:
    """The content of config.json, beside model.safetensors: what its weights belong to."""
    return {
        "schema": SCHEMA,
        "plan": str(blueprint.plan),
        "tasks": {name: asdict(spec) for name, spec in blueprint.specs.items()},
        "joined": dict(blueprint.joined),
        "encoder": asdict(blueprint.shape),
        "heads": [asdict(head) for head in blueprint.heads],
        "head": asdict(blueprint.head_shape),
        "pooling": blueprint.pooling,
        "precision": blueprint.runtime.precision,
        "max_length": blueprint.config.suite.max_length,
    }


def scores(
    blueprint: Blueprint,
    found: Evaluation,
    measured: Calibration | None,
    reference: float | None,
) -> Result:
    """The score, what it is made of, and the objectives that stand beside it.

    Args:
        measured: cost of regime and baseline; None leaves every score null.
        reference: performance of fully trained separate models; None leaves ``kept`` null.
    """
    config = blueprint.config.score
    performance = found.performance if config.pearson == "unit" else found.performance_raw_r
    if blueprint.plan == blueprint.baseline_plan:
        reference = performance
    kept = None if reference is None else performance / reference
    weighted = keep = multipliers = baseline = None
    if measured is not None:
        multipliers = _multipliers(blueprint, measured)
        exponents = config.memory_exponent, config.time_exponent
        weighted = weighted_score(performance, multipliers, *exponents)
        keep = (
            None
            if kept is None
            else keep_objective(kept, config.keep, saved_cost(multipliers, *exponents))
        )
        baseline = _baseline(blueprint, measured)
    return {
        "score": weighted,
        "kept": kept,
        "objectives": {"weighted": weighted, "keep": keep, "performance": performance},
        "multipliers": None if multipliers is None else asdict(multipliers),
        "baseline": baseline,
        "scored_by": asdict(config),
    }


def _baseline(blueprint: Blueprint, measured: Calibration) -> Result:
    cost = blueprint.cost(blueprint.baseline_plan)
    sizes = {"params": cost.summary(), "model_bytes": cost.model_bytes}
    return {"plan": str(blueprint.baseline_plan)} | sizes | measured.record()


def _multipliers(blueprint: Blueprint, measured: Calibration) -> Multipliers:
    config, plan, unshared = blueprint.config.score, blueprint.plan, blueprint.baseline_plan
    if plan == unshared:
        return Multipliers(1.0, 1.0)
    memory = blueprint.cost(unshared).model_bytes / blueprint.cost(plan).model_bytes
    if config.memory == "peak_train":
        memory = measured.peak_train_bytes[1] / measured.peak_train_bytes[0]
    return Multipliers(memory, measured.ratio(config.time))


def machine(blueprint: Blueprint) -> Result:
    """What the run ran on."""
    runtime = blueprint.runtime
    cuda = runtime.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name() if cuda else platform.processor() or "cpu",
        "threads": torch.get_num_threads(),
        "precision": runtime.precision,
        "system": platform.platform(),
    }
