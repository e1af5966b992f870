"""Baselines of a run: made once, kept in the cache's folder, and found there by later runs.

Separate models and the untuned encoder are trained and evaluated by the same job as any run, in a
folder of the cache. One process trains there, a second one waits, and a later one resumes what was
killed.
"""

import gc
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from mtl_sharing.cache.folders import making
from mtl_sharing.cache.settings import cache_folder
from mtl_sharing.config import Config
from mtl_sharing.errors import Stopped, UserError
from mtl_sharing.job.baseline_folder import keep_baseline, read_baseline
from mtl_sharing.job.baseline_key import baseline_config, baseline_key, baseline_provenance
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.job.teacher import TrainOutputs, needs_baseline, read_train_outputs
from mtl_sharing.run_folder import layout
from mtl_sharing.run_folder.layout import BASELINE_START, BASELINES, TOKENIZER, TRAIN_OUTPUTS
from mtl_sharing.run_folder.manifest import (
    read_listed_object,
    replace_listed,
    replace_listed_json,
    text_writer,
)
from mtl_sharing.run_folder.results import SCHEMA, Result
from mtl_sharing.score.performance import performance_of
from mtl_sharing.score.reference import SEPARATE, UNTUNED, Reference
from mtl_sharing.utils.files import json_text
from mtl_sharing.utils.locks import Locked
from mtl_sharing.utils.logging import log_level
from mtl_sharing.utils.progress import set_training_caption

log = logging.getLogger(__name__)

_NAMES = {SEPARATE: "separate models", UNTUNED: "the untuned encoder"}
_ACTIONS = {
    SEPARATE: "training separate models once",
    UNTUNED: "evaluating the untuned encoder once",
}
# Errors that a damaged file of an unfinished run may raise.
_UNUSABLE = (UserError, ValueError, KeyError, FileNotFoundError, SafetensorError)

Train = Callable[[Config, Path], Result]
_Made = tuple[Result, TrainOutputs | None]


@dataclass(frozen=True)
class Baselines:
    """The results of a run's baselines.

    Attributes:
        references: those that the run is compared with, by kind.
        outputs: those of separate models on the training texts, where the run learns from them.
    """

    references: Mapping[str, Reference]
    outputs: TrainOutputs | None = None


def load_or_train_baselines(
    run_spec: RunSpec, inputs: RunInputs, folder: Path, train: Train
) -> Baselines:
    """The baselines that the config has the project make.

    Args:
        folder: the run's folder, with its tokenizer; baselines are trained below it where the
            cache cannot be written.
        train: trains a config on the run's inputs in a folder, or resumes there; returns the
            result.

    Raises:
        UserError: a baseline cannot be trained.
        Stopped: the training of a baseline was interrupted; the error names the run's folder.
    """
    score, teaches = run_spec.config.score, needs_baseline(run_spec, folder)
    compared = [SEPARATE] if score.reference == SEPARATE and not run_spec.is_separate else []
    compared += [UNTUNED] if score.untuned else []
    kinds = dict.fromkeys([SEPARATE, *compared] if teaches else compared)
    provenance = baseline_provenance(run_spec, inputs, folder / TOKENIZER) if kinds else {}
    try:
        made = {
            kind: _load_or_train(
                kind, run_spec, provenance, folder, train, teaches and kind == SEPARATE
            )
            for kind in kinds
        }
    except Stopped:
        raise Stopped(str(folder)) from None
    references = {kind: made[kind][0] for kind in compared}
    return Baselines(references, made[SEPARATE][1] if teaches else None)


def _load_or_train(
    kind: str, run_spec: RunSpec, provenance: Mapping[str, Any], folder: Path, train: Train,
    with_outputs: bool,
) -> tuple[Reference, TrainOutputs | None]:  # fmt: skip
    config = baseline_config(kind, run_spec)
    key = baseline_key(kind, config, provenance)
    make = partial(_make, kind, config, run_spec.runtime.device, train, with_outputs)
    cached, made, path = _cached_folder(run_spec, kind, key), None, None
    try:
        if cached is not None:
            read, max_bytes = partial(_read, with_outputs), int(run_spec.config.cache.max_gb * 1e9)
            made, kept = _in_cache(kind, cached, read, make, provenance, max_bytes)
            path = str(cached) if kept else None
    except OSError as error:
        log.warning("%s: going on without the cache: %s", _NAMES[kind], error)
    result, outputs = make(folder / BASELINES / f"{kind}-{key}") if made is None else made
    performance = performance_of(result, run_spec.config.score.pearson)
    return Reference(kind, performance, result["tasks"], path, key), outputs


