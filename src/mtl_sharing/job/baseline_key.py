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

from mtl_sharing.config import Config
from mtl_sharing.config.identity import OF_SHARED_WEIGHTS, baseline_settings, decides
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder, weight_file
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.plan.settings import SharingConfig
from mtl_sharing.score.reference import UNTUNED
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.tracking.settings import TrackerConfig
from mtl_sharing.training.settings import TrainerConfig
from mtl_sharing.utils.environment import versions
from mtl_sharing.utils.hashing import digest_arrays, digest_tensors

# They compose and search, and touch no figure.
_WITHOUT_EFFECT = ("python", "hydra-core", "omegaconf", "optuna")
_FRONT = ("cli", "sweep", "report")


def baseline_config(kind: str, run_spec: RunSpec) -> Config:
    """The config that trains this kind of baseline, for any regime of the run_spec's.

    Separate models have everything but the sharing, and no rule for gradients on shared weights:
    they have none of these. The encoder as it is, untuned, has no training at all; its tasks share
    one copy, which gives what copies of their own would.
    """
    config, layers = run_spec.config, run_spec.shape.layers
    precision, plain = run_spec.runtime.precision, Config()
    own = replace(
        config, split=Config.split, resume=None, dry_run=False, score=ScoreConfig(pairs=0),
        tracker=TrackerConfig(),
        loss=replace(config.loss, **_without_shared(plain.loss)),
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


def _without_shared(loss: LossConfig) -> dict[str, Any]:
    """Defaults of the settings that say nothing where tasks share no weight."""
    return {n: v for n, v in vars(loss).items() if decides(f"loss.{n}") in OF_SHARED_WEIGHTS}


def baseline_key(kind: str, config: Config, facts: Mapping[str, Any]) -> str:
    """A digest of everything that decides what a baseline reaches, in hexadecimal.

    Args:
        config: of :func:`baseline_config`.
        facts: of :func:`made_from`.
    """
    decided_by = {"kind": kind, "settings": baseline_settings(config, facts["tasks"]), **facts}
    return sha256(json.dumps(decided_by, sort_keys=True).encode()).hexdigest()


def made_from(run_spec: RunSpec, inputs: RunInputs, tokenizer: Path) -> dict[str, Any]:
    """What a baseline is made from and made by, beside its settings.

    Args:
        tokenizer: the run's own file of it.
    """
    device = run_spec.runtime.device
    return {
        "tasks": list(run_spec.specs),
        "encoder": asdict(run_spec.shape),
        "weights": _digest_tower(inputs.tower),
        "masked_lm_head": _digest_checkpoint(run_spec),
        "tokenizer": sha256(tokenizer.read_bytes()).hexdigest(),
        "data": digest_data(inputs),
        "precision": run_spec.runtime.precision,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "versions": {n: v for n, v in versions().items() if n not in _WITHOUT_EFFECT},
        "code": _digest_code(),
    }


def digest_data(inputs: RunInputs) -> str:
    """A digest of all texts, as the network reads them, and labels, in their order."""
    return digest_arrays(
        (f"{split} {task} {len(data)}", _arrays(data))
        for split in ("train", "dev", "select", "pairs")
        for task, data in getattr(inputs, split).items()
    )


def _arrays(data: EncodedTask) -> Iterator[np.ndarray[Any, Any]]:
    yield data.labels
    for rows in (data.first, data.second):
        if rows is not None:
            yield from (rows.tokens, rows.token_types, rows.offsets)
            if rows.tags is not None:
                yield rows.tags


def _digest_tower(tower: Tower) -> str:
    return digest_tensors(
        {f"{stage}.{name}": w for stage, part in sorted(tower.items())
         for name, w in sorted(part.items())}
    )  # fmt: skip


def _digest_checkpoint(run_spec: RunSpec) -> str | None:
    """Of the checkpoint's file, where a phase also takes its masked language model's head."""
    source = run_spec.config.encoder.checkpoint
    kinds = {phase.kind for phase in run_spec.config.phases.values()}
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
