"""The tables of a report, as data frames with all digits; ``writing`` rounds and writes them.

A column called ``X sd`` holds the deviation of column ``X`` over seeds, ``X low`` and ``X high``
its interval. Percentages say so in their names.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mtl_sharing.report.analysis.comparisons import Comparison
from mtl_sharing.report.analysis.statistics import Summary, summarize
from mtl_sharing.report.inputs.groups import Group, baseline_of
from mtl_sharing.report.inputs.runs import Omission, Record, Run, RunCollection
from mtl_sharing.score.reference import percent_change

if TYPE_CHECKING:
    import pandas as pd

FIGURES = ("precision", "recall", "f1")
BASELINES = ("separate", "untuned")
Row = dict[str, Any]


def figure(record: Record, path: str) -> float | None:
    """A number of a result by its dotted path; None where it is not known."""
    found: Any = record
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return float(found) if isinstance(found, (int, float)) else None


def over_seeds(group: Group, value: Callable[[Run], float | None]) -> dict[int, float]:
    """A figure by seed; of a seed that several runs have, their mean. Unknown ones are left out."""
    found: dict[int, list[float]] = {}
    for run in group.runs:
        one = value(run)
        if one is not None:
            found.setdefault(run.result["seed"], []).append(one)
    return {seed: sum(values) / len(values) for seed, values in found.items()}


def summary_of(group: Group, path: str, interval: bool = False) -> Summary:
    """A figure of result.json over the group's seeds, by its dotted path."""
    values = over_seeds(group, lambda run: figure(run.result, path)).values()
    return summarize(list(values), interval=interval)


def performance(run: Run) -> float:
    """The performance as the run's score counts it: with r as (r + 1) / 2, or as it is."""
    raw = (run.result.get("scored_by") or {}).get("pearson") == "raw"
    return float(run.result["performance_raw_r" if raw else "performance"])


def kept(group: Group, baseline: Group | None) -> Summary:
    """Share of separate models' performance, 1 for all of it.

    Paired by seed where the report has the baseline on some of the group's seeds; else as the
    runs' own results say.
    """
    own = over_seeds(group, performance)
    base = {} if baseline is None else over_seeds(baseline, performance)
    pairs = [own[seed] / base[seed] for seed in own if base.get(seed)]
    if pairs:
        return summarize(pairs)
    return summary_of(group, "kept", True)


def comparison_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """A row for each group: its figures over seeds, what it keeps and what it costs."""
    return _frame(_comparison_row(group, baseline_of(group, groups)) for group in groups)


def _comparison_row(group: Group, baseline: Group | None) -> Row:
    total, base = summary_of(group, "params.total").mean, baseline_parameters(group, baseline)
    # What it keeps at which cost comes first: a narrow page shows the first columns.
    row: Row = {"group": group.label, "seeds": len(group.seeds)}
    row |= _spread("performance", summary_of(group, "performance", True), interval=True)
    row |= _spread("kept %", _scaled(kept(group, baseline), 100), interval=True)
    row["parameters %"] = 100 * total / base if total and base else None
    row |= _spread("score", summary_of(group, "score"))
    for task in group.tasks:
        metric = group.runs[0].result["tasks"][task]["metric"]
        row |= _spread(f"{task} {metric}", summary_of(group, f"tasks.{task}.value"))
    return row | {"parameters": total} | _spreads(group, _SAVINGS)


_SAVINGS = {
    "memory saved x": "multipliers.memory", "time saved x": "multipliers.time",
    "train s": "time.train_s",
}  # fmt: skip


def baseline_parameters(group: Group, baseline: Group | None) -> float | None:
    """Parameters of separate models, from their runs or from what the regime's runs say of them."""
    own = summary_of(group, "baseline.params.total").mean
    if own is None and baseline is not None:
        return summary_of(baseline, "params.total").mean
    return own


