"""What decides the figures of a baseline: its config, and a digest of all that they depend on."""

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.config import Config, SharingConfig
from mtl_sharing.data.batches import EncodedTask
from mtl_sharing.material import Material
from mtl_sharing.model.checkpoint import Tower
from mtl_sharing.model.sources import checkpoint_folder, weight_file
from mtl_sharing.objectives.settings import OF_SHARED
from mtl_sharing.run.records import versions
from mtl_sharing.run.settings import TrackerConfig, TrainerConfig
from mtl_sharing.score.reference import UNTUNED
from mtl_sharing.score.settings import ScoreConfig

# Keys of the config that decide no figure, or that `made_from` covers by what they lead to: texts
# and weights by their content, not by the names of their files. Every other key counts, also one
# that is new.
LEFT_OUT: Mapping[str, tuple[str, ...]] = {
    "": ("split", "data_dir", "resume", "dry_run", "sharing", "score", "cache", "tracker"),
    "encoder": ("name", "checkpoint", "tokenizer"),
    "suite": ("name", "pretrained", "tasks"),
    "trainer": ("precision", "device", "threads", "debug"),
}
LEFT_OUT_OF_TASKS = ("columns", "train", "dev", "test", "format", "sources")
# They compose and search, and touch no figure.
_WITHOUT_EFFECT = ("python", "hydra-core", "omegaconf", "optuna")
_FRONT = ("cli", "sweep", "report")


def baseline_config(kind: str, blueprint: Blueprint) -> Config:
    """The config that trains this kind of baseline, for any regime of the blueprint's.

    Separate models have everything but the sharing, and no rule for gradients on shared weights:
    they have none of these. The encoder as it is, untuned, has no training at all; its tasks share
    one copy, which gives what copies of their own would.
    """
    config, layers = blueprint.config, blueprint.shape.layers
    precision, plain = blueprint.runtime.precision, Config()
    own = replace(
        config, split=Config.split, resume=None, dry_run=False, score=ScoreConfig(pairs=0),
        tracker=TrackerConfig(),
        loss=replace(config.loss, **{name: getattr(plain.loss, name) for name in OF_SHARED}),
        sharing=SharingConfig(name="individual", plan=f"I{layers}"),
        trainer=replace(config.trainer, precision=precision),
    )  # fmt: skip
    if kind != UNTUNED:
        return own
    trainer = config.trainer
    return replace(
        own, sharing=SharingConfig(name="shared", plan=f"S{layers}"), phases={},
        sampler=plain.sampler, loss=plain.loss, regularizer=plain.regularizer,
        optimizer=plain.optimizer, scheduler=plain.scheduler,
        trainer=TrainerConfig(
            max_steps=0, eval_batch_size=trainer.eval_batch_size, precision=precision,
            device=trainer.device, threads=trainer.threads,
        ),
    )  # fmt: skip


def baseline_key(kind: str, config: Config, facts: Mapping[str, Any]) -> str:
    """A digest of everything that decides what a baseline reaches, in hexadecimal.

    Args:
        config: of :func:`baseline_config`.
        facts: of :func:`made_from`.
    """
    decided_by = {"kind": kind, "settings": deciding_settings(config, facts["tasks"]), **facts}
    return sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()


def deciding_settings(config: Config, tasks: list[str]) -> dict[str, Any]:
    """The config less what is left out, and less the tasks that do not take part."""
    found = asdict(config)
    for group, names in LEFT_OUT.items():
        node = found[group] if group else found
        for name in names:
            del node[name]
    for name in LEFT_OUT_OF_TASKS:
        for task in tasks:
            del found["task"][task][name]
    found["task"] = {task: found["task"][task] for task in tasks}
    return found


def made_from(blueprint: Blueprint, material: Material, tokenizer: Path) -> dict[str, Any]:
    """What a baseline is made from and made by, beside its settings.

    Args:
        tokenizer: the run's own file of it.
    """
    device = blueprint.runtime.device
    return {
        "tasks": list(blueprint.specs),
        "encoder": asdict(blueprint.shape),
        "weights": _digest_tower(material.tower),
        "masked_lm_head": _digest_checkpoint(blueprint),
        "tokenizer": sha256(tokenizer.read_bytes()).hexdigest(),
        "data": digest_data(material),
        "precision": blueprint.runtime.precision,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "versions": {n: v for n, v in versions().items() if n not in _WITHOUT_EFFECT},
        "code": _digest_code(),
    }


def digest_data(material: Material) -> str:
    """A digest of all texts, as the network reads them, and labels, in their order."""
    found = sha256()
    for split in ("train", "dev", "select", "pairs"):
        for task, data in getattr(material, split).items():
            found.update(f"{split} {task} {len(data)}".encode())
            for array in _arrays(data):
                found.update(f"{array.dtype} {array.shape}".encode())
                found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def _arrays(data: EncodedTask) -> Iterator[np.ndarray[Any, Any]]:
    yield data.labels
    for rows in (data.first, data.second):
        if rows is not None:
            yield from (rows.tokens, rows.token_types, rows.offsets)
            if rows.tags is not None:
                yield rows.tags


def _digest_tower(tower: Tower) -> str:
    found = sha256()
    for stage, weights in sorted(tower.items()):
        for name, weight in sorted(weights.items()):
            found.update(f"{stage}.{name} {weight.dtype} {tuple(weight.shape)}".encode())
            found.update(
                weight.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data
            )
    return found.hexdigest()


def _digest_checkpoint(blueprint: Blueprint) -> str | None:
    """Of the checkpoint's file, where a phase also takes its masked language model's head."""
    source = blueprint.config.encoder.checkpoint
    kinds = {phase.kind for phase in blueprint.config.phases.values()}
    if source is None or "masked_lm" not in kinds:
        return None
    with weight_file(checkpoint_folder(source)).open("rb") as file:
        found = sha256()
        while block := file.read(1 << 24):
            found.update(block)
    return found.hexdigest()


@cache
def _processor() -> str:
    """The CPU's model and the instructions that torch takes: both choose how products round."""
    model = platform.processor() or platform.machine()
    with suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        models = (line.partition(":")[2].strip() for line in file if line.startswith("model name"))
        model = next(models, model)
    return f"{model}, {torch.backends.cpu.get_cpu_capability()}"


@cache
def _digest_code() -> str:
    """Of this package's files below the front, since a version may stand for several states."""
    package, found = Path(__file__).parent, sha256()
    for path in sorted(package.rglob("*.py")):
        place = path.relative_to(package)
        if place.parts[0] not in _FRONT:
            found.update(f"{place.as_posix()} {path.stat().st_size}".encode())
            found.update(path.read_bytes())
    return found.hexdigest()