def _cached_folder(run_spec: RunSpec, kind: str, key: str) -> Path | None:
    try:
        return cache_folder(run_spec.config.cache).absolute() / BASELINES / f"{kind}-{key}"
    except RuntimeError as error:  # the user has no home
        log.warning("%s: going on without a cache: %s", _NAMES[kind], error)
        return None


def _in_cache(
    kind: str,
    folder: Path,
    read: Callable[[Path], _Made | None],
    make: Callable[[Path], _Made],
    provenance: Mapping[str, Any],
    max_bytes: int,
) -> tuple[_Made, bool]:
    """The result of the baseline, and whether the cache holds it.

    Raises:
        OSError: the cache cannot be read or written.
    """
    made = read(folder)
    if made is None:
        with making(folder):
            # Another process may have made it while this one waited.
            made = read(folder)
            if made is None:
                made = make(folder)
                return made, keep_baseline(folder, provenance, max_bytes)
    log.info("%s from the cache", _NAMES[kind])
    return made, True


def _read(with_outputs: bool, folder: Path) -> _Made | None:
    result = read_baseline(folder, with_outputs)
    if result is None:
        return None
    return result, read_train_outputs(folder) if with_outputs else None


def _make(
    kind: str, config: Config, device: torch.device, train: Train, with_outputs: bool, folder: Path
) -> _Made:
    """Trains a baseline; leaves random numbers and the caption of the progress bar unchanged."""
    use = "learns from them, and so may" if with_outputs else "is held against them, and so are"
    log.info("%s (%s): this run %s later ones", _ACTIONS[kind], config.sharing.plan, use)
    caption = set_training_caption(_NAMES[kind])
    # The user has not chosen the settings that mean nothing for a plan without shared weights.
    quiet = log_level("mtl_sharing.job.spec", logging.ERROR)
    try:
        with quiet, torch.random.fork_rng([device] if device.type == "cuda" else []):
            result = _resume_or_train(kind, config, folder, train)
            return result, read_train_outputs(folder) if with_outputs else None
    except UserError as error:
        shutil.rmtree(folder, ignore_errors=True)
        where = f"{error.where}, in training {_NAMES[kind]}"
        raise UserError(where, error.found, error.allowed) from error
    finally:
        set_training_caption(caption)
        gc.collect()


def _resume_or_train(kind: str, config: Config, folder: Path, train: Train) -> Result:
    resumed = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return train(config, folder)
    except _UNUSABLE as error:
        if not resumed:
            raise
        log.warning("%s anew, not from what was left of them: %s", _NAMES[kind], error)
    shutil.rmtree(folder)
    folder.mkdir()
    return train(config, folder)


def own_baseline_key(run_spec: RunSpec, inputs: RunInputs, folder: Path) -> str | None:
    """The key under which a run of separate models may be kept as a baseline.

    None for another run, and for a resumed run whose data, settings or versions have changed.
    """
    if not run_spec.is_separate:
        return None
    provenance = baseline_provenance(run_spec, inputs, folder / TOKENIZER)
    key = baseline_key(SEPARATE, baseline_config(SEPARATE, run_spec), provenance)
    name = str(BASELINE_START)
    if not (folder / name).is_file() and not layout.has_checkpoint(folder):
        replace_listed_json(folder, name, {"key": key, "made_from": provenance})
    try:
        return key if read_listed_object(folder, name)["key"] == key else None
    except (OSError, UserError, KeyError):
        return None


def keep_own_baseline(run_spec: RunSpec, key: str, folder: Path, result: Result) -> None:
    """Keeps a finished run of separate models as a baseline for others, unless there is one."""
    cached = _cached_folder(run_spec, SEPARATE, key)
    if cached is None:
        return
    try:
        with making(cached, wait=False):
            if read_baseline(cached, with_outputs=True) is None:
                provenance = read_listed_object(folder, str(BASELINE_START))["made_from"]
                head = {"schema": SCHEMA, "seed": run_spec.config.seed}
                replace_listed(cached, {
                    layout.RESULT: text_writer(json_text(head | result)),
                    TRAIN_OUTPUTS: partial(shutil.copyfile, folder / TRAIN_OUTPUTS),
                })  # fmt: skip
                keep_baseline(cached, provenance, int(run_spec.config.cache.max_gb * 1e9))
    except Locked:
        pass  # another process trains the same
    except OSError as error:
        log.warning("not kept as a baseline: %s", error)