def class_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """A row for each group, task and figure: precision, recall, F1 (macro) and the main metric.

    The changes, in percent, are those of the runs' own results where these have them, else
    against the report's separate models on the same seeds.
    """
    return _frame(
        _class_row(group, baseline_of(group, groups), task, name)
        for group in groups
        for task in group.tasks
        for name in dict.fromkeys((*FIGURES, group.runs[0].result["tasks"][task]["metric"]))
    )


def _class_row(group: Group, baseline: Group | None, task: str, name: str) -> Row:
    row: Row = {"group": group.label, "task": task, "figure": name}
    row |= _spread("value", summary_of(group, f"tasks.{task}.{name}"))
    for kind in BASELINES:
        found = summary_of(group, f"against.{kind}.{task}.{name}")
        if not found.n and kind == "separate" and baseline is not None and baseline is not group:
            found = _change(group, baseline, f"tasks.{task}.{name}")
        row |= _spread(f"against {kind} %", found)
    return row


def _change(group: Group, baseline: Group, path: str) -> Summary:
    own, base = (over_seeds(g, lambda run: figure(run.result, path)) for g in (group, baseline))
    changes = [percent_change(own[seed], base[seed]) for seed in own if seed in base]
    return summarize([found for found in changes if found is not None], interval=False)


def by_class_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """A row for each group, task and class, with precision, recall and F1."""
    return _frame(
        {"group": group.label, "task": task, "class": name}
        | _spreads(group, {f: f"tasks.{task}.by_class.{name}.{f}" for f in FIGURES})
        for group in groups
        for task in group.tasks
        for name in group.runs[0].result["tasks"][task].get("by_class", {})
    )


# Where a cost stands in a result, and what it is counted in here.
_COSTS = {
    "parameters": ("params.total", 1), "trainable": ("params.trainable", 1),
    "largest task alone": ("params.single_task_total", 1),
    "model MB": ("memory.model_bytes", 10**6),
    "peak training MB": ("memory.peak_train_bytes", 10**6),
    "MFLOPs/example": ("flops.train_per_example", 10**6),
    "MFLOPs predicting dev": ("flops.predict_all", 10**6),
    "s/step": ("time.step_s", 1), "s/epoch": ("time.epoch_s", 1),
    "s predicting dev": ("time.predict_all_s", 1), "train s": ("time.train_s", 1),
}  # fmt: skip


def cost_table(groups: Sequence[Group]) -> "pd.DataFrame":
    """A row for each group: weights, memory, operations and seconds."""
    return _frame({"group": g.label, "seeds": len(g.seeds)} | _costs(g) for g in groups)


def _costs(group: Group) -> Row:
    row: Row = {}
    for name, (path, unit) in _COSTS.items():
        row |= _spread(name, _scaled(summary_of(group, path), 1 / unit))
    return row


def tests_table(comparisons: Iterable[Comparison]) -> "pd.DataFrame":
    """A row for each comparison of two groups: the difference, its interval, test and p-value."""
    return _frame(
        {
            "group": each.group,
            "against": each.other,
            "figure": each.figure,
            "difference": each.difference and each.difference.mean,
            "difference low": each.difference and each.difference.low,
            "difference high": each.difference and each.difference.high,
            "p": each.difference and each.difference.p,
            "p (Holm)": each.adjusted,
            "test": each.test or "none",
            "metric": each.metric,
            "common seeds": " ".join(map(str, each.seeds)),
            "examples": each.examples,
            "note": each.note,
        }
        for each in comparisons
    )


def runs_table(reading: RunCollection, groups: Sequence[Group]) -> "pd.DataFrame":
    """A row for each run, whatever became of it."""
    labels = {run: group.label for group in groups for run in group.runs}
    return _frame(
        {
            "run": run.name,
            "status": run.status,
            "regime": run.regime,
            "seed": run.seed,
            "performance": figure(run.result, "performance"),
            "score": figure(run.result, "score"),
            "why": "; ".join(filter(None, (run.why, *run.troubles))),
            "train s": figure(run.result, "time.train_s"),
            "sweep": run.sweep,
            "trial": run.trial,
            "group": labels.get(run),
        }
        for run in reading.runs
    )


