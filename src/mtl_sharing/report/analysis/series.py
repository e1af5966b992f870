"""The data of a report's figures; ``page/figures.py`` draws them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np

from mtl_sharing.errors import UserError
from mtl_sharing.plotting.lines import Line, Panels
from mtl_sharing.plotting.trade_off import TradeOff
from mtl_sharing.plotting.training_curves import METRIC, PERFORMANCE, TRAINING, read_curves
from mtl_sharing.plotting.training_curves import Line as CurveLine
from mtl_sharing.report.analysis.statistics import summarize
from mtl_sharing.report.analysis.values import (
    group_flags,
    number,
    summary_of,
    values_of,
)
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.run_folder.discovery import natural_key
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.samplers import make_schedule
from mtl_sharing.sampling.settings import SamplerConfig

# The facts of the data that a performance is measured on.
_OF_DEV = re.compile(r"data\..*\.(metric|examples|floor|digests\.dev)")


def trade_offs(groups: Sequence[Group]) -> list[TradeOff]:
    """Size and performance of each group, sorted by size.

    The Pareto front compares means of the same data and metrics: no group has as few parameters and
    a higher mean, or fewer and as high a mean.
    """
    points = []
    for group in groups:
        values = tuple(values_of(group, PERFORMANCE).values())
        summary, size = summarize(values), summary_of(group, "params.total").mean or 0.0
        low, high = summary.low, summary.high
        interval = None if low is None or high is None else (low, high)
        mean, flagged = summary.mean or 0.0, bool(group_flags(group))
        data = " ".join(v for n, v in group.differs.items() if _OF_DEV.fullmatch(n))
        points.append(TradeOff(group.label, size, values, mean, interval, False, flagged, data))
    points = [replace(p, front=not any(_beats(other, p) for other in points)) for p in points]
    return sorted(points, key=lambda point: (point.parameters, -point.mean, point.group))


def _beats(one: TradeOff, other: TradeOff) -> bool:
    equal = (one.parameters, one.mean) == (other.parameters, other.mean)
    if one.data != other.data:
        return False
    return one.parameters <= other.parameters and one.mean >= other.mean and not equal


@dataclass(frozen=True)
class AlphaCurve:
    """The exponent of the tasks' sizes in each epoch, a partial last one included, and its runs."""

    name: str
    alphas: tuple[float, ...]
    runs: tuple[str, ...]


def alpha_curves(runs: Iterable[Run]) -> list[AlphaCurve]:
    """The alphas of every run, of any status, whose sampler draws tasks by their size."""
    names: dict[tuple[str, float, tuple[float, ...]], list[str]] = defaultdict(list)
    for run in runs:
        key = _alphas(run)
        if key is not None:
            names[key].append(run.name)
    return [AlphaCurve(key[0], key[2], tuple(names[key])) for key in sorted(names)]


def _alphas(run: Run) -> tuple[str, float, tuple[float, ...]] | None:
    settings, epochs = run.settings.get("sampler"), number(run.settings, "trainer.epochs")
    if not isinstance(settings, dict) or not epochs:
        return None
    names = {field.name for field in fields(SamplerConfig)}
    config = SamplerConfig(**{name: v for name, v in settings.items() if name in names})
    if config.name not in ("temperature", "annealed"):
        return None
    try:
        schedule, count = make_schedule(config), Epochs(1, epochs).count
    except (UserError, TypeError):
        return None  # the run failed because of it
    alphas = tuple(schedule.alpha(epoch, count) for epoch in range(count))
    return _sampler_name(config), epochs, alphas


def _sampler_name(config: SamplerConfig) -> str:
    if config.name == "temperature":
        return f"temperature, alpha {config.alpha:g}"
    return f"annealed, alpha {config.start:g} to {config.end:g}, {config.shape}"


@dataclass(frozen=True)
class TrainingCurve:
    """One metric or loss of one run over its steps.

    ``label`` is the group's, or the regime and name of a run without a group.
    """

    label: str
    run: str
    metric: str | None
    line: CurveLine


