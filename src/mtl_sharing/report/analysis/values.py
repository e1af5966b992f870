"""Numbers of a group over its seeds: metrics, what is kept, and what a reader must know of them."""

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from mtl_sharing.report.analysis.statistics import Summary, summarize
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Record, Run
from mtl_sharing.score import performance as scored
from mtl_sharing.score.clock import Clock, clock_of, is_timed, moves_with_machine, range_text
from mtl_sharing.score.reference import METRICS
from mtl_sharing.utils.nested import get

CONSTANT = "constant answer"
"""The row of what the best constant answer to each task reaches."""


def number(record: Record, path: str) -> float | None:
    """A number at a dotted path; None if there is none."""
    value = get(record, path)
    return float(value) if isinstance(value, (int, float)) else None


def over_seeds(group: Group, value: Callable[[Run], float | None]) -> dict[int, float]:
    """A value by seed, without unknown ones; the mean for a seed of several runs."""
    by_seed: dict[int, list[float]] = {}
    for run in group.runs:
        of_run = value(run)
        if of_run is not None:
            by_seed.setdefault(run.result["seed"], []).append(of_run)
    return {seed: fmean(values) for seed, values in by_seed.items()}


def values_of(group: Group, path: str) -> dict[int, float]:
    """A number in result.json by seed; none of one that was timed on several machines.

    Such numbers are never averaged.
    """
    results = [run.result for run in group.runs if moves_with_machine(run.result, path)]
    if len(clock_of(results).machines) > 1:
        return {}
    return over_seeds(group, lambda run: number(run.result, path))


def summary_of(group: Group, path: str, interval: bool = False) -> Summary:
    """A number in result.json summarized over the group's seeds."""
    return summarize(list(values_of(group, path).values()), interval=interval)


def scaled(summary: Summary, factor: float) -> Summary:
    """The summary of the values times a factor."""
    values = (summary.mean, summary.deviation, summary.low, summary.high)
    return Summary(summary.n, *(None if value is None else factor * value for value in values))


def is_regression(group: Group, task: str) -> bool:
    """Whether the task's predictions are values, not classes."""
    return scored.CORRELATIONS[0] in group.runs[0].result["tasks"][task]


def metric_of(group: Group, task: str) -> str:
    """The name of the metric that counts for a task."""
    return str(group.runs[0].result["tasks"][task]["metric"])


def class_names(group: Group, task: str) -> Sequence[str]:
    """The names of a task's classes in the runs' settings; empty where they have numbers."""
    names = get(group.runs[0].settings, f"task.{task}.labels")
    return [str(name) for name in names] if isinstance(names, list) else []


def class_name(group: Group, task: str, number: int | str) -> str:
    """The name of a class, or its number as a text."""
    names, text = class_names(group, task), str(number)
    return names[int(text)] if text.isdecimal() and int(text) < len(names) else text


def averages_of(group: Group, task: str) -> tuple[str, ...]:
    """Precision, recall and F1; none of a regression, unless its runs ask for rounded values."""
    asked = any(get(run.result, "scored_by.rounded") is True for run in group.runs)
    return METRICS if asked or not is_regression(group, task) else ()


def described_task(group: Group, task: str) -> str:
    """The task; of a regression also what its precision, recall and F1 are of."""
    return f"{task} (rounded to classes)" if is_regression(group, task) else task


def pearson_of(groups: Sequence[Group]) -> str:
    """How figures count correlations: ``raw`` where all groups' scores do, else ``unit``."""
    counted = {get(group.runs[0].result, "scored_by.pearson") for group in groups}
    return "raw" if counted == {"raw"} else "unit"


def performance_path(groups: Sequence[Group]) -> str:
    """The key in result.json of the performance that figures show."""
    return "performance" if pearson_of(groups) == "unit" else "performance_raw_r"


def floor_of(group: Group, pearson: str = "unit") -> float | None:
    """The mean performance of a constant answer; None where an old result lacks it."""
    floors = over_seeds(group, lambda run: scored.floor_performance(run.result["tasks"], pearson))
    return fmean(floors.values()) if floors else None


