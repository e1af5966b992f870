"""The small tables that a run ends with, and that a dry run prints."""

from itertools import groupby
from pathlib import Path
from typing import Any

from rich import get_console
from rich.table import Table

from mtl_sharing.utils.files import short_path

Record = dict[str, Any]


def print_result(result: Record, folder: Path) -> None:
    """Each task's figure, then the score and what it is made of, then where to look."""
    table = Table("task", "metric", box=None, header_style="bold", pad_edge=False)
    for name in ("value", "constant answer", "dev examples"):
        table.add_column(name, justify="right")
    for name, task in result["tasks"].items():
        numbers = (f"{task['value']:.3f}", f"{task['floor']:.3f}", f"{task['examples']:,}")
        table.add_row(name, task["metric"], *numbers)
    _print()
    _print(table)
    _print()
    if result.get("against"):
        _print(_changes(result))
        _print()
    for label, text in _result_lines(result):
        _print(f"{label:<13}{text}")
    _print(f"{'run':<13}{short_path(folder)}")


def _result_lines(result: Record) -> list[tuple[str, str]]:
    params, times = result["params"], result["time"]
    lines = [
        ("regime", f"{result.get('regime', result['plan'])} (seed {result['seed']})"),
        (
            "performance",
            f"{result['performance']:.4f}, {result['performance_raw_r']:.4f} with raw r",
        ),
        *_selection_line(result),
        ("parameters", f"{params['total']:,}, of which {params['shared']:,} shared"),
        ("time", f"{times['train_s']:.1f} s of training steps{_rate(times)}"),
    ]
    if result["baseline"] is not None:
        ratios = result["multipliers"]
        against = f"{result['baseline']['plan']} takes {ratios['memory']:.2f} x the memory"
        lines.append(("baseline", f"{against} and {ratios['time']:.2f} x the time{_clock(result)}"))
        lines.append(("score", f"{result['score']:.4f}"))
    if result["kept"] is not None:
        lines.append(("kept", f"{result['kept']:.1%} of separate models' performance"))
    return lines


# What the baselines in a result are called.
_BASELINES = {"separate": "separate models", "untuned": "the untuned encoder"}


def _changes(result: Record) -> Table:
    """By how many percent each task's figures differ from every baseline's."""
    table = Table("change against", "task", box=None, header_style="bold", pad_edge=False)
    for name in ("precision", "recall", "f1", "metric"):
        table.add_column(name, justify="right")
    for baseline, tasks in result["against"].items():
        for number, (task, changes) in enumerate(tasks.items()):
            shown = [_percent(changes[f]) for f in ("precision", "recall", "f1")]
            shown.append(_percent(changes[result["tasks"][task]["metric"]]))
            table.add_row("" if number else _BASELINES[baseline], task, *shown)
    return table


def _percent(change: float | None) -> str:
    return "-" if change is None else f"{change:+.1f}%"


def _selection_line(result: Record) -> list[tuple[str, str]]:
    """What the run was judged by where that was not dev; a result of old does not say."""
    chosen = result.get("selection")
    if chosen is None:
        return []
    count = sum(task["examples"] for task in chosen["tasks"].values())
    return [("selection", f"{chosen['performance']:.4f} on {count:,} examples held out of train")]


def _clock(result: Record) -> str:
    return " by FLOPs" if result["scored_by"]["clock"] == "flops" else ""


def _rate(times: Record) -> str:
    rate = times["examples_per_s"]
    return "" if rate is None else f", {rate:.0f} examples/s"


def print_plan(record: Record, folder: Path) -> None:
    """Stage by task: who owns what, what trains, and what it costs."""
    tasks = record["tasks"]
    table = Table("stage", "own", "trains", box=None, header_style="bold", pad_edge=False)
    for name in (*tasks, "each", "together"):
        table.add_column(name, justify="right")
    for label, stage in _merged(record["stages"]):
        trains = "yes" if stage["trains"] else "no"
        sizes = [f"{size:,}" for size in sorted(set(stage["parameters"]))]
        each = " to ".join(dict.fromkeys((*sizes[:1], *sizes[-1:]))) or "-"
        cells = [_copy_of(task, stage["owners"]) for task in tasks]
        table.add_row(label, stage["ownership"], trains, *cells, each, f"{stage['together']:,}")
    _print(table)
    _print()
    for label, text in _plan_lines(record):
        _print(f"{label:<16}{text}")
    _print(f"{'plan.json':<16}{short_path(folder)}")


def _copy_of(task: str, owners: list[list[str]]) -> str:
    """Which copy a task uses: a letter for each copy, in the order of the owners; "-" for none."""
    for number, group in enumerate(owners):
        if task in group:
            return chr(ord("a") + number) if number < 26 else str(number)
    return "-"


def _merged(stages: list[Record]) -> list[tuple[str, Record]]:
    """Runs of equal encoder layers in one line: label and stage, with the run's total."""
    lines = []
    for _, run in groupby(stages, _alike):
        first, *others = list(run)
        label = first["stage"]
        if others:
            label = f"{label.replace('.', 's ')}-{others[-1]['stage'].partition('.')[2]}"
        together = first["total"] + sum(stage["total"] for stage in others)
        lines.append((label, first | {"together": together}))
    return lines


def _alike(stage: Record) -> tuple[str, str, list[int]]:
    return stage["stage"].partition(".")[0], stage["ownership"], list(stage["parameters"])


def _plan_lines(record: Record) -> list[tuple[str, str]]:
    params, baseline = record["params"], record["baseline"]
    saved = params["total"] / baseline["params"]["total"]
    serving = "  ".join(f"{task} {count:,}" for task, count in params["per_task"].items())
    size = record["memory"]["model_bytes"] / 1e6
    return [
        ("regime", record["regime"]),
        *_part_lines(record),
        ("one tower", f"{record['tower_parameters']:,} parameters"),
        ("shared", f"{params['shared']:,}"),
        ("total", f"{params['total']:,} ({size:,.1f} MB), {params['trainable']:,} of it train"),
        ("serving alone", serving),
        ("baseline", f"{baseline['plan']}: {baseline['params']['total']:,}; this is {saved:.1%}"),
    ]


def _part_lines(record: Record) -> list[tuple[str, str]]:
    lines, parts = [], record["parts"]
    if "pals" in parts:
        for task, own in record["pals_per_task"].items():
            numbers = f"{own['weights']:,} weights, {own['biases']:,} biases"
            lines.append(("pals", f"{task}: {numbers}, {own['layers']} layers"))
    if "lanes" in parts:
        upstream = parts["lanes"]["upstream"].items()
        read = "; ".join(f"{task} reads {', '.join(names)}" for task, names in upstream if names)
        lines.append(("lanes", read))
    if "clean" in parts:
        lines.append(("clean", ", then ".join(parts["clean"]["steps"])))
    if "tags" in parts:
        kinds = (("parts of speech", "pos"), ("entity types", "entities"))
        each = [f"{len(parts['tags'][key])} {kind}" for kind, key in kinds if parts["tags"][key]]
        lines.append(("tags", f"{' and '.join(each)} by {parts['tags']['pipeline']}"))
    return lines


def _print(what: object = "") -> None:
    get_console().print(what, soft_wrap=isinstance(what, str), highlight=False, markup=False)
