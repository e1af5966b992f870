"""The summaries of a finished run, and of a plan."""

import shlex
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from mtl_sharing.score.clock import is_measured, machine_text, pair_range, range_text
from mtl_sharing.score.performance import (
    CORRELATIONS,
    FLOOR_FLAG,
    UNTRAINED_FLAG,
    flags,
    is_at_floor,
    tasks_at_floor,
)
from mtl_sharing.utils.files import short_path
from mtl_sharing.utils.summary import Summary
from mtl_sharing.utils.tables import FoldingTable, table_of

Record = dict[str, Any]


def result_summary(result: Record, folder: Path) -> Summary:
    """The summary of a run: its answer, each task's metric, the score's factors and the folder."""
    rows = [
        {"task": name, "metric": task["metric"], "value": f"{task['value']:.3f}",
         "floor": f"{task['floor']:.3f}", "dev examples": f"{task['examples']:,}"}
        for name, task in result["tasks"].items()
    ]  # fmt: skip
    contents: list[object] = [table_of(rows, ("task", "metric"))]
    notes = [f"{name}: {note}" for name in result["tasks"] if (note := _note(result, name))]
    contents += ["\n".join(notes)] * bool(notes)
    if result.get("against"):
        contents += [_changes(result), *[_ROUNDED] * bool(result["scored_by"].get("rounded"))]
    path = str(short_path(folder))
    return Summary(
        answer=_answer(result),
        contents=contents,
        details=_result_lines(result),
        files=[("run", path)],
        commands=[shlex.join(["mtl-report", path]),
                  f"{shlex.join(['mtl-predict', path, '--string'])} \"a text\""],
        record={**result, "folder": str(folder)},
    )  # fmt: skip


def _answer(result: Record) -> str:
    """The run's performance, the share kept and the cost, in a sentence."""
    text = f"{result.get('regime', result['plan'])} reaches {result['performance']:.4f}"
    if (floor := result.get("floor_performance")) is not None:
        text += f", a constant answer {floor:.4f}"
    of_reference = _reference(result.get("reference") or {})
    if result["kept"] is not None and of_reference:
        text += f"; it keeps {result['kept']:.1%} of {of_reference} at {_size(result)}"
    else:
        text += f"; it has {_size(result)}"
    flag = flags(tasks_at_floor(result["tasks"]), result.get("untrained", ()))
    return f"{text}; {flag}" if flag else text


def _size(result: Record) -> str:
    total, baseline = result["params"]["total"], result["baseline"]
    of_separate = None if baseline is None else baseline["params"]["total"]
    if of_separate in (None, total):
        return f"{total:,} parameters"
    return f"{total / of_separate:.1%} of separate models' parameters"


def _reference(reference: Record) -> str:
    """The reference of a kept share; empty for separate models themselves."""
    if reference.get("kind") == "number":
        return f"the reference {reference['performance']:.4f}"
    return "separate models (one training)" if reference else ""


def _note(result: Record, name: str) -> str:
    """The warnings that belong to a task's value."""
    task = result["tasks"][name]
    why = task.get("undefined", {}).get(task["metric"])
    notes = {
        f"undefined: {why}": why is not None,
        FLOOR_FLAG: is_at_floor(task["value"], task["floor"]),
        UNTRAINED_FLAG: name in result.get("untrained", ()),
    }
    return "; ".join(note for note, holds in notes.items() if holds)


def _result_lines(result: Record) -> list[tuple[str, str]]:
    params, raw_r = result["params"], result["performance_raw_r"]
    seconds, rate = (result["time"][name] for name in ("train_s", "examples_per_s"))
    speed = "" if rate is None else f", {rate:.0f} examples/s"
    selection = result.get("selection")  # missing in old results
    flag = flags(tasks_at_floor(result["tasks"]), result.get("untrained", ()))
    flag = flag and f"  [{flag}]"
    lines = [
        ("regime", f"{result.get('regime', result['plan'])} (seed {result['seed']})"),
        ("performance", f"{result['performance']:.4f}, {raw_r:.4f} with raw r{flag}"),
    ]
    if (floor := result.get("floor_performance")) is not None:
        raw = result["floor_performance_raw_r"]
        lines.append(("floor", f"{floor:.4f}, {raw:.4f} with raw r, by a constant answer"))
    if selection is not None:
        count = sum(task["examples"] for task in selection["tasks"].values())
        text = f"{selection['performance']:.4f} on {count:,} examples held out of train"
        if (floor := selection.get("floor_performance")) is not None:
            text += f", {floor:.4f} by a constant answer"
        lines.append(("selection", text))
    if len(components := result.get("components", [])) > 1:
        steps = (f"{' and '.join(c['tasks'])} {c['best_step']}" for c in components)
        lines.append(("best step", f"{', '.join(steps)}: each is a training of its own"))
    lines += [
        ("parameters", f"{params['total']:,}, of which {params['shared']:,} shared"),
        ("time", f"{seconds:.1f} s of training steps{speed}"),
    ]
    if result["baseline"] is not None:
        ratios = result["multipliers"]
        memory = f"{result['baseline']['plan']} takes {ratios['memory']:.2f} x the memory"
        clock = " by FLOPs" if result["scored_by"]["clock"] == "flops" else ""
        lines.append(("baseline", f"{memory} and {ratios['time']:.2f} x the time{clock}"))
        lines.append(("score", f"{result['score']:.4f}{flag}"))
        if is_measured(result):
            count, spread = result["baseline"]["pairs"], range_text(pair_range(result))
            pairs = f"{count} timed pair{'' if count == 1 else 's'}: {spread} x the time"
            lines.append(("clock", f"measured on {machine_text(result['machine'])}; {pairs}"))
    if result["kept"] is not None:
        lines.append(("kept", f"{_kept(result)}{flag}"))
    return lines


