"""Exports a run: a classifier of a task, a plain model with its head, or the whole run."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from secrets import token_hex
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from mtl_sharing.config.identity import Decides, without
from mtl_sharing.errors import UserError, check_known, one_of
from mtl_sharing.export import classifier, plain
from mtl_sharing.export.card import classifier_card, plain_card, run_card
from mtl_sharing.export.head import head_record, head_weights
from mtl_sharing.export.sections import path_name
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.predict.loading import load_run
from mtl_sharing.run_folder.layout import CONFIG, TOKENIZER, WEIGHTS
from mtl_sharing.run_folder.manifest import read_listed_object, replace_listed, text_writer
from mtl_sharing.run_folder.results import read_result
from mtl_sharing.utils.files import json_text, replace_file, replace_json, replace_text

_HEAD_WEIGHTS, _HEAD, _CARD = "head.safetensors", "head.json", "README.md"
# Without effect on the network: a loaded run has their defaults.
_REMOVED = frozenset({
    Decides.PLACE, Decides.INVOCATION, Decides.SCORING, Decides.TRACKING, Decides.START_FILES,
    Decides.DATA_FOLDER,
})  # fmt: skip


def check_target(folder: Path) -> None:
    """Raises UserError where something exists already: nothing is overwritten."""
    allowed = "a new folder, or an empty one"
    if folder.is_dir():
        if any(folder.iterdir()):
            raise UserError("--out", f"{folder}, which is not empty", allowed)
    elif folder.exists() or folder.is_symlink():
        raise UserError("--out", f"{folder}, which is no folder", allowed)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside ``folder``, which is renamed to it at the end of the block.

    Raises:
        UserError: something exists there already.
        OSError: it cannot be written; nothing stays behind.
    """
    folder = folder.expanduser().absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = folder.with_name(f".{folder.name}.{token_hex(4)}.tmp")
    work.mkdir()
    try:
        yield work
        check_target(folder)
        try:
            os.rename(work, folder)  # also onto an empty folder
        except OSError:
            check_target(folder)  # another export was first
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


@dataclass(frozen=True)
class Exported:
    """An export that was written; ``task`` is None where the folder holds the whole run."""

    folder: Path
    task: str | None
    description: str
    parameters: int


def export_run(run_folder: str | Path, task: str | None, out: Path) -> Exported:
    """Writes ``out``, completely or not at all.

    Args:
        task: the task whose tower and head are exported; may be None for a run of one task. For a
            run that no plain model can hold, the task that the card shows; None shows all.

    Raises:
        UserError: no trained run, an unknown task, an encoder that its family's plain model
            cannot represent, or an output folder that is not empty.
        OSError: the folder cannot be written.
    """
    check_target(out.expanduser())
    run = load_run(run_folder, device="cpu")
    if task is not None:
        check_known("--task", task, run.tasks)
    reasons = plain.obstacles(run.run_spec.architecture)
    if reasons:
        return _export_whole(run, task, out, reasons)
    if task is None and len(run.tasks) > 1:
        raise UserError("--task", "none", f"one of the run's tasks: {one_of(run.tasks)}")
    return _export_plain(run, task or run.tasks[0], out)


def _export_plain(run: LoadedRun, task: str, out: Path) -> Exported:
    run_spec = run.run_spec
    architecture, shape = run_spec.architecture, run_spec.shape
    plain.check_shape(shape)
    layers = plain.layers_read(architecture, task)
    padding = plain.padding_id(run.tokenizer, shape.position_offset)
    json_files = plain.tokenizer_files(
        run.tokenizer, run_spec.config.suite.max_length, shape.token_types, padding
    )
    json_files[CONFIG] = plain.plain_config(shape, layers, padding)
    result, reason = read_result(run.folder) or {}, classifier.obstacle(run, task)
    if reason is None:
        json_files[CONFIG] |= classifier.classifier_config(run, task)
        tensors = {WEIGHTS: classifier.classifier_weights(run, task)}
        card = classifier_card(run, result, task)
        model = f"{classifier.CLASSIFIERS[shape.family].name} of {layers} layers, for pipeline()"
    else:
        weights = plain.model_weights(run.network.encoder, architecture, task)
        tensors = {WEIGHTS: weights, _HEAD_WEIGHTS: head_weights(run, task)}
        json_files[_HEAD] = head_record(run, task, tensors[_HEAD_WEIGHTS])
        card = plain_card(run, result, task, json_files[_HEAD], reason)
        model = f"{plain.CLASSES[shape.family]} of {layers} layers, with its head ({reason})"
    _write(out, json_files, tensors, card)
    parameters = sum(value.numel() for value in tensors[WEIGHTS].values())
    return Exported(out, task, f"{task} as a plain {model}", parameters)


def _write(
    out: Path,
    json_files: Mapping[str, dict[str, Any]],
    tensors: Mapping[str, Mapping[str, Tensor]],
    card: str,
) -> None:
    with new_folder(out) as folder:
        for name, content in json_files.items():
            replace_json(folder / name, content)
        for name, weights in tensors.items():
            metadata = {"format": "pt"}
            replace_file(folder / name, partial(save_file, dict(weights), metadata=metadata))
        replace_text(folder / _CARD, card)


def _export_whole(run: LoadedRun, task: str | None, out: Path, reasons: list[str]) -> Exported:
    tasks = run.tasks if task is None else (task,)
    card = run_card(run, read_result(run.folder) or {}, tasks, reasons)
    with new_folder(out) as folder:
        record = without_paths(read_listed_object(run.folder, CONFIG))
        writers = {n: partial(shutil.copyfile, run.folder / n) for n in (WEIGHTS, TOKENIZER)}
        replace_listed(folder, {**writers, CONFIG: text_writer(json_text(record))})
        replace_text(folder / _CARD, card)
    missing = " and ".join(reasons)
    description = f"the whole run, which load_run reads, since {missing} are in no plain model"
    parameters = sum(value.numel() for value in run.network.parameters())
    return Exported(out, None, description, parameters)


def without_paths(record: dict[str, Any]) -> dict[str, Any]:
    """A run's config.json without folders of a machine.

    The starting weights are removed, because loading does not need them. Any other absolute path
    is cut to its last part, so that a spaCy pipeline in a folder is looked up by its name.
    """
    cut: dict[str, Any] = _cut_paths(record | {"settings": without(record["settings"], _REMOVED)})
    return cut


def _cut_paths(value: Any) -> Any:
    if isinstance(value, dict):
        # Labels are texts of the user's own, which may look like paths.
        return {k: v if k == "labels" else _cut_paths(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_cut_paths(item) for item in value]
    return path_name(value) if isinstance(value, str) else value
