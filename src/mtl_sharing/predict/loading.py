"""Loads a trained run from three files: weights, config.json and tokenizer.json."""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from mtl_sharing.config.identity import Decides, without
from mtl_sharing.config.saved import other_settings, saved_config
from mtl_sharing.data.tokens.tokenizing import check_vocabulary, read_tokenizer
from mtl_sharing.errors import UserError, first_line
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.model.encoder.checkpoint import check_weights, read_weights
from mtl_sharing.model.encoder.shape import SHAPE_FIELDS
from mtl_sharing.model.network import Network
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.run_folder.layout import CONFIG, PLAN, TOKENIZER, WEIGHTS, resume_command
from mtl_sharing.run_folder.manifest import check_listed, read_listed_object
from mtl_sharing.run_folder.results import read_result
from mtl_sharing.tracking.settings import TrackerConfig
from mtl_sharing.utils.device import choose_device, has_bf16
from mtl_sharing.utils.files import expand_user
from mtl_sharing.utils.logging import log_level
from mtl_sharing.utils.nested import get

log = logging.getLogger(__name__)

# On a network that is only used; what a config asked for may be missing there.
_WITHOUT_EFFECT = frozenset({
    Decides.PLACE, Decides.INVOCATION, Decides.SCORING, Decides.TRACKING,
})  # fmt: skip
_RUN = "the folder of a run that has trained"
_LATER = "a run after its first evaluation"
# Why a run of this status may have no weights yet, and what to do about it.
_WITHOUT_WEIGHTS = {
    "running": ("has not evaluated yet", _LATER),
    "stopped": (
        "was stopped before its first evaluation",
        f"{_LATER} ({{resume}} goes on with this one)",
    ),
    "failed": ("failed before its first evaluation", f"{_RUN} (train.log says why)"),
    "pruned": ("was pruned before its first evaluation", _RUN),
}


def load_run(folder: str | Path, device: str = "auto") -> LoadedRun:
    """Loads the run in ``folder`` with its best weights so far.

    Reads model.safetensors, config.json and tokenizer.json of the folder and nothing else, so the
    folder may come from another machine. No code of it is executed, and the hub is not used. A run
    that is still training can be loaded after its first evaluation.

    Args:
        device: ``auto`` (the GPU where there is one), ``cpu``, ``cuda``, ``cuda:1`` and so on.

    Raises:
        UserError: no run is there, it has no weights, or its files are damaged or do not fit.
    """
    try:
        choose_device(device)
    except UserError as error:
        raise UserError("device", error.found, error.allowed) from None
    folder = expand_user("folder", folder)
    run_spec = _read_spec(folder / CONFIG, _read_record(folder), device)
    network = _load_network(run_spec, folder / WEIGHTS)
    if not (folder / TOKENIZER).is_file():
        raise UserError(str(folder), f"no {TOKENIZER}", _RUN)
    check_listed(folder, TOKENIZER)
    tokenizer = read_tokenizer(folder / TOKENIZER)
    check_vocabulary(tokenizer, run_spec.shape.vocabulary)
    return LoadedRun(folder, run_spec, network, tokenizer)


def _read_record(folder: Path) -> dict[str, Any]:
    """The content of config.json, if the folder holds a trained run."""
    if not folder.is_dir():
        raise UserError(str(folder), "a file" if folder.exists() else "no such folder", _RUN)
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise _no_weights(folder)
    record = read_listed_object(folder, CONFIG)
    if "settings" not in record:
        kind = "an encoder's" if "model_type" in record else "one of an earlier version's"
        found = f"{kind}, without the run's settings"
        raise UserError(str(folder / CONFIG), found, "a run of this version; train it again")
    return record


def _no_weights(folder: Path) -> UserError:
    """The reason why a folder has no weights, as far as its other files show it."""
    result = read_result(folder)
    status = None if result is None else str(result.get("status"))
    if status in _WITHOUT_WEIGHTS:
        reason, allowed = _WITHOUT_WEIGHTS[status]
        resume = resume_command(folder)
        return UserError(str(folder), f"a run that {reason}", allowed.format(resume=resume))
    if (folder / PLAN).is_file() and status is None:
        return UserError(str(folder), "a dry run, which has no weights", _RUN)
    if (folder / CONFIG).is_file() or status is not None:
        return UserError(str(folder), f"a run without {WEIGHTS}", _RUN)
    return UserError(str(folder), f"a folder without {CONFIG} and {WEIGHTS}", _RUN)


def _read_spec(path: Path, record: Mapping[str, Any], device: str) -> RunSpec:
    """The run's settings from its config.json, without what it started from."""
    try:
        config = saved_config(path, without(record["settings"], _WITHOUT_EFFECT))
        shape = {name: record["encoder"][name] for name in SHAPE_FIELDS}
        encoder = replace(config.encoder, checkpoint=None, tokenizer=None, **shape)
        # Where the device lacks bf16, fp32 is faster.
        precision = record["precision"] if has_bf16(choose_device(device)) else "fp32"
        trainer = replace(config.trainer, device=device, precision=precision, threads=None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise other_settings(path, first_line(error)) from None
    # Packages of trackers and aggregators may be missing where the run is only used.
    config = replace(config, encoder=encoder, trainer=trainer, tracker=TrackerConfig(),
                     loss=LossConfig(), resume=None)  # fmt: skip
    # Settings without effect were warned of when the run began.
    with log_level("mtl_sharing", logging.ERROR):
        run_spec = start_on_machine(resolve_spec(config))
    recorded, tags = get(record, "parts.tags.digest"), run_spec.text.tags
    if recorded is not None and tags is not None and recorded != tags.digest:
        message = "%s is not the pipeline that the run was trained with: tags may differ"
        log.warning(message, tags.pipeline)
    return run_spec


def _load_network(run_spec: RunSpec, path: Path) -> Network:
    # On "meta" no time goes into random numbers that the weights would overwrite.
    with torch.device("meta"):
        network = Network(run_spec.architecture, None)
    check_listed(path.parent, path.name)
    weights = read_weights(path)
    check_weights("the network", weights, network.state_dict(), path, f"weights of {CONFIG}")
    network.load_state_dict(weights, assign=True)
    return network.to(run_spec.runtime.device).eval()
