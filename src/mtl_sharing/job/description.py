"""Describes a run: plan.json, config.json, its regime in one line, its trackers' tags."""

from dataclasses import asdict
from pathlib import Path

from omegaconf import OmegaConf

from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.specs import LaneShape, PalShape
from mtl_sharing.run_folder.layout import HYDRA_JOB
from mtl_sharing.run_folder.results import SCHEMA, Result
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.tracking.settings import RunDescription
from mtl_sharing.utils.nested import flatten

_TRACKED = ("score", "kept", "performance", "performance_raw_r", "tasks", "params", "memory",
            "time", "multipliers")  # fmt: skip


def describe_run(run_spec: RunSpec, folder: Path) -> RunDescription:
    """The folder, settings and tags of a run, for trackers."""
    tags = {
        "plan": str(run_spec.plan),
        "regime": describe_regime(run_spec),
        "seed": str(run_spec.config.seed),
    }
    sweep = _sweep_name(folder)
    tags |= {} if sweep is None else {"sweep": sweep}
    return RunDescription(folder, dict(flatten(asdict(run_spec.config))), tags)


def final_metrics(result: Result) -> Result:
    """The metrics of a finished run's result that trackers record."""
    return {name: result[name] for name in _TRACKED if result[name] is not None}


def _sweep_name(folder: Path) -> str | None:
    """The name of the sweep whose trial works in ``folder``; None for a single run."""
    path = folder / HYDRA_JOB
    if not path.is_file():
        return None
    values = OmegaConf.load(path)
    if OmegaConf.select(values, "hydra.mode") != "MULTIRUN":
        return None
    return Path(OmegaConf.select(values, "hydra.sweep.dir")).name


def plan_record(run_spec: RunSpec) -> Result:
    """The content of plan.json: who owns which stage, and what it costs."""
    architecture, unshared = run_spec.architecture, run_spec.baseline
    cost = plan_cost(architecture)
    record: Result = {
        "schema": SCHEMA,
        "plan": str(run_spec.plan),
        "regime": describe_regime(run_spec),
        "parts": parts(run_spec),
        "tasks": list(run_spec.plan.tasks),
        "encoder": asdict(run_spec.shape),
        "tower_parameters": _tower_parameters(run_spec),
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
    """The size of each task's PALs; biases apart, since published numbers leave them out."""
    hidden, read = architecture.encoder.hidden, architecture.read
    shapes = {task: pals.up_to(read.get(task)) for task in architecture.plan.tasks}
    return {
        task: {"weights": p.weights(hidden), "biases": p.biases(hidden), "layers": len(p.layers)}
        for task, p in shapes.items()
    }


def parts(run_spec: RunSpec) -> Result:
    """Everything that a regime adds to its plan: PALs, lanes, the tie of T stages, text steps."""
    architecture, text = run_spec.architecture, run_spec.text
    added: Result = {}
    if architecture.pals is not None:
        added["pals"] = asdict(architecture.pals)
    if architecture.lanes is not None:
        added["lanes"] = asdict(architecture.lanes)
    if architecture.tied:
        added["tie"] = asdict(run_spec.config.sharing.tie)
    if text.clean:
        added["clean"] = {"steps": list(text.clean), "lemmatizer": text.lemmatizer}
    if text.tags is not None:
        added["tags"] = asdict(text.tags)
    return added


def describe_regime(run_spec: RunSpec) -> str:
    """The plan and its parts in one line, like ``S12 + pals 16``."""
    architecture, tie = run_spec.architecture, run_spec.config.sharing.tie
    described = [str(run_spec.plan)]
    if architecture.pals is not None:
        described.append(_describe_pals(architecture.pals, run_spec.shape.layers))
    if architecture.lanes is not None:
        described.append(_describe_lanes(architecture.lanes))
    if architecture.tied:
        described.append(f"tie {tie.kind} {tie.strength:g}")
    described += [f"head of {task} at layer {layer}" for task, layer in architecture.read.items()]
    text = run_spec.text
    if text.clean:
        described.append(f"clean {' '.join(text.clean)}")
    if text.tags is not None:
        kinds = {"pos": text.tags.pos, "ner": text.tags.entities}
        described.append(f"tags {' '.join(kind for kind, names in kinds.items() if names)}")
    return " + ".join(described)


def _describe_pals(pals: PalShape, layers: int) -> str:
    kind = "" if pals.kind == "attention" else " low rank"
    some = "" if len(pals.layers) == layers else f" in {len(pals.layers)} layers"
    return f"pals {pals.size}{kind}{some}"


def _describe_lanes(lanes: LaneShape) -> str:
    readers = [f"{task}<{'+'.join(names)}" for task, names in lanes.upstream.items() if names]
    rate = f" at rate {lanes.upstream_rate:g}" if lanes.upstream_rate else ""
    return f"lanes {' '.join(readers)} by {lanes.fusion}{rate}"


def _tower_parameters(run_spec: RunSpec) -> int:
    shape = run_spec.shape
    names = ["embeddings", *(f"layer.{i}" for i in range(shape.layers))]
    return sum(map(shape.stage_parameters, [*names, *(["pooler"] if shape.pooler else [])]))


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
        "tasks": {name: asdict(spec) for name, spec in run_spec.specs.items()},
        "joined": dict(run_spec.joined),
        "encoder": asdict(run_spec.shape),
        "heads": [asdict(head) for head in architecture.heads],
        "head": asdict(architecture.head),
        "precision": run_spec.runtime.precision,
        "max_length": run_spec.config.suite.max_length,
        "settings": asdict(run_spec.config),
    }
