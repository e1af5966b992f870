"""Files of a stranger's run that would run a command in a reader that trusts them."""

import os
import pickle
import shlex
from collections.abc import Callable
from pathlib import Path

import torch

from trust.special_files import YAML

MARKER = "MARKER"
"""The file in ``outside`` that is there once code of the folder has run."""


class Evil:
    """A pickle that runs a command."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self.command,)


def command(outside: Path) -> str:
    """The command that leaves the marker."""
    return f"touch {shlex.quote(str(outside / MARKER))}"


def yaml_tags(folder: Path, outside: Path) -> None:
    """Tags that call a function, in a run of a version that read its settings from YAML."""
    (folder / "settings.json").unlink(missing_ok=True)
    (folder / ".hydra").mkdir(exist_ok=True)
    for name in YAML:
        tag = f'evil: !!python/object/apply:os.system ["{command(outside)}"]\n'
        old = (folder / name).read_text() if (folder / name).exists() else ""
        (folder / name).write_text(tag + old)


def pickles(folder: Path, outside: Path) -> None:
    content = pickle.dumps(Evil(command(outside)))
    names = ("checkpoint/last.pt", "checkpoint/previous.pt", "model.safetensors",
             "tokenizer.json", "predictions.parquet", "inputs.json")  # fmt: skip
    (folder / "checkpoint").mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(content)


def torch_pickles(folder: Path, outside: Path) -> None:
    """Whole archives of torch, with right checksums, that call a function."""
    (folder / "checkpoint").mkdir(exist_ok=True)
    for name in ("checkpoint/last.pt", "checkpoint/previous.pt", "model.safetensors"):
        torch.save({"step": Evil(command(outside))}, folder / name)