def _kept(result: Record) -> str:
    text = f"{result['kept']:.1%} of separate models' performance"
    if "kept_above_floor" not in result:  # missing in old results
        return text
    above = result["kept_above_floor"]
    if above is None:
        return f"{text}; separate models are not above a constant answer"
    return f"{text}, {above:.1%} of what they have above a constant answer"


_ROUNDED = "(rounded): precision, recall and f1 of a regression's values rounded to whole classes"
# Names of the baselines in a result.
_BASELINES = {"separate": "separate models", "untuned": "the untuned encoder"}


def _changes(result: Record) -> FoldingTable:
    """Each task's change against every baseline, in percent."""
    rows, figures = [], ("precision", "recall", "f1", "metric")
    rounded = result["scored_by"].get("rounded", False)
    for baseline, tasks in result["against"].items():
        for number, (task, changes) in enumerate(tasks.items()):
            metric, label = result["tasks"][task]["metric"], task
            values = [changes[name] for name in ("precision", "recall", "f1", metric)]
            if metric in CORRELATIONS and rounded:
                label = f"{task} (rounded)"
            elif metric in CORRELATIONS:
                values[:3] = [None] * 3
            cells = ["-" if value is None else f"{value:+.1f}%" for value in values]
            names = {"change against": "" if number else _BASELINES[baseline], "task": label}
            rows.append(names | dict(zip(figures, cells, strict=True)))
    return table_of(rows, ("change against", "task"), keys=2)


_NO_DATA = ("data", "no data was read; check_data=true reads it")


def plan_summary(record: Record, folder: Path, reads_data: bool = False) -> Summary:
    """The size of a plan, a table of stages by tasks with owners and sizes, the costs.

    Args:
        reads_data: whether the data are read, too, and shown below.
    """
    total, baseline = record["params"]["total"], record["baseline"]
    share = f"{total / baseline['params']['total']:.1%} of {baseline['plan']}'s"
    return Summary(
        answer=f"{record['regime']} has {total:,} parameters, {share}; nothing was trained",
        contents=[_stage_table(record)],
        details=[*_plan_lines(record), *[_NO_DATA] * (not reads_data)],
        files=[("plan.json", str(short_path(folder)))],
        record={**record, "folder": str(folder)},
    )


def _stage_table(record: Record) -> FoldingTable:
    rows = []
    for label, stage in _merged(record["stages"]):
        sizes = [f"{size:,}" for size in sorted(set(stage["parameters"]))]
        row = {"stage": label, "own": stage["ownership"]}
        row["trains"] = "yes" if stage["trains"] else "no"
        # With a space, no task is called as another column.
        row |= {f"{task} ": _copy_of(task, stage["owners"]) for task in record["tasks"]}
        row["each"] = " to ".join(dict.fromkeys((*sizes[:1], *sizes[-1:]))) or "-"
        rows.append(row | {"together": f"{stage['together']:,}"})
    return table_of(rows, ("stage", "own", "trains"), keys=2)


def _copy_of(task: str, owners: list[list[str]]) -> str:
    """The letter of the copy that a task uses, in the order of the owners; "-" for none."""
    number = next((number for number, group in enumerate(owners) if task in group), None)
    return "-" if number is None else chr(ord("a") + number) if number < 26 else str(number)


def _merged(stages: list[Record]) -> list[tuple[str, Record]]:
    """Label and stage of each line: adjacent equal layers share one, with their total."""
    lines = []
    kind = itemgetter("ownership", "parameters")
    for _, layers in groupby(stages, lambda s: (s["stage"].partition(".")[0], *kind(s))):
        first, *others = list(layers)
        label = first["stage"]
        if others:
            label = f"{label.replace('.', 's ')}-{others[-1]['stage'].partition('.')[2]}"
        together = first["total"] + sum(stage["total"] for stage in others)
        lines.append((label, first | {"together": together}))
    return lines


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
        for task, pals in record["pals_per_task"].items():
            numbers = f"{pals['weights']:,} weights, {pals['biases']:,} biases"
            lines.append(("pals", f"{task}: {numbers}, {pals['layers']} layers"))
    if "lanes" in parts:
        upstream = parts["lanes"]["upstream"].items()
        readers = [f"{task} reads {', '.join(names)}" for task, names in upstream if names]
        lines.append(("lanes", "; ".join(readers)))
    if "clean" in parts:
        lines.append(("clean", ", then ".join(parts["clean"]["steps"])))
    if "tags" in parts:
        kinds = (("parts of speech", "pos"), ("entity types", "entities"))
        counts = [f"{len(parts['tags'][key])} {kind}" for kind, key in kinds if parts["tags"][key]]
        lines.append(("tags", f"{' and '.join(counts)} by {parts['tags']['pipeline']}"))
    return lines
