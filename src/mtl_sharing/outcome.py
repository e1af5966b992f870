"""What a run writes about itself: the contents of plan.json, config.json and result.json."""

import platform
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.parts import LaneShape, PalShape
from mtl_sharing.operations import BothOperations
from mtl_sharing.run.evaluate import Evaluation
from mtl_sharing.run.phases import Timing
from mtl_sharing.score.calibrate import Calibration
from mtl_sharing.score.changes import task_changes
from mtl_sharing.score.cost import plan_cost
from mtl_sharing.score.reference import SEPARATE, UNTUNED, Reference
from mtl_sharing.score.score import Multipliers, keep_objective, saved_cost, weighted_score

SCHEMA = 1

Result = dict[str, Any]


def plan_record(blueprint: Blueprint) -> Result:
    """The content of plan.json: who owns which stage, and what it costs."""
    architecture, unshared = blueprint.architecture, blueprint.baseline
    cost = plan_cost(architecture)
    record: Result = {
        "schema": SCHEMA,
        "plan": str(blueprint.plan),
        "regime": describe_regime(blueprint),
        "parts": parts(blueprint),
        "tasks": list(blueprint.plan.tasks),
        "encoder": asdict(blueprint.shape),
        "tower_parameters": _tower_parameters(blueprint),
        "stages": [
            asdict(stage) | {"total": stage.total, "bytes": stage.bytes} for stage in cost.stages
        ],
        "params": cost.summary(),
        "memory": {"model_bytes": cost.model_bytes},
        "baseline": {"plan": str(unshared.plan), "params": plan_cost(unshared).summary()},
    }
    if architecture.pals is not None:
        record["pals_per_task"] = _pals_per_task(architecture, architecture.pals)
    return record


def _pals_per_task(architecture: Architecture, pals: PalShape) -> Result:
    """Weights and biases apart, since published figures leave the biases out."""
    hidden, read = architecture.encoder.hidden, architecture.read
    own = {task: pals.up_to(read.get(task)) for task in architecture.plan.tasks}
    return {
        task: {"weights": p.weights(hidden), "biases": p.biases(hidden), "layers": len(p.layers)}
        for task, p in own.items()
    }


def parts(blueprint: Blueprint) -> Result:
    """What the regime adds to its plan: PALs, lanes, the tie of its T stages, steps of the text."""
    pals, lanes = blueprint.architecture.pals, blueprint.architecture.lanes
    found = {name: asdict(part) for name, part in (("pals", pals), ("lanes", lanes)) if part}
    tie = {"tie": asdict(blueprint.config.sharing.tie)}
    return found | (tie if blueprint.architecture.tied else {}) | _text_steps(blueprint)


def _text_steps(blueprint: Blueprint) -> Result:
    suite, tags = blueprint.config.suite, blueprint.tags
    found: Result = {}
    if suite.clean:
        found["clean"] = {"steps": suite.clean, "lemmatizer": suite.lemmatizer}
    if tags is not None:
        found["tags"] = asdict(tags)
    return found


def describe_regime(blueprint: Blueprint) -> str:
    """The plan and its parts in one line, like ``S12 + pals 16``."""
    architecture, tie = blueprint.architecture, blueprint.config.sharing.tie
    words = [str(blueprint.plan)]
    if architecture.pals is not None:
        words.append(_describe_pals(architecture.pals, blueprint.shape.layers))
    if architecture.lanes is not None:
        words.append(_describe_lanes(architecture.lanes))
    if architecture.tied:
        words.append(f"tie {tie.kind} {tie.strength:g}")
    words += [f"head of {task} at layer {layer}" for task, layer in architecture.read.items()]
    if blueprint.config.suite.clean:
        words.append(f"clean {' '.join(blueprint.config.suite.clean)}")
    if blueprint.tags is not None:
        kinds = {"pos": blueprint.tags.pos, "ner": blueprint.tags.entities}
        words.append(f"tags {' '.join(kind for kind, names in kinds.items() if names)}")
    return " + ".join(words)


def _describe_pals(pals: PalShape, layers: int) -> str:
    kind = "" if pals.kind == "attention" else " low rank"
    some = "" if len(pals.layers) == layers else f" in {len(pals.layers)} layers"
    return f"pals {pals.size}{kind}{some}"


def _describe_lanes(lanes: LaneShape) -> str:
    readers = [f"{task}<{'+'.join(names)}" for task, names in lanes.upstream.items() if names]
    rate = f" at rate {lanes.upstream_rate:g}" if lanes.upstream_rate else ""
    return f"lanes {' '.join(readers)} by {lanes.fusion}{rate}"


def _tower_parameters(blueprint: Blueprint) -> int:
    shape = blueprint.shape
    names = ["embeddings", *(f"layer.{i}" for i in range(shape.layers))]
    return sum(map(shape.stage_parameters, [*names, *(["pooler"] if shape.pooler else [])]))


def model_config(blueprint: Blueprint) -> Result:
    """The content of config.json, beside model.safetensors: what its weights belong to.

    With ``settings``, the whole config, the three files model.safetensors, config.json and
    tokenizer.json are all that it takes to build the network again.
    """
    architecture = blueprint.architecture
    return {
        "schema": SCHEMA,
        "plan": str(blueprint.plan),
        "parts": parts(blueprint),
        "tasks": {name: asdict(spec) for name, spec in blueprint.specs.items()},
        "joined": dict(blueprint.joined),
        "encoder": asdict(blueprint.shape),
        "heads": [asdict(head) for head in architecture.heads],
        "head": asdict(architecture.head),
        "precision": blueprint.runtime.precision,
        "max_length": blueprint.config.suite.max_length,
        "settings": asdict(blueprint.config),
    }


def scores(
    blueprint: Blueprint,
    found: Evaluation,
    measured: Calibration | None,
    counted: BothOperations,
    references: Mapping[str, Reference],
) -> Result:
    """The score, what it is made of, and the objectives that stand beside it.

    Args:
        measured: cost of regime and baseline; None leaves every score null that needs it.
        counted: operations of both.
        references: separate models, fully trained, without which ``kept`` is null, and others, by
            what they are.
    """
    config = blueprint.config.score
    performance = found.performance if config.pearson == "unit" else found.performance_raw_r
    separate = references.get(SEPARATE)
    reference = None if separate is None else separate.performance
    if blueprint.architecture == blueprint.baseline:
        separate, reference = None, performance
    kept = None if reference is None else performance / reference
    weighted = keep = baseline = None
    saved = multipliers(blueprint, measured, counted)
    if saved is not None:
        exponents = config.memory_exponent, config.time_exponent
        weighted = weighted_score(performance, saved, *exponents)
        keep = (
            None
            if kept is None
            else keep_objective(kept, config.keep, saved_cost(saved, *exponents))
        )
        baseline = _baseline(blueprint, measured, counted)
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
    blueprint: Blueprint, measured: Calibration | None, counted: BothOperations
) -> Result:
    cost = plan_cost(blueprint.baseline)
    sizes = {"params": cost.summary(), "model_bytes": cost.model_bytes}
    found = {"plan": str(blueprint.baseline.plan)} | sizes | {"flops": counted.baseline.record()}
    return found if measured is None else found | measured.record()


def multipliers(
    blueprint: Blueprint, measured: Calibration | None, counted: BothOperations
) -> Multipliers | None:
    """By the clock of the config; None where that one did not run."""
    config, regime, unshared = blueprint.config.score, blueprint.architecture, blueprint.baseline
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
    timing: Timing, epoch_steps: float, frozen_s: float, measured: Calibration | None
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