def training_curves(runs: Iterable[Run], groups: Iterable[Group]) -> list[TrainingCurve]:
    """The losses and metrics of every run that has been evaluated, of any status."""
    labels = {run: group.label for group in groups for run in group.runs}
    return [
        TrainingCurve(labels.get(run, f"{run.regime}  ({run.name})"), run.name,
                      curves.metrics.get(line.task), line)
        for run in runs
        for curves in [read_curves(_rows(run))]
        for line in curves.lines
    ]  # fmt: skip


def _rows(run: Run) -> list[dict[str, object]]:
    """The evaluations as the trainer had them: a row has no unknown values."""
    table = run.history.to_dict("records")
    return [{str(n): v for n, v in row.items() if v == v} for row in table]


def curve_panels(curves: Sequence[TrainingCurve], kind: str) -> Panels:
    """A panel for each task, the performance first; a run's phases are joined into one line.

    ``kind`` is a panel of ``plotting/training_curves.py``.
    """
    points: dict[str, dict[tuple[str, str], list[tuple[int, float]]]] = {}
    # In the order of the evaluations, which does not depend on the task that trained first.
    evaluated = [curve.line.task for curve in curves if curve.line.panel != TRAINING]
    order = {task: index for index, task in enumerate(dict.fromkeys(evaluated))}
    for curve in curves:
        if curve.line.panel == kind:
            metric = curve.metric if kind == METRIC and curve.metric else ""
            panel = points.setdefault(f"{curve.line.task} {metric}".strip(), {})
            panel.setdefault((curve.label, curve.run), []).extend(curve.line.points)
    titles = sorted(points, key=lambda t: (t != PERFORMANCE, order.get(t.split()[0], 0)))
    return {
        title: [Line(label, sorted(of_run)) for (label, _), of_run in points[title].items()]
        for title in titles
    }


_COSINE = re.compile(r"cosine/(?P<stage>.+)/(?P<pair>[^/]+)")
_ALL_STAGES = "network"


def cosine_panels(groups: Iterable[Group]) -> tuple[Panels, list[str]]:
    """The cosines of tasks' gradients on each shared stage: a panel for each pair of tasks.

    A point is the mean over seeds; a run counts with the mean over its main training. Runs have
    cosines if trained with ``loss.cosines=stages``.

    Returns:
        The panels, and the stages from the bottom up, which x counts.
    """
    profiles = [(group.label, pair, s) for group in groups for pair, s in _cosines(group).items()]
    by_length = sorted(profiles, key=lambda profile: -len(profile[2]))
    stages = list(dict.fromkeys(stage for _, _, means in by_length for stage in means))
    lines: dict[str, list[Line]] = defaultdict(list)
    for label, pair, means in profiles:
        points = [(stages.index(stage), mean) for stage, mean in means.items()]
        lines[pair.replace("+", " and ")].append(Line(label, points))
    return lines, stages


def _cosines(group: Group) -> dict[str, dict[str, float]]:
    """The mean cosine by pair of tasks and stage."""
    pairs: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for run in group.by_seed().values():
        history = run.history
        if "phase" in history:
            history = history[history["phase"] == MAIN]
        for name in history:
            match = _COSINE.fullmatch(str(name))
            values = history[name].dropna()
            if match and match["stage"] != _ALL_STAGES and len(values):
                pairs[match["pair"]][match["stage"]].append(float(values.mean()))
    return {
        pair: {stage: float(np.mean(stages[stage])) for stage in sorted(stages, key=_height)}
        for pair, stages in pairs.items()
    }


def _height(stage: str) -> tuple[int, list[str | int]]:
    kinds = ("embeddings", "layer", "pooler", "head")
    kind = stage.partition(".")[0]
    return kinds.index(kind) if kind in kinds else len(kinds), natural_key(stage)
