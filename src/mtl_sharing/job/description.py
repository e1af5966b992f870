"""Describes a run: plan.json, config.json, its regime in one line, its trackers' tags."""

from dataclasses import asdict
from pathlib import Path

import torch

from mtl_sharing.config.interpolations import as_written
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.specs import LaneShape
from mtl_sharing.run_folder.results import SCHEMA, Result
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.score.performance import CORRELATIONS
from mtl_sharing.score.reference import METRICS
from mtl_sharing.tracking.settings import RunDescription
from mtl_sharing.utils.nested import flatten

_TRACKED = ("score", "kept", "kept_above_floor", "performance", "performance_raw_r",
            "floor_performance", "floor_performance_raw_r", "tasks", "params", "memory", "time",
            "multipliers")  # fmt: skip


def describe_run(run_spec: RunSpec, folder: Path, sweep: str | None = None) -> RunDescription:
    """The folder, settings and tags of a run, and its sweep's name, for trackers."""
    plan, seed = str(run_spec.plan), str(run_spec.config.seed)
    tags = {"plan": plan, "regime": describe_regime(run_spec), "seed": seed}
    if sweep is not None:
        tags["sweep"] = sweep
    return RunDescription(folder, dict(flatten(run_spec.settings)), tags)


def final_metrics(result: Result) -> Result:
    """The metrics of a finished run's result that trackers record."""
    metrics = {name: result[name] for name in _TRACKED if result[name] is not None}
    asked = result["scored_by"]["rounded"]
    tasks = {name: task if asked else _unrounded(task) for name, task in result["tasks"].items()}
    counts = {name: len(result[name]) for name in ("at_floor", "untrained")}
    return metrics | {"tasks": tasks} | counts


def _unrounded(task: Result) -> Result:
    """A task's metrics; of a regression without those of its values rounded to classes."""
    if CORRELATIONS[0] not in task:
        return task
    return {name: value for name, value in task.items() if name not in (*METRICS, "by_class")}


def plan_record(run_spec: RunSpec) -> Result:
    """The content of plan.json: who owns which stage, and what it costs."""
    architecture, unshared = run_spec.architecture, run_spec.baseline
    cost, shape = plan_cost(architecture), run_spec.shape
    stages = ["embeddings", *(f"layer.{i}" for i in range(shape.layers))]
    stages += ["pooler"] if shape.pooler else []
    record: Result = {
        "schema": SCHEMA,
        "plan": str(run_spec.plan),
        "regime": describe_regime(run_spec),
        "parts": parts(run_spec),
        "tasks": list(run_spec.plan.tasks),
        "components": [list(tasks) for tasks in architecture.components()],
        "encoder": asdict(shape),
        "tower_parameters": sum(map(shape.stage_parameters, stages)),
        "stages": [
            asdict(stage) | {"total": stage.total, "bytes": stage.bytes} for stage in cost.stages
        ],
        "params": cost.summary(),
        "memory": {"model_bytes": cost.model_bytes},
        "baseline": {"plan": str(unshared.plan), "params": plan_cost(unshared).summary()},
    }
    if (pals := architecture.pals) is not None:
        hidden, read = shape.hidden, architecture.read
        shapes = {task: pals.up_to(read.get(task)) for task in run_spec.plan.tasks}
        # Biases apart, since published numbers leave them out.
        record["pals_per_task"] = {
            task: {"weights": p.weights(hidden), "biases": p.biases(hidden),
                   "layers": len(p.layers)}
            for task, p in shapes.items()
        }  # fmt: skip
    return record


def parts(run_spec: RunSpec) -> Result:
    """Everything that a regime adds to its plan: PALs, lanes, tie, teacher, text steps."""
    architecture, text = run_spec.architecture, run_spec.text
    distillation = run_spec.config.distillation
    added: Result = {}
    if architecture.pals is not None:
        added["pals"] = asdict(architecture.pals)
    if architecture.lanes is not None:
        added["lanes"] = asdict(architecture.lanes)
    if architecture.tied:
        added["tie"] = asdict(run_spec.config.sharing.tie)
    if distillation.enabled:
        added["distillation"] = {
            "weight": distillation.weight, "end": distillation.last,
            "temperature": distillation.temperature,
        }  # fmt: skip
    if text.clean:
        added["clean"] = {"steps": list(text.clean), "lemmatizer": text.lemmatizer}
    if text.tags is not None:
        added["tags"] = asdict(text.tags)
    return added


def describe_regime(run_spec: RunSpec) -> str:
    """The plan and its parts in one line, like ``S12 + pals 16``."""
    architecture, tie = run_spec.architecture, run_spec.config.sharing.tie
    distillation = run_spec.config.distillation
    described = [str(run_spec.plan)]
    if architecture.pals is not None:
        pals = architecture.pals
        kind = "" if pals.kind == "attention" else " low rank"
        every = len(pals.layers) == run_spec.shape.layers
        layers = "" if every else f" in {len(pals.layers)} layers"
        described.append(f"pals {pals.size}{kind}{layers}")
    if architecture.lanes is not None:
        described.append(_describe_lanes(architecture.lanes))
    if architecture.tied:
        described.append(f"tie {tie.kind} {tie.strength:g}")
    if distillation.enabled:
        moves = distillation.last != distillation.weight
        end = f" to {distillation.last:g}" if moves else ""
        temperature = f" at temperature {distillation.temperature:g}"
        described.append(f"distilled {distillation.weight:g}{end}{temperature}")
    described += [f"head of {task} at layer {layer}" for task, layer in architecture.read.items()]
    text = run_spec.text
    if text.clean:
        described.append(f"clean {' '.join(text.clean)}")
    if text.tags is not None:
        kinds = {"pos": text.tags.pos, "ner": text.tags.entities}
        described.append(f"tags {' '.join(kind for kind, names in kinds.items() if names)}")
    return " + ".join(described)


def _describe_lanes(lanes: LaneShape) -> str:
    readers = [f"{task}<{'+'.join(names)}" for task, names in lanes.upstream.items() if names]
    rate = f" at rate {lanes.upstream_rate:g}" if lanes.upstream_rate else ""
    return f"lanes {' '.join(readers)} by {lanes.fusion}{rate}"


def _tasks(run_spec: RunSpec) -> Result:
    """The tasks as they were read, but for values of interpolated keys that files do not show."""
    tasks = {name: asdict(spec) for name, spec in run_spec.specs.items()}
    for name in tasks:
        if any(key.startswith(f"task.{name}.sources") for key in run_spec.texts):
            del tasks[name]["sources"]  # their settings are below
    shown: Result = as_written({"task": tasks}, run_spec.texts)["task"]
    return shown


def model_config(run_spec: RunSpec) -> Result:
    """The content of config.json, which describes the network of model.safetensors.

    It holds the whole config as ``settings``: model.safetensors, config.json and tokenizer.json
    suffice to build the network again.
    """
    architecture = run_spec.architecture
    return {
        "schema": SCHEMA,
        "plan": str(run_spec.plan),
        "parts": parts(run_spec),
        "tasks": _tasks(run_spec),
        "joined": dict(run_spec.joined),
        "encoder": asdict(run_spec.shape),
        "heads": [asdict(head) for head in architecture.heads],
        "head": asdict(architecture.head),
        "precision": run_spec.runtime.precision,
        "threads": torch.get_num_threads(),
        "max_length": run_spec.config.suite.max_length,
        "settings": run_spec.settings,
    }
