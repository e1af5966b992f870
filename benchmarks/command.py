"""The command behind ``python -m benchmarks``: runs workloads, keeps and shows what they gave."""

import argparse
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.contest import ContestError, Say, run_workload
from benchmarks.machine import describe_machine, describe_software
from benchmarks.scaling import run_scaling
from benchmarks.summary import summarise
from benchmarks.tables import (
    FIGURE_HEADER,
    RATIO_HEADER,
    Row,
    figure_rows,
    machine_words,
    rate_words,
    ratio_rows,
)
from benchmarks.workloads import QUICK, WORKLOADS, Workload, data_words, named, quick, width
from mtl_sharing.utils.device import set_threads
from mtl_sharing.utils.files import replace_json

SCHEMA = 1
RESULTS = "results.json"
SCALING = "scaling"
_ROUNDS = 3
_FILE_WIDTH = 160
_ABOUT = "This project beside plain training loops. Run it from the checkout."


def main(words: Sequence[str] | None = None) -> int:
    """Runs what the command line asks for; 1 where a workload failed."""
    options = _parser().parse_args(words)
    set_threads(None)
    console = _console()
    say: Say = print if console.is_terminal else lambda line: None
    folder = Path(options.out) / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    folder.mkdir(parents=True)
    data = data_words(options.data_dir)
    results = _start(options)
    here = tuple(w.name for w in WORKLOADS if results["machine"]["gpu"] or not w.gpu)
    names = tuple(options.only or (QUICK if options.quick else (*here, SCALING)))
    for chosen in named(names):
        workload = quick(chosen) if options.quick else chosen
        results["workloads"].append(_one(workload, data, results["rounds"], say))
        console.print(escape(_outcome(results["workloads"][-1])), highlight=False)
        replace_json(folder / RESULTS, results)
    if results["workloads"]:
        _show(console, results)
    if SCALING in names:
        run_scaling(folder, print)
    console.print(f"results: {folder}", highlight=False)
    return int(any(one["failed"] is not None for one in results["workloads"]))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=_ABOUT)
    names = [*(workload.name for workload in WORKLOADS), SCALING]
    parser.add_argument("--quick", action="store_true", help=f"only {' and '.join(QUICK)}")
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    parser.add_argument("--data-dir", help="folder of the course data; else the bundled suite")
    parser.add_argument("--out", default="outputs/bench", help="where results go (%(default)s)")
    parser.add_argument("--rounds", type=_count, default=_ROUNDS, help="%(default)s")
    return parser


def _count(text: str) -> int:
    """A number of at least 1."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return int(text)


def _start(options: argparse.Namespace) -> dict[str, Any]:
    if options.data_dir is None:
        print("no course data (--data-dir): the bundled suite is used")
    return {
        "schema": SCHEMA,
        "date": f"{datetime.now():%Y-%m-%d %H:%M}",
        "data": "bundled suite" if options.data_dir is None else "course data (cs224n)",
        "rounds": options.rounds,
        "machine": describe_machine(),
        **describe_software(),
        "workloads": [],
    }


def _one(workload: Workload, data: tuple[str, ...], rounds: int, say: Say) -> dict[str, Any]:
    """A workload's entry in the results; a failure is one, too."""
    entry: dict[str, Any] = {
        "name": workload.name,
        "title": workload.title,
        "overrides": [*data, *workload.overrides],
        "hidden": width(workload),
        "failed": None,
    }
    try:
        told = run_workload(workload, data, rounds, width(workload), say)
    except ContestError as error:
        return entry | {"failed": str(error)}
    for contender in told["contenders"].values():
        contender["rounds"] = [asdict(turn) for turn in contender["rounds"]]
    return entry | told | summarise(workload, told)


def _outcome(entry: dict[str, Any]) -> str:
    if entry["failed"] is not None:
        return f"{entry['name']} failed: {entry['failed']}"
    speeds = [r for r in entry["ratios"] if r["figure"] == "speed"]
    words = ", ".join(f"{r['median']:.2f} x the speed of {r['over']}" for r in speeds)
    return f"{entry['name']}: {words or 'measured'}"


def _show(console: Console, results: dict[str, Any]) -> None:
    _table(console, "Figures", FIGURE_HEADER, figure_rows(results))
    _table(console, "Ratios", RATIO_HEADER, ratio_rows(results))
    console.print(rate_words(results), highlight=False)
    console.print(machine_words(results), highlight=False)


def _table(console: Console, title: str, header: Row, rows: list[Row]) -> None:
    table = Table(*header, title=title, title_justify="left")
    for row in rows:
        table.add_row(*map(escape, row))
    console.print(table)


def _console() -> Console:
    """A terminal as wide as it is; a file has no width to keep to."""
    console = Console()
    return console if console.is_terminal else Console(width=_FILE_WIDTH)
