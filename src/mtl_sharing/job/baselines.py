"""Baselines of a run: made once, kept in the cache's folder, and found there by later runs.

Separate models and the untuned encoder are trained and evaluated by the same job as any run, in a
folder of the cache that one process holds, so that a second one waits for them and a later one goes
on with what a kill has left.
"""

import gc
import json
import logging
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from mtl_sharing.cache.settings import cache_folder
from mtl_sharing.cache.store import ArrayStore, make_store
from mtl_sharing.config import Config
from mtl_sharing.errors import Stopped, UserError
from mtl_sharing.job.baseline_key import baseline_config, baseline_key, made_from
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.run_folder.layout import BASELINE_START, BASELINES, CHECKPOINT_STATE, TOKENIZER
from mtl_sharing.score.reference import SEPARATE, UNTUNED, Reference, performance_of
from mtl_sharing.utils.files import replace_json
from mtl_sharing.utils.logging import log_level
from mtl_sharing.utils.progress import set_training_caption

log = logging.getLogger(__name__)

# What a later reader needs of a result.
_KEPT = ("plan", "seed", "performance", "performance_raw_r", "selection", "tasks", "params")
_NAMES = {SEPARATE: "separate models", UNTUNED: "the untuned encoder"}
_DOING = {SEPARATE: "training separate models once", UNTUNED: "evaluating the untuned encoder once"}
# What files that are not as they were left may raise.
_UNUSABLE = (UserError, ValueError, KeyError, FileNotFoundError, SafetensorError)

Train = Callable[[Config, Path], Mapping[str, Any]]


def find_baselines(
    run_spec: RunSpec, inputs: RunInputs, folder: Path, train: Train
) -> dict[str, Reference]:
    """The baselines that the config has the project make, by their kind.

    Args:
        folder: the run's own, with its tokenizer; used where the cache takes nothing.
        train: runs a config on this inputs in a folder, or goes on there; gives its result.

    Raises:
        UserError: a baseline cannot be trained.
        Stopped: the run was asked to stop meanwhile; names its own folder.
    """
    score, kinds = run_spec.config.score, []
    if score.reference == SEPARATE and not is_separate(run_spec):
        kinds.append(SEPARATE)
    if score.untuned:
        kinds.append(UNTUNED)
    facts = made_from(run_spec, inputs, folder / TOKENIZER) if kinds else {}
    try:
        return {kind: _find(kind, run_spec, facts, folder, train) for kind in kinds}
    except Stopped:
        raise Stopped(str(folder)) from None


def is_separate(run_spec: RunSpec) -> bool:
    """Whether the run is itself one of separate models."""
    return run_spec.architecture == run_spec.baseline


def _find(
    kind: str, run_spec: RunSpec, facts: Mapping[str, Any], folder: Path, train: Train
) -> Reference:
    config = baseline_config(kind, run_spec)
    key, store = baseline_key(kind, config, facts), _store(run_spec)

    def make(shared: Path | None) -> Mapping[str, Any]:
        own = folder / BASELINES / f"{kind}-{key}"
        return _make(kind, run_spec, config, (shared, own), train)

    if store is None:
        return _reference(kind, make(None), run_spec, None, key)
    with store.exclusive(kind, key) as place:
        entry, here = place.entry, cache_folder(run_spec.config.cache) / BASELINES / f"{kind}-{key}"
        if entry is not None:
            log.info("%s from the cache", _NAMES[kind])
            return _reference(kind, entry.about["result"], run_spec, here, key)
        result = make(place.folder)
        entry = place.publish(_record(kind, result, facts))
        return _reference(kind, result, run_spec, None if entry is None else here, key)


def _store(run_spec: RunSpec) -> ArrayStore | None:
    """Apart from the arrays: these are small and dear, and must not make room for them."""
    return make_store(run_spec.config.cache, BASELINES)


def _reference(
    kind: str, result: Mapping[str, Any], run_spec: RunSpec, folder: Path | None, key: str
) -> Reference:
    performance = performance_of(result, run_spec.config.score.pearson)
    place = None if folder is None else str(folder.absolute())
    return Reference(kind, performance, result["tasks"], place, key)


def _record(kind: str, result: Mapping[str, Any], facts: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: result[name] for name in _KEPT if name in result}
    return {"kind": kind, "result": kept, "made_from": dict(facts)}


def _make(
    kind: str, run_spec: RunSpec, config: Config, folders: tuple[Path | None, Path], train: Train
) -> Mapping[str, Any]:
    """Trains, and leaves this process as it was: random numbers, the progress bar's caption."""
    shared, own = folders
    log.info("%s (%s): this run is held against them, and so are later ones",
             _DOING[kind], config.sharing.plan)  # fmt: skip
    device = run_spec.runtime.device
    before = set_training_caption(_NAMES[kind])
    quiet = log_level("mtl_sharing.job.spec", logging.ERROR)
    try:
        # What a plan without shared weights makes of a setting was not the user's choice.
        with quiet, torch.random.fork_rng([device] if device.type == "cuda" else []):
            return _trained(kind, config, shared, own, train)
    except UserError as error:
        where = f"{error.where}, in training {_NAMES[kind]}"
        raise UserError(where, error.found, error.allowed) from error
    finally:
        set_training_caption(before)
        gc.collect()


def _trained(
    kind: str, config: Config, shared: Path | None, own: Path, train: Train
) -> Mapping[str, Any]:
    """In the cache's folder, where a later run goes on with it; else in the run's own."""
    if shared is not None:
        try:
            return _go_on(kind, config, shared / "run", train)
        except OSError as error:
            words = "%s not in the cache's folder (%s), but in this run's own"
            log.warning(words, _NAMES[kind], error.strerror or error)
    return _go_on(kind, config, own, train)


def _go_on(kind: str, config: Config, folder: Path, train: Train) -> Mapping[str, Any]:
    left = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return train(config, folder)
    except _UNUSABLE as error:
        if not left:
            raise
        log.warning("%s anew, not from what was left of them: %s", _NAMES[kind], error)
    shutil.rmtree(folder)
    folder.mkdir()
    return train(config, folder)


def remove_own(folder: Path) -> None:
    """Removes what was trained in a run's own folder, once the run has its result."""
    shutil.rmtree(folder / BASELINES, ignore_errors=True)


def own_key(run_spec: RunSpec, inputs: RunInputs, folder: Path) -> str | None:
    """Under what a run of separate models may be kept as a baseline.

    None for another run, and for one that goes on with other data, settings or versions than it
    began with.
    """
    if not is_separate(run_spec):
        return None
    facts = made_from(run_spec, inputs, folder / TOKENIZER)
    key, begun = (
        baseline_key(SEPARATE, baseline_config(SEPARATE, run_spec), facts),
        folder / BASELINE_START,
    )
    if not begun.is_file() and not (folder / CHECKPOINT_STATE).is_file():
        replace_json(begun, {"key": key, "made_from": facts})
    return key if _begun_with(begun) == key else None


def _begun_with(path: Path) -> str | None:
    try:
        found: str = json.loads(path.read_text(encoding="utf-8"))["key"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found


def keep_own(run_spec: RunSpec, key: str, folder: Path, result: Mapping[str, Any]) -> None:
    """Keeps a finished run of separate models as a baseline for others, unless there is one."""
    store = _store(run_spec)
    if store is not None:
        with store.exclusive(SEPARATE, key, wait=False) as place:
            if place.entry is None:
                facts = json.loads((folder / BASELINE_START).read_text(encoding="utf-8"))[
                    "made_from"
                ]
                place.publish(_record(SEPARATE, result, facts))