def common(values: Iterable[float | None]) -> float | None:
    """The value that all have; None where they differ."""
    distinct = {value if value is None else round(value, 9) for value in values}
    return distinct.pop() if len(distinct) == 1 else None


def kept(group: Group, baseline: Group | None) -> Summary:
    """The kept share of separate models' performance, 1 for all of it.

    It is paired by seed if the baseline has some of the group's seeds. Otherwise the runs' own
    results count. Separate models keep all of their own, without a spread.
    """
    return _kept(group, baseline, "kept", lambda own, base, floor: scored.kept(own, base))


def kept_above_floor(group: Group, baseline: Group | None) -> Summary:
    """The share kept of separate models' performance above a constant answer's; see :func:`kept`.

    No value where separate models are not above it.
    """
    return _kept(group, baseline, "kept_above_floor", scored.kept_above_floor)


_Share = Callable[[float, float, float | None], float | None]


def _kept(group: Group, baseline: Group | None, path: str, share: _Share) -> Summary:
    pearson = get(group.runs[0].result, "scored_by.pearson") or "unit"

    def performance(run: Run) -> float:
        return scored.performance_of(run.result, pearson)

    own = over_seeds(group, performance)
    base = {} if baseline is None else over_seeds(baseline, performance)
    floors = over_seeds(group, lambda run: scored.floor_performance(run.result["tasks"], pearson))
    pairs = [share(own[seed], base[seed], floors.get(seed)) for seed in own if seed in base]
    shares = [pair for pair in pairs if pair is not None]
    if baseline is group:
        return Summary(len(shares), 1.0) if shares else Summary(0)
    return summarize(shares) if pairs else summary_of(group, path, True)


def baseline_parameters(group: Group, baseline: Group | None) -> float | None:
    """Parameters of separate models: from the group's results, or from the baseline's."""
    own = summary_of(group, "baseline.params.total").mean
    return summary_of(baseline, "params.total").mean if own is None and baseline else own


def untrained(run: Run) -> Sequence[str]:
    """The tasks whose loss has no weight; of an old run by its settings."""
    recorded, weights = run.result.get("untrained"), get(run.settings, "loss.weights")
    if isinstance(recorded, list):
        return recorded
    return [n for n, w in weights.items() if w == 0] if isinstance(weights, dict) else []


def run_flags(run: Run) -> str:
    """The warnings that belong to a run's score; empty without any."""
    if not run.finished:
        return ""
    return scored.flags(scored.tasks_at_floor(run.result["tasks"]), untrained(run))


def group_flags(group: Group) -> str:
    """The same for the means of a group, and which tasks' metrics are undefined in some run."""
    at_floor = []
    for task in group.tasks:
        value, floor = (summary_of(group, f"tasks.{task}.{n}").mean for n in ("value", "floor"))
        if value is not None and scored.is_at_floor(value, floor):
            at_floor.append(task)
    flags = [scored.flags(at_floor, dict.fromkeys(t for r in group.runs for t in untrained(r)))]
    for task in group.tasks:
        metric = group.runs[0].result["tasks"][task]["metric"]
        reasons = [get(run.result, f"tasks.{task}.undefined.{metric}") for run in group.runs]
        why = next((reason for reason in reasons if reason), None)
        flags += [] if why is None else [f"{task} {metric} undefined ({why})"]
    return "; ".join(filter(None, flags))


def scored_on(runs: Sequence[Run]) -> Clock:
    """How the scores of those runs were timed whose score moves with the machine."""
    return clock_of(run.result for run in runs if is_timed(run.result))


def clock_columns(runs: Sequence[Run]) -> Record:
    """How the scores of runs were timed: the clock, the machines and the range of the pairs."""
    clock = scored_on(runs)
    if not clock.machines:
        clocks = [get(run.result, "scored_by.clock") for run in runs if number(run.result, "score")]
        return {"clock": "counted FLOPs"} if "flops" in clocks else {}
    return {"clock": f"measured on {clock.where}", "timed pairs x": range_text(clock.pairs)}
