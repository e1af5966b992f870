"""What many tests share: where things are, a quick run, and what a command left."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.config import Config, register, to_config
from mtl_sharing.config.compose import compose_with_texts
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import HeadShape, LaneShape, PalShape, TaskHead
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.run_folder.manifest import replace_listed_text

ROOT = Path(__file__).resolve().parents[1]
COURSE_DATA = ROOT.parent / "shared" / "data" / "cs224n"

# A whole run in about a second: few rows, few steps, a narrow encoder.
QUICK = (
    "suite.max_train_rows=40",
    "suite.max_dev_rows=30",
    "trainer.max_steps=4",
    "trainer.batch_size=4",
    "encoder.checkpoint=null",
    "encoder.hidden=12",
    "encoder.embedding=12",
    "encoder.heads=3",
    "encoder.intermediate=20",
    "encoder.vocabulary=700",
    "score.pairs=0",
)


def rewrite(path: Path, text: str) -> None:
    """Replaces a file of a run as the run itself would, so that its digest is right."""
    replace_listed_text(path.parent, path.name, text)


@dataclass
class Outcome:
    """What a command left: exit code, what it printed, and its newest run folder."""

    code: int
    out: str
    err: str
    cwd: Path

    @property
    def folder(self) -> Path:
        return max(self.cwd.glob("outputs/*/*"), key=lambda path: path.stat().st_mtime)

    @property
    def result(self) -> dict:
        return json.loads((self.folder / "result.json").read_text())

    def run_result(self, name: str) -> dict:
        """The result of the run in the folder ``name``."""
        return json.loads((self.cwd / name / "result.json").read_text())


def architecture_of(
    shape: EncoderShape,
    plan: str | SharingPlan,
    heads: Iterable[TaskHead],
    depth: int = 0,
    pals: PalShape | None = None,
    lanes: LaneShape | None = None,
    head_width: int = 13,
    activation: str = "relu",
    dropout: float = 0.4,
    head_layers: Mapping[str, int] | None = None,
    pooling: str | None = None,
) -> Architecture:
    """An architecture in one line; tasks are the heads' names, in their order.

    Args:
        plan: a plan, or its text.
        depth: of the hidden head layers, which are ``head_width`` wide.
        head_layers: the encoder layer that each named task reads; others keep their own.
        pooling: of every head; None keeps each head's own.
    """
    layers = head_layers or {}
    heads = tuple(replace(head, layer=layers.get(head.name, head.layer)) for head in heads)
    if pooling is not None:
        heads = tuple(replace(head, pooling=pooling) for head in heads)
    if isinstance(plan, str):
        plan = SharingPlan.parse(plan, tuple(head.name for head in heads), shape.layers)
    head = HeadShape(depth, head_width, activation, dropout)
    return Architecture(shape, plan, heads, head, pals, lanes)


def perturb(network: Network) -> Network:
    """Makes every copy's weights its own, and none 0."""
    torch.manual_seed(19)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return network


# Plain values. Other overrides choose groups, add and delete, and decide what is composed.
_VALUE = re.compile(
    r"(seed|split|data_dir|resume|dry_run|check_data|(?!hydra\.)[a-z_]+(\.\w+)+)=.*", re.DOTALL
)


@cache
def _composed(overrides: tuple[str, ...]) -> DictConfig:
    register()
    with initialize_config_module("mtl_sharing.conf"):
        return compose("train", overrides=list(overrides))


def compose_config(overrides: Sequence[str] | Config) -> Config:
    """The config of these overrides."""
    return compose_with_texts(overrides)[0]


def load_config(*overrides: str) -> Config:
    """The composed config of a dry run with these overrides.

    Composing takes a quarter of a second. A composition is kept for each choice of groups, and
    plain values are set in a copy, as Hydra does it.
    """
    overrides = ("dry_run=true", "trainer.precision=fp32", *overrides)
    values = [override for override in overrides if _VALUE.fullmatch(override)]
    config = deepcopy(_composed(tuple(name for name in overrides if name not in values)))
    for override in OverridesParser.create().parse_overrides(values):
        OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
    return to_config(config)


def start(cwd: Path, *words: str) -> subprocess.Popen:
    """``mtl-train`` in a process of its own; its stdout has stderr in it."""
    command = [sys.executable, "-m", "mtl_sharing.cli.train", *words]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=cwd, env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            preexec_fn=hear_interrupts)  # fmt: skip


def hear_interrupts() -> None:
    """For a child that is to be interrupted: what a shell starts with ``&`` ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def wait_for(path: Path, process: subprocess.Popen, seconds: float = 600) -> None:
    """Until a process has written ``path``."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.01)


class _Interrupting(logging.Handler):
    def __init__(self, step: int) -> None:
        super().__init__()
        self.start = f"step {step} of "

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self.start):
            os.kill(os.getpid(), signal.SIGINT)


@contextmanager
def interrupted_at_step(step: int) -> Iterator[None]:
    """Within the block Ctrl-C arrives when a training of this process logs the step."""
    handler, log = _Interrupting(step), logging.getLogger("mtl_sharing")
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)


class _Unopened:
    """A config file that an interrupt reaches before it is open."""

    def open(self, **named: str) -> None:
        raise KeyboardInterrupt


def interrupt_reading(patch: pytest.MonkeyPatch) -> None:
    """Has Ctrl-C come whenever Hydra opens a config file; its ``finally`` makes another error."""
    try:
        from hydra._internal.core_plugins.importlib_resources_config_source import (
            ImportlibResourcesConfigSource as Source,
        )

        read = Source._read_config
    except (ImportError, AttributeError):
        pytest.fail("Hydra reads config files elsewhere now: interrupt it there")
    patch.setattr(Source, "_read_config", lambda self, file: read(self, _Unopened()))
