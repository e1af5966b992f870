"""Counts first meetings of shapes: the products that oneDNN prepares anew during a training.

    python -m benchmarks.shapes [--data-dir FOLDER] [--steps 500] [OVERRIDE ...]

The training is that of the workload ``hybrid_16``, ends of epochs included. Only products that
oneDNN computes are counted: on a CPU those in bf16.
"""

import argparse
import ctypes
import logging
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.project import ProjectTraining, prepare
from benchmarks.runner import WorkerError
from benchmarks.workloads import FOLDER, data_overrides, named
from mtl_sharing.utils.device import set_threads

FIRST, STEPS = 50, 500
_MARK, _CREATED, _MISSED = "benchmark step ", ",create:", ",create:cache_miss,"
_SHOWN = 8


@dataclass(frozen=True)
class Creation:
    """A primitive that oneDNN created.

    Attributes:
        step: number of the step, from 1; 0 is the set-up with the warm-up.
        shape: kind and sizes, such as ``matmul 96x384:384x1536``.
        new: whether it was prepared, not found in oneDNN's cache.
        key: everything that makes two primitives the same.
    """

    step: int
    shape: str
    new: bool
    key: str


def count_meetings(overrides: Sequence[str], steps: int) -> dict[str, Any]:
    """First meetings of shapes by phase of a training in a child process.

    Returns:
        ``steps``, ``created`` (primitives, those from the cache too), the first meetings ``before``
        the first step, in the ``first`` 50 steps and ``later``, how many of them met a shape again
        that oneDNN's cache had ``dropped``, and ``latest``, later shapes.

    Raises:
        WorkerError: the training failed.
    """
    command = [sys.executable, "-m", "benchmarks.shapes", "--child", "--steps", str(steps)]
    environment = os.environ | {"ONEDNN_VERBOSE": "profile_create"}
    with subprocess.Popen(
        [*command, *overrides], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        counts = count_phases(read_creations(child.stdout), steps)
    if child.returncode:
        raise WorkerError(f"the training ended with {child.returncode}")
    return counts


def read_creations(lines: Iterable[str]) -> Iterator[Creation]:
    """The creations in oneDNN's log, which has a mark before each step."""
    step = 0
    for line in lines:
        if line.startswith(_MARK):
            step = int(line.removeprefix(_MARK))
        elif _CREATED in line:
            # ...,create:cache_miss,cpu,matmul,implementation,...,sizes,milliseconds
            fields = line.split(",")
            own = fields[fields.index("cpu") + 1 : -1]
            yield Creation(step, f"{own[0]} {own[-1]}", _MISSED in line, ",".join(own))


def count_phases(creations: Iterable[Creation], steps: int) -> dict[str, Any]:
    """The counts of :func:`count_meetings`."""
    counts: Counter[str] = Counter()
    latest: dict[str, None] = {}
    met: set[str] = set()
    for one in creations:
        counts["created"] += 1
        if one.new:
            phase = "later" if one.step > FIRST else "first" if one.step else "before"
            counts[phase] += 1
            counts["dropped"] += one.key in met
            met.add(one.key)
            if phase == "later":
                latest.pop(one.shape, None)
                latest[one.shape] = None
    numbers = {name: counts[name] for name in ("created", "before", "first", "later", "dropped")}
    return {"steps": steps, **numbers, "latest": list(latest)[-_SHOWN:]}


def format_meetings(counts: dict[str, Any]) -> str:
    """One line with the counts."""
    if counts.get("failed") is not None:
        return f"First meetings of shapes failed: {counts['failed']}"
    if not counts["created"]:
        return "First meetings of shapes: oneDNN computed no product"
    steps = counts["steps"]
    line = (
        f"First meetings of shapes: {counts['before']} before the first step, "
        f"{counts['first']} in steps 1 to {min(FIRST, steps)}, {counts['later']} in later ones up "
        f"to step {steps}, of {counts['created']:,} uses; oneDNN's cache had dropped "
        f"{counts['dropped']} of these shapes"
    )
    return f"{line}; the latest: {', '.join(counts['latest'])}" if counts["latest"] else line


def training_overrides(data_dir: str | None, more: Iterable[str] = ()) -> tuple[str, ...]:
    """Overrides of the workload ``hybrid_16``, and more."""
    (workload,) = named(("hybrid_16",))
    return (*data_overrides(data_dir), *workload.overrides, *more)


def _train(overrides: Sequence[str], steps: int) -> None:
    """Takes the steps in this process, with a mark in oneDNN's log before each."""
    logging.disable(logging.WARNING)
    set_threads(None)
    with TemporaryDirectory() as folder:
        words = [text.replace(FOLDER, folder) for text in overrides]
        training = ProjectTraining(*prepare(words, Path(folder) / "run"))
        training.warm_up()
        for number in range(steps):
            with suppress(OSError, AttributeError):
                ctypes.CDLL(None).fflush(None)  # oneDNN's log has a buffer of its own
            print(f"{_MARK}{number + 1}", flush=True)
            training.step(number)


def main() -> None:
    """Prints the counts, or takes the steps as the child."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shapes")
    parser.add_argument("--data-dir", help="folder of the course data; else the bundled suite")
    parser.add_argument("--steps", type=int, default=STEPS, help="%(default)s")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="of mtl-train")
    options = parser.parse_args()
    if options.child:
        _train(options.overrides, options.steps)
        return
    overrides = training_overrides(options.data_dir, options.overrides)
    print(format_meetings(count_meetings(overrides, options.steps)))


if __name__ == "__main__":
    main()
