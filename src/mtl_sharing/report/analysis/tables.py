"""The tables of a report as data frames with all digits; ``page/table_files.py`` rounds them.

Column ``X sd`` holds the deviation of column ``X`` over seeds, ``X low`` and ``X high`` its
interval. Percentages have ``%`` in their names.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from mtl_sharing.report.analysis.comparisons import Comparison
from mtl_sharing.report.analysis.statistics import Summary
from mtl_sharing.report.analysis.values import (
    baseline_parameters,
    clock_columns,
    floor_of,
    group_flags,
    kept,
    kept_above_floor,
    metric_of,
    number,
    run_flags,
    scaled,
    summary_of,
)
from mtl_sharing.report.inputs.groups import Group, baseline_of, differing_keys
from mtl_sharing.report.inputs.runs import Record, Run, RunCollection
from mtl_sharing.run_folder.layout import PREDICTIONS

if TYPE_CHECKING:
    import pandas as pd


def comparison_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """One row for each group: its metrics over seeds, what it keeps and what it costs."""
    return make_frame(_comparison_row(group, baseline_of(group, groups)) for group in groups)


_SAVINGS = {
    "memory saved x": "multipliers.memory", "time saved x": "multipliers.time",
    "train s": "time.train_s",
}  # fmt: skip


def _comparison_row(group: Group, baseline: Group | None) -> Record:
    total, base = summary_of(group, "params.total").mean, baseline_parameters(group, baseline)
    # The main columns come first: a narrow page shows only these.
    row: Record = {"group": group.label, "seeds": len(group.seeds)}
    row |= spread("performance", summary_of(group, "performance", True), interval=True)
    row["floor"] = floor_of(group)
    row |= spread("kept %", scaled(kept(group, baseline), 100), interval=True)
    above = scaled(kept_above_floor(group, baseline), 100)
    row |= spread("kept above floor %", above, interval=True)
    row["parameters %"] = 100 * total / base if total and base else None
    row |= spread("score", summary_of(group, "score")) | clock_columns(group.runs)
    row["flagged"] = group_flags(group) or None
    for task in group.tasks:
        row |= spread(f"{task} {metric_of(group, task)}", summary_of(group, f"tasks.{task}.value"))
    return row | {"parameters": total} | spreads(group, _SAVINGS)


# The columns of the cost table: path in a result, and factor to the column's unit.
_COSTS = {
    "parameters": ("params.total", 1), "trainable": ("params.trainable", 1),
    "largest task alone": ("params.single_task_total", 1),
    "model MB": ("memory.model_bytes", 1 / 10**6),
    "peak training MB": ("memory.peak_train_bytes", 1 / 10**6),
    "MFLOPs/example": ("flops.train_per_example", 1 / 10**6),
    "MFLOPs predicting dev": ("flops.predict_all", 1 / 10**6),
    "s/step": ("time.step_s", 1), "s/epoch": ("time.epoch_s", 1),
    "s predicting dev": ("time.predict_all_s", 1), "train s": ("time.train_s", 1),
}  # fmt: skip


def cost_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """One row for each group: parameters, memory, operations and seconds."""
    return make_frame(
        {"group": group.label, "seeds": len(group.seeds)} | spreads(group, _COSTS)
        for group in groups
    )


def tests_table(comparisons: Iterable[Comparison]) -> "pd.DataFrame":
    """One row for each comparison of two groups: the difference, its interval, test and p-value."""
    return make_frame(_test_row(comparison) for comparison in comparisons)


def _test_row(comparison: Comparison) -> Record:
    difference = asdict(comparison.difference) if comparison.difference else {}
    return {
        "group": comparison.group, "against": comparison.other, "figure": comparison.quantity,
        "difference": difference.get("mean"), "difference low": difference.get("low"),
        "difference high": difference.get("high"), "p": difference.get("p"),
        "p (Holm)": comparison.adjusted, "test": comparison.test or "none",
        "metric": comparison.metric, "common seeds": " ".join(map(str, comparison.seeds)),
        "examples": comparison.examples, "note": comparison.note,
    }  # fmt: skip


def apart_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """One row for each value of each key in which groups differ, with the groups that have it."""
    rows = []
    for key in differing_keys(groups):
        values = [group.facts.get(key, "none") for group in groups]
        for value in dict.fromkeys(values):
            labels = [g.label for g, own in zip(groups, values, strict=True) if own == value]
            more = f"; and {len(labels) - _LISTED:,} more" if len(labels) > _LISTED else ""
            listed = "; ".join(labels[:_LISTED]) + more
            rows.append({"key": key, "value": value, "groups": len(labels), "which": listed})
    return make_frame(rows)


def runs_table(runs: Iterable[Run], groups: Sequence[Group]) -> "pd.DataFrame":
    """One row for each run of any status."""
    labels = {run: group.label for group in groups for run in group.runs}
    return make_frame(_run_row(run) | {"group": labels.get(run)} for run in runs)


def _run_row(run: Run) -> Record:
    return {
        "run": run.name, "status": run.status, "regime": run.regime, "seed": run.seed,
        "performance": number(run.result, "performance"), "score": number(run.result, "score"),
        **clock_columns([run]), "flagged": run_flags(run) or None,
        "why": "; ".join(filter(None, (run.reason, *run.problems))),
        "train s": number(run.result, "time.train_s"), "sweep": run.sweep, "trial": run.trial,
    }  # fmt: skip


def left_out_table(collection: RunCollection, groups: Sequence[Group]) -> "pd.DataFrame":
    """The omissions of the report with reasons; complete once all files have been read."""
    omitted = list(collection.omissions)
    omitted += [(run.name, f"{run.status}: {run.reason}".rstrip(": "))
                for run in collection.runs if not run.finished]  # fmt: skip
    omitted += [(run.name, problem) for run in collection.runs for problem in run.problems]
    omitted += [(run.name, f"{PREDICTIONS}: none, so no tests and no examples")
                for run in collection.finished
                if not (run.folder / PREDICTIONS).is_file()]  # fmt: skip
    for group in groups:
        for seed in group.seeds:
            names = [run.name for run in group.runs if run.result["seed"] == seed]
            if len(names) > 1:
                why = f"{len(names)} runs of seed {seed} count once: {', '.join(names)}"
                omitted.append((group.label, why))
    return make_frame({"what": what, "why": why} for what, why in omitted)


def spreads(group: Group, paths: Mapping[str, str | tuple[str, float]]) -> Record:
    """Mean and deviation of numbers in result.json; a path may come with a factor."""
    row: Record = {}
    for name, source in paths.items():
        path, factor = (source, 1) if isinstance(source, str) else source
        row |= spread(name, scaled(summary_of(group, path), factor))
    return row


def spread(name: str, summary: Summary, interval: bool = False) -> Record:
    """Columns of a mean, its deviation, and its interval if wanted."""
    row = {name: summary.mean, f"{name} sd": summary.deviation}
    if interval:
        row |= {f"{name} low": summary.low, f"{name} high": summary.high}
    return row


_LISTED = 4
_COUNTS = (
    "seeds",
    "groups",
    "seed",
    "trial",
    "examples",
    "parameters",
    "trainable",
    "largest task alone",
)
_COUNTED = ("model MB", "MFLOPs/example", "MFLOPs predicting dev", "memory saved x")


def make_frame(rows: Iterable[Record]) -> "pd.DataFrame":
    """The rows as a frame with whole numbers as such, without columns that hold nothing."""
    import pandas as pd

    frame = pd.DataFrame(list(rows)).dropna(axis="columns", how="all")
    for name in _COUNTS:
        if name in frame and frame[name].dtype.kind in "if":
            values = frame[name].fillna(0)
            whole = ((values % 1 == 0) & (values.abs() < 2**53)).all()
            frame[name] = frame[name].astype("Int64") if whole else frame[name]
    # These are counted, not measured, so usually equal for every seed.
    spreads = [f"{n} sd" for n in (*_COUNTS, *_COUNTED) if f"{n} sd" in frame]
    return frame.drop(columns=[n for n in spreads if (frame[n].fillna(0) == 0).all()])