def left_out(reading: RunCollection, groups: Sequence[Group]) -> list[Omission]:
    """What the figures and tables lack, and why. Ask last: files are known damaged once read."""
    found = list(reading.left_out)
    found += [Omission(r.name, f"{r.status}: {r.why}".rstrip(": ")) for r in reading.runs
              if not r.finished]  # fmt: skip
    found += [Omission(run.name, trouble) for run in reading.runs for trouble in run.troubles]
    found += [Omission(run.name, "predictions.parquet: none, so no tests and no examples")
              for run in reading.finished if not run.has_predictions]  # fmt: skip
    for group in groups:
        for seed in group.repeated:
            names = [run.name for run in group.runs if run.result["seed"] == seed]
            why = f"{len(names)} runs of seed {seed} count once: {', '.join(names)}"
            found.append(Omission(group.label, why))
    return found


def left_out_table(reading: RunCollection, groups: Sequence[Group]) -> "pd.DataFrame":
    """:func:`left_out` as a table."""
    return _frame({"what": each.what, "why": each.why} for each in left_out(reading, groups))


def headline(group: Group, groups: Sequence[Group]) -> str:
    """A group in one sentence: what it keeps, at which size."""
    baseline = baseline_of(group, groups)
    share, size = kept(group, baseline), summary_of(group, "params.total").mean
    base = baseline_parameters(group, baseline)
    at = f"{size:,.0f} parameters"
    if group.separate or share.mean is None:
        found = summary_of(group, "performance")
        spread = "" if found.deviation is None else f" ± {found.deviation:.4f}"
        return f"{group.label} reaches a performance of {found.mean:.4f}{spread}" + (
            f" (n={found.n}) with {at}"
        )
    spread = "" if share.deviation is None else f" ± {100 * share.deviation:.1f}"
    cost = f"{100 * size / base:.0f}% of the parameters" if size and base else at
    kept_words = f"{100 * share.mean:.1f}%{spread} (n={share.n})"
    return f"{group.label} keeps {kept_words} of separate models' performance at {cost}"


def _spreads(group: Group, paths: dict[str, str]) -> Row:
    row: Row = {}
    for name, path in paths.items():
        row |= _spread(name, summary_of(group, path))
    return row


def _spread(name: str, found: Summary, interval: bool = False) -> Row:
    row = {name: found.mean, f"{name} sd": found.deviation}
    return row | ({f"{name} low": found.low, f"{name} high": found.high} if interval else {})


def _scaled(found: Summary, factor: float) -> Summary:
    values = (found.mean, found.deviation, found.low, found.high)
    return Summary(found.n, *(None if value is None else factor * value for value in values))


_COUNTS = ("seeds", "seed", "trial", "examples", "parameters", "trainable", "largest task alone")
_COUNTED = ("model MB", "MFLOPs/example", "MFLOPs predicting dev", "memory saved x")


def _frame(rows: Iterable[Row] | Iterator[Row]) -> "pd.DataFrame":
    """The rows as a frame, without columns that hold nothing, whole numbers as such."""
    import pandas as pd

    frame = pd.DataFrame(list(rows)).dropna(axis="columns", how="all")
    for name in _COUNTS:
        if name in frame and frame[name].dtype.kind in "if":
            whole = (frame[name].fillna(0) % 1 == 0).all()
            frame[name] = frame[name].astype("Int64") if whole else frame[name]
    # Counted, not measured: alike for every seed.
    spreads = [f"{n} sd" for n in (*_COUNTS, *_COUNTED) if f"{n} sd" in frame]
    return frame.drop(columns=[n for n in spreads if (frame[n].fillna(0) == 0).all()])
