"""The command ``python -m benchmarks``: runs workloads, stores and shows their results."""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.machine import describe_machine, describe_software
from benchmarks.runner import Log, WorkerError, run_workload
from benchmarks.scaling import run_scaling
from benchmarks.shapes import count_meetings, format_meetings, training_overrides
from benchmarks.summary import summarise
from benchmarks.tables import (
    METRIC_HEADER,
    RATIO_HEADER,
    SCHEMA,
    Row,
    format_machine,
    format_rates,
    metric_rows,
    ratio_rows,
)
from benchmarks.workloads import QUICK, WORKLOADS, Workload, data_overrides, named, shortened, width
from mtl_sharing.utils.device import set_threads
from mtl_sharing.utils.files import replace_json

RESULTS = "results.json"
SCALING, SHAPES = "scaling", "shapes"
_ROUNDS = 3
# Four epochs of batches for the count of shapes.
_SHAPE_STEPS, _SHAPE_ROWS = 200, 800
_FILE_WIDTH = 160
_ABOUT = "This project beside plain training loops. Run it from the checkout."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the chosen workloads; returns 1 where one failed."""
    options = _parser().parse_args(arguments)
    set_threads(None)
    console = _console()
    log: Log = print if console.is_terminal else lambda line: None
    folder = Path(options.out) / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder.mkdir(parents=True)
    results = new_results(options.data_dir, options.rounds)
    here = tuple(w.name for w in WORKLOADS if results["machine"]["gpu"] or not w.gpu)
    names = tuple(options.only or (QUICK if options.quick else (*here, SHAPES, SCALING)))
    for chosen in named(names):
        workload = shortened(chosen) if options.quick else chosen
        results["workloads"].append(measure(workload, options.data_dir, results, log))
        console.print(escape(summary(results["workloads"][-1])), highlight=False)
        replace_json(folder / RESULTS, results)
    if SHAPES in names:
        results["shapes"] = _count_shapes(options.data_dir)
        replace_json(folder / RESULTS, results)
        console.print(escape(format_meetings(results["shapes"])), highlight=False)
    if results["workloads"]:
        show(console, results)
    if SCALING in names:
        run_scaling(folder, print)
    console.print(f"results: {folder}", highlight=False)
    measured = [*results["workloads"], results.get("shapes", {"failed": None})]
    return int(any(one["failed"] is not None for one in measured))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=_ABOUT)
    names = [*(workload.name for workload in WORKLOADS), SHAPES, SCALING]
    parser.add_argument("--quick", action="store_true", help=f"only {' and '.join(QUICK)}")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--data-dir", help="folder of the course data; else the bundled suite")
    parser.add_argument("--out", default="outputs/bench", help="where results go (%(default)s)")
    parser.add_argument("--rounds", type=_count, default=_ROUNDS, help="%(default)s")
    return parser


def _count(text: str) -> int:
    """Parses a number of at least 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return int(text)


def new_results(data_dir: str | None, rounds: int) -> dict[str, Any]:
    """The results of no workload yet."""
    if data_dir is None:
        print("no course data (--data-dir): the bundled suite is used")
    return {
        "schema": SCHEMA,
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
        "data": "bundled suite" if data_dir is None else "course data (cs224n)",
        "rounds": rounds,
        "machine": describe_machine(),
        **describe_software(),
        "workloads": [],
    }


def measure(
    workload: Workload, data_dir: str | None, results: Mapping[str, Any], log: Log
) -> dict[str, Any]:
    """Runs a workload and returns its entry in the results, also for a failure."""
    data = data_overrides(None if workload.bundled else data_dir)
    entry: dict[str, Any] = {
        "name": workload.name,
        "title": workload.title,
        "overrides": [*data, *workload.overrides],
        "hidden": width(workload),
        "failed": None,
    }
    try:
        measured = run_workload(workload, data, results["rounds"], width(workload), log)
    except WorkerError as error:
        return entry | {"failed": str(error)}
    for variant in measured["variants"].values():
        variant["first"] = asdict(variant["first"])
        variant["rounds"] = [asdict(one) for one in variant["rounds"]]
    return entry | measured | summarise(workload, measured, results["machine"]["kind"])


def _count_shapes(data_dir: str | None) -> dict[str, Any]:
    words = training_overrides(data_dir, (f"suite.max_train_rows={_SHAPE_ROWS}",))
    try:
        return {"failed": None} | count_meetings(words, _SHAPE_STEPS)
    except WorkerError as error:
        return {"failed": str(error)}


def summary(entry: dict[str, Any]) -> str:
    """A workload's entry in one line."""
    if entry["failed"] is not None:
        return f"{entry['name']} failed: {entry['failed']}"
    speeds = [r for r in entry["ratios"] if r["metric"] == "speed"]
    ratios = ", ".join(f"{r['median']:.2f} x the speed of {r['over']}" for r in speeds)
    return f"{entry['name']}: {ratios or 'measured'}"


def show(console: Console, results: dict[str, Any]) -> None:
    _table(console, "Metrics", METRIC_HEADER, metric_rows(results))
    _table(console, "Ratios", RATIO_HEADER, ratio_rows(results))
    console.print(format_rates(results), highlight=False)
    console.print(format_machine(results), highlight=False)


def _table(console: Console, title: str, header: Row, rows: list[Row]) -> None:
    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _console() -> Console:
    """A console as wide as the terminal; a file gets a fixed width."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)
