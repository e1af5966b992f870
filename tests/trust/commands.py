"""Calls the commands in this process, and keeps what each said and wrote."""

import csv
import io
import json
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from hydra.core.global_hydra import GlobalHydra

from mtl_sharing.cli import export, predict, report, train
from trust.opened import opened_in

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIMIT_S = 60
# Wall times and what depends on the process.
_CLOCKS = ("time", "memory", "machine", "clock", "train_s")
_TIMED = re.compile(r"(?m)^(time|rows|clock) .*$|\d+\.\d s\b|[\d,]+ (examples|rows)/s")


class Hung(BaseException):
    """A command did not end in time. No Exception, so that no command handles it."""


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, what it said, a digest for each output, what it opened."""

    code: int
    text: str
    page: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    is_hung: bool = False
    opened: frozenset[str] = frozenset()

    def lines(self) -> set[str]:
        """The lines that were printed, and the texts of the report's page."""
        return {*self.text.splitlines(), *re.split(r"[<>\n]", self.page)}


@dataclass(frozen=True)
class Command:
    """A command on a run's folder; it may write to ``out`` beside it."""

    main: Callable[[], None]
    words: Callable[[Path, Path], list[str]]
    outputs: Callable[[Path, Path], dict[str, str]]


def call(command: Command, run: Path, limit_s: float = LIMIT_S) -> Answer:
    """The command's answer; times and the folder's name are left out of it."""
    out = run.with_name("out")
    with opened_in(run) as opened:
        code, text, is_hung = invoke(command.main, command.words(run, out), limit_s)
    text = _TIMED.sub("TIME", text.replace(str(run.parent), "FOLDER"))
    page = out / "report.html"
    return Answer(
        code, text, page.read_text("utf-8") if page.exists() else "",
        command.outputs(run, out) if code == 0 else {}, is_hung,
        frozenset(opened),
    )  # fmt: skip


def invoke(
    main: Callable[[], None], words: list[str], limit_s: float = LIMIT_S
) -> tuple[int, str, bool]:
    """Exit code, what was printed, and whether the command hung."""
    text, code, is_hung = io.StringIO(), 0, False
    with _as_process(words), _undrawn(), redirect_stdout(text), redirect_stderr(text):
        try:
            with _limit(limit_s):
                main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except Hung:
            code, is_hung = 1, True
        except BaseException:
            code = 1
            traceback.print_exc()
    return code, text.getvalue(), is_hung


@contextmanager
def _as_process(words: list[str]) -> Iterator[None]:
    """Within the block: a command line; at its end all is as before."""
    root, arguments, here = logging.getLogger(), sys.argv, Path.cwd()
    handlers, level, raises = root.handlers[:], root.level, logging.raiseExceptions
    sys.argv = words
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        sys.argv = arguments
        os.chdir(here)
        for handler in set(root.handlers) - set(handlers):
            handler.close()
        root.handlers[:] = handlers
        root.setLevel(level)
        logging.raiseExceptions = raises


@contextmanager
def _undrawn() -> Iterator[None]:
    """Within the block a figure's file is a digest of its lines: drawing takes most of the time."""

    def digest(figure: "Figure", kind: str) -> bytes:
        lines = [line.get_xydata().tolist() for axes in figure.axes for line in axes.lines]
        return f"<svg><!-- {sha256(repr(lines).encode()).hexdigest()} --></svg>".encode()

    with (
        patch("mtl_sharing.report.page.figures.rendered", digest),
        patch("mtl_sharing.job.stages.draw_curves", lambda *arguments: None),
    ):
        yield


@contextmanager
def _limit(seconds: float) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise Hung

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _digests(run: Path, out: Path) -> dict[str, str]:
    """Digests of the written files but the page, which has the time of its writing."""
    return {
        str(path.relative_to(out)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*")) if path.is_file() and path.name != "report.html"
    }  # fmt: skip


def _without_clocks(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_clocks(v) for k, v in value.items() if k not in _CLOCKS}
    return value


def _trained(run: Path, out: Path) -> dict[str, str]:
    """The files of a run that has ended, without times."""
    result = _without_clocks(json.loads((run / "result.json").read_text()))
    with (run / "metrics.csv").open() as file:
        rows = [_without_clocks(row) for row in csv.DictReader(file)]
    weights = sha256((run / "model.safetensors").read_bytes()).hexdigest()
    return {"result.json": json.dumps(result), "metrics.csv": json.dumps(rows), "weights": weights}


def _predict(run: Path, out: Path) -> list[str]:
    return ["mtl-predict", str(run), "--split", "dev", "--tasks", "sts", "--device", "cpu",
            "--out", str(out)]  # fmt: skip


def _report(run: Path, out: Path) -> list[str]:
    return ["mtl-report", str(run.parent), "--out", str(out), "--formats", "html,csv,svg"]


def _export(run: Path, out: Path) -> list[str]:
    return ["mtl-export", str(run), "--task", "sst", "--out", str(out)]


COMMANDS = {
    "resume": Command(train.main, lambda run, out: ["mtl-train", f"resume={run}"], _trained),
    "predict": Command(predict.main, _predict, _digests),
    "report": Command(report.main, _report, _digests),
    "export": Command(export.main, _export, _digests),
}
"""The commands that read a run, by name."""
