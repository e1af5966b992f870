"""The summary of the data of each task, for ``check_data=true``."""

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mtl_sharing.utils.files import short_path
from mtl_sharing.utils.summary import Summary
from mtl_sharing.utils.tables import table_of

Record = dict[str, Any]
Row = dict[str, str]

_MOST_CLASSES = 20
_MOST_REASONS = 5
_OF_A_PREVIEW = ("check_data", "dry_run")


def training_command(arguments: Sequence[str]) -> str:
    """The command that trains what a command with these arguments has described."""
    kept = [a for a in arguments if a.lstrip("+").partition("=")[0] not in _OF_A_PREVIEW]
    return shlex.join(["mtl-train", *kept])


def data_summary(record: Record, plan: Record | None, folder: Path, command: str | None) -> Summary:
    """How much data there is, tables of rows, tokens and labels, and what is odd in it.

    Args:
        record: the content of data.json.
        plan: that of plan.json, where the plan is shown, too.
        command: that trains; None where the data have mistakes.
    """
    tasks: Record = record["tasks"]
    notes = list(_notes(tasks))
    heading = f"tokens of a text (cut at suite.max_length={record['max_length']})"
    texts = ("task", "split")
    contents: list[object] = [
        table_of(_counts(tasks), texts, keys=2),
        table_of(_tokens(tasks), texts, keys=2, heading=heading),
        table_of(_labels(tasks), ("task", "label"), keys=2, heading="labels"),
        *["\n".join(notes)] * bool(notes),
    ]
    return Summary(
        answer=_answer(record, len(notes)),
        contents=contents if tasks else (),
        details=[("floor", f"{_floors(tasks)} by a constant answer")] if tasks else (),
        files=[("data.json", str(short_path(folder)))],
        commands=[] if command is None else [command],
        record={**record, **({} if plan is None else {"plan": plan}), "folder": str(folder)},
    )


def _answer(record: Record, notes: int) -> str:
    """How much data there is, and whether anything is wrong with it, in a sentence."""
    tasks, others = record["tasks"], record["left_out"]
    train, dev = (
        sum(task["splits"][split]["examples"] for task in tasks.values())
        for split in ("train", "dev")
    )
    sizes = f"{train:,} train and {dev:,} dev examples"
    found = f"{_number(len(record['mistakes']), 'mistake')}, {_number(notes, 'note')}"
    of_tasks = f"{len(tasks)} of {len(tasks) + len(others)}" if others else str(len(tasks))
    noun = "task" if len(tasks) + len(others) == 1 else "tasks"
    return f"the data of {of_tasks} {noun} can be trained on ({sizes}): {found}"


def _number(count: int, name: str) -> str:
    return f"{count or 'no'} {name}{'' if count == 1 else 's'}"


def _splits(tasks: Record) -> Iterator[tuple[Row, Record]]:
    """The first cells of each split's row, and the split's facts."""
    for name, task in tasks.items():
        for number, (split, facts) in enumerate(task["splits"].items()):
            yield {"task": "" if number else name, "split": split}, facts


def _counts(tasks: Record) -> list[Row]:
    return [
        cells | {
            "rows": f"{facts['rows']:,}",
            "skipped": f"{sum(facts['skipped'].values()):,}",
            "examples": f"{facts['examples']:,}",
            "repeats": f"{facts['repeated']:,}",
            "in train": f"{facts['in_train']:,}" if "in_train" in facts else "",
        }
        for cells, facts in _splits(tasks)
    ]  # fmt: skip


def _tokens(tasks: Record) -> list[Row]:
    return [
        cells | {
            "texts": f"{facts['texts']:,}",
            "median": f"{facts['tokens']['median']:,}",
            "95%": f"{facts['tokens']['p95']:,}",
            "longest": f"{facts['tokens']['longest']:,}",
            "cut": _with_share(facts["cut_texts"], facts["texts"]),
        }
        for cells, facts in _splits(tasks)
    ]  # fmt: skip


def _labels(tasks: Record) -> list[Row]:
    """A row for each class, or for range and mean of the scores, with a column for each split."""
    columns = dict.fromkeys(split for task in tasks.values() for split in task["splits"])
    rows = []
    for name, task in tasks.items():
        cells = {split: _label_cells(facts) for split, facts in task["splits"].items()}
        labels = dict.fromkeys(label for of_split in cells.values() for label in of_split)
        for number, label in enumerate(labels):
            row = {"task": "" if number else name, "label": label}
            rows.append(row | {s: cells.get(s, {}).get(label, "") for s in columns})
    return rows


def _label_cells(facts: Record) -> Row:
    labels, size = facts["labels"], facts["examples"]
    cells = {name: f"{value:.4g}" for name, value in labels.get("scores", {}).items()}
    if labels["unlabelled"] < size:
        counts = list(labels.get("classes", {}).items())
        cells |= {name: _with_share(count, size) for name, count in counts[:_MOST_CLASSES]}
        if rest := counts[_MOST_CLASSES:]:
            cells[f"{len(rest)} more"] = _with_share(sum(count for _, count in rest), size)
    if labels["unlabelled"]:
        cells["(no label)"] = _with_share(labels["unlabelled"], size)
    return cells


def _with_share(count: int, size: int) -> str:
    return f"{count:,} ({count / size:.1%})" if count else "0"


def _floors(tasks: Record) -> str:
    return ", ".join(
        f"{name} {task['metric']} {task['splits']['dev']['floor']:.3f}"
        for name, task in tasks.items()
    )


def _notes(tasks: Record) -> Iterator[str]:
    """Sentences on what is odd in the data."""
    for name, task in tasks.items():
        yield from task["warnings"]
        for source, counts in task.get("sources", {}).items():
            yield f"{name} from {source}: {_source_text(counts)}"
        for split, facts in task["splits"].items():
            for note in _split_notes(split, facts):
                yield f"{name} {split}: {note}"


def _source_text(counts: Record) -> str:
    splits = [f"{counts[key]:,} {key.removesuffix('_examples')}" for key in counts
              if key.endswith("_examples")]  # fmt: skip
    return f"{' and '.join(splits)} examples, {counts['bad_rows']:,} rows skipped"


def _split_notes(split: str, facts: Record) -> Iterator[str]:
    size = facts["examples"]
    if skipped := list(facts["skipped"].items()):
        rest = sum(count for _, count in skipped[_MOST_REASONS:])
        reasons = [f"{count:,} x {reason}" for reason, count in skipped[:_MOST_REASONS]]
        yield f"skipped {'; '.join(reasons)}{f'; {rest:,} more' if rest else ''}"
    if facts["limit"] is not None:
        yield f"suite.max_{split}_rows={facts['limit']} ended the reading"
    if other := facts["repeated_with_another_label"]:
        repeats = f"{facts['repeated']:,} repeated examples"
        yield f"{other:,} of {repeats} have another label than the first of that text"
    same, with_a_text = facts.get("in_train", 0), facts.get("with_a_text_in_train", 0)
    if with_a_text:
        yield f"{same:,} of {size:,} examples are in train too, {with_a_text:,} have a text of it"
    if others := facts.get("with_a_text_in_train_of"):
        counts = " and ".join(f"{count:,} of {name}'s" for name, count in others.items())
        yield f"examples with a text that the train split of another task has: {counts}"
