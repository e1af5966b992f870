"""The config of a baseline, and the key under which it is kept: a digest of all that decides it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
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
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder, weight_file, weight_paths
from mtl_sharing.objectives.settings import DistillationConfig
from mtl_sharing.plan.settings import SharingConfig
from mtl_sharing.score.reference import UNTUNED
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.tracking.settings import TrackerConfig
from mtl_sharing.training.settings import TrainerConfig
from mtl_sharing.utils.device import device_name, processor_name
from mtl_sharing.utils.environment import versions
from mtl_sharing.utils.hashing import digest_arrays, digest_file, digest_tensors

RESULTS_VERSION = 3
"""Part of every key, so that raising it retrains all baselines.

Raise it with every change of code after which equal settings and data give another trained weight
or metric: other random draws, another order of floating-point operations, a corrected metric.
"""
# Packages that compose and search configs; they change no metric.
_WITHOUT_EFFECT = ("python", "hydra-core", "omegaconf", "optuna")


def baseline_config(kind: str, run_spec: RunSpec) -> Config:
    """The config that trains this kind of baseline; the same for all regimes of a run's config.

    Separate models keep all settings but the sharing, the teacher and those for gradients on shared
    weights.
    The untuned encoder is not trained. Its tasks share one copy, which gives the same metrics as
    separate copies.
    """
    config, layers = run_spec.config, run_spec.shape.layers
    precision, plain = run_spec.runtime.precision, Config()
    without_effect = {
        name: value for name, value in vars(plain.loss).items()
        if decides(f"loss.{name}") in OF_SHARED_WEIGHTS
    }  # fmt: skip
    separate = replace(
        config, split=Config.split, resume=None, dry_run=False, check_data=False,
        score=ScoreConfig(pairs=0), tracker=TrackerConfig(), distillation=DistillationConfig(),
        loss=replace(config.loss, **without_effect),
        sharing=SharingConfig(name="individual", plan=f"I{layers}"),
        trainer=replace(config.trainer, precision=precision, threads=torch.get_num_threads()),
    )  # fmt: skip
    if kind != UNTUNED:
        return separate
    trainer = config.trainer
    return replace(
        separate, sharing=SharingConfig(name="shared", plan=f"S{layers}"), phases={},
        sampler=plain.sampler, loss=plain.loss, regularizer=plain.regularizer,
        optimizer=plain.optimizer, scheduler=plain.scheduler,
        trainer=TrainerConfig(
            max_steps=0, eval_batch_size=trainer.eval_batch_size, precision=precision,
            device=trainer.device, threads=torch.get_num_threads(),
        ),
    )  # fmt: skip


def baseline_key(kind: str, config: Config, provenance: Mapping[str, Any]) -> str:
    """A hexadecimal digest of everything that decides a baseline's metrics.

    Args:
        config: from :func:`baseline_config`.
        provenance: from :func:`baseline_provenance`.
    """
    settings = baseline_settings(config, provenance["tasks"])
    content = {"kind": kind, "settings": settings, **provenance}
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def baseline_provenance(run_spec: RunSpec, inputs: RunInputs, tokenizer: Path) -> dict[str, Any]:
    """Data, weights, machine and versions that decide a baseline beside its settings.

    Args:
        tokenizer: the tokenizer's file in the run's folder.
    """
    device = run_spec.runtime.device
    weights = {
        f"{stage}.{name}": weight for stage, part in sorted(inputs.tower.items())
        for name, weight in sorted(part.items())
    }  # fmt: skip
    return {
        "tasks": list(run_spec.specs),
        "encoder": asdict(run_spec.shape),
        "weights": digest_tensors(weights),
        "masked_lm_head": _digest_checkpoint(run_spec),
        "tokenizer": digest_file(tokenizer),
        "data": digest_data(inputs),
        "precision": run_spec.runtime.precision,
        "device": device_name(device) if device.type == "cuda" else _processor(),
        "threads": torch.get_num_threads(),
        "versions": {n: v for n, v in versions().items() if n not in _WITHOUT_EFFECT},
        "results_version": RESULTS_VERSION,
    }


def digest_data(inputs: RunInputs) -> str:
    """A digest of the tokens, tags and labels of all splits, in their order."""
    return digest_arrays(
        (f"{split} {task} {len(data)}", _arrays(data))
        for split in ("train", "dev", "select", "pairs")
        for task, data in getattr(inputs, split).items()
    )


def digest_splits(inputs: RunInputs) -> dict[str, str]:
    """A digest of the tokens, tags and labels of each split, by ``split/task``."""
    return {
        f"{split}/{task}": digest_arrays([(str(len(data)), _arrays(data))])
        for split in ("train", "dev", "select", "pairs")
        for task, data in getattr(inputs, split).items()
    }


def _arrays(data: EncodedTask) -> Iterator[np.ndarray[Any, Any]]:
    yield data.labels
    for rows in (data.first, data.second):
        if rows is not None:
            yield from (rows.tokens, rows.token_types, rows.offsets)
            if rows.tags is not None:
                yield rows.tags


def _digest_checkpoint(run_spec: RunSpec) -> str | None:
    """A digest of the checkpoint's files where a phase takes its masked LM head, else None."""
    source = run_spec.config.encoder.checkpoint
    kinds = {phase.kind for phase in run_spec.config.phases.values()}
    if source is None or "masked_lm" not in kinds:
        return None
    return " ".join(map(digest_file, weight_paths(weight_file(checkpoint_folder(source)))))


def _processor() -> str:
    """The CPU's model and torch's instruction set: both decide how products are rounded."""
    return f"{processor_name()}, {torch.backends.cpu.get_cpu_capability()}"
