"""What the figures of a report show, read off its runs and groups."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from mtl_sharing.mixing.epochs import Epochs
from mtl_sharing.mixing.schedules import make_schedule
from mtl_sharing.mixing.settings import SamplerConfig
from mtl_sharing.report.figures.lines import Line, Panel
from mtl_sharing.report.groups import Group
from mtl_sharing.report.runs import RUNNING, STOPPED, Run
from mtl_sharing.run.curves import LOSS, METRIC, PERFORMANCE, TRAINING, read_curves

_COSINE = "cosine/"
_STAGE_ORDER = ("embeddings", "layer", "pooler", "head")
Value = tuple[float, float]


def on_front(costs: Sequence[Value]) -> list[bool]:
    """Which of the (cost, performance) pairs no other beats or equals at as little cost.

    Of equal pairs the first is on the front.
    """
    order = sorted(range(len(costs)), key=lambda place: (costs[place][0], -costs[place][1], place))
    best, front = float("-inf"), [False] * len(costs)
    for place in order:
        front[place] = costs[place][1] > best
        best = max(best, costs[place][1])
    return front


def shared_layers(plan: str) -> tuple[int, int] | None:
    """The layers that a plan of the form ``S6-I6`` shares, and all of them; None for another."""
    found = re.fullmatch(r"(?:S(\d+))?-?(?:I(\d+))?", plan)
    if not found or not plan:
        return None
    shared, own = (int(depth or 0) for depth in found.groups())
    return shared, shared + own


def split_panels(groups: Iterable[Group]) -> list[Panel]:
    """Performance and each task's figure over the split point, where a series has two or more.

    A series are groups that differ in the split alone; its line has a point for each run.
    """
    series: dict[tuple[Any, ...], list[tuple[int, Group]]] = defaultdict(list)
    for group in groups:
        split = shared_layers(group.plan)
        if split is not None and group.regime.split()[0] == group.regime:
            key = (split[1], group.tasks, tuple(sorted(group.differs.items())))
            series[key].append((split[0], group))
    several = [found for found in series.values() if len({split for split, _ in found}) > 1]
    names = _series_names([found[0][1] for found in several])
    panels: dict[str, list[Line]] = defaultdict(list)
    for name, found in zip(names, several, strict=True):
        runs = [(split, run) for split, group in found for run in group.runs]
        for title, line in _split_lines(name, sorted(runs, key=lambda pair: pair[0])).items():
            panels[title].append(line)
    return [Panel(title, tuple(lines)) for title, lines in panels.items()]


def _split_lines(name: str, runs: Sequence[tuple[int, Run]]) -> dict[str, Line]:
    values: dict[str, list[Value]] = defaultdict(list)
    for split, run in runs:
        values[PERFORMANCE].append((split, run.result["performance"]))
        for task, figures in run.result["tasks"].items():
            values[f"{task} {figures['metric']}"].append((split, figures["value"]))
    return {title: _line(name, points) for title, points in values.items()}


def _series_names(groups: Sequence[Group]) -> list[str]:
    """What parts the series: settings that not all of them agree in, else their depths."""
    names = dict.fromkeys(name for group in groups for name in group.differs)
    telling = [n for n in names if len({group.differs.get(n) for group in groups}) > 1]
    found = []
    for group in groups:
        words = [f"{name}={group.differs[name]}" for name in telling if name in group.differs]
        layers = shared_layers(group.plan)
        found.append(" ".join(words) or f"{layers[1] if layers else '?'} layers")
    return found


def schedules(groups: Iterable[Group]) -> list[Line]:
    """Alpha in each epoch, a line for each schedule that any of the groups trained with.

    Samplers without a size exponent (``unified``, ``round_robin``, ``sequential``) have none.
    """
    found: dict[tuple[tuple[float, ...], str], int] = defaultdict(int)
    for group in groups:
        told = group.runs[0].settings.get("sampler") or {}
        sampler = SamplerConfig(**{k: v for k, v in told.items() if k in vars(SamplerConfig())})
        epochs = (group.runs[0].settings.get("trainer") or {}).get("epochs")
        if sampler.name in ("temperature", "annealed") and isinstance(epochs, (int, float)):
            count = Epochs(1, epochs).count
            schedule = make_schedule(sampler)
            alphas = tuple(schedule.alpha(epoch, count) for epoch in range(count))
            found[alphas, _schedule_name(sampler)] += 1
    return [
        Line(f"{name} ({_counted(number, 'group')})", tuple(range(1, len(alphas) + 1)), alphas)
        for (alphas, name), number in found.items()
    ]


def _schedule_name(sampler: SamplerConfig) -> str:
    if sampler.name == "temperature":
        return f"temperature {sampler.alpha:g}"
    return f"annealed {sampler.start:g} to {sampler.end:g}, {sampler.shape}"


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def labelled(groups: Iterable[Group], runs: Iterable[Run]) -> list[tuple[str, Run]]:
    """Every run that has curves to show, with its group's label; runs that go on have their own."""
    found = [(group.label, run) for group in groups for run in group.runs]
    others = [run for run in runs if run.status in (RUNNING, STOPPED)]
    return found + [(f"{run.regime}  ({run.status})", run) for run in others]


def training_curves(runs: Iterable[tuple[str, Run]]) -> dict[str, list[Panel]]:
    """The panels of each of ``run.curves.PANELS`` that any run has a line in.

    A metric's panels begin with the performance. The lines of a run's phases are joined.
    """
    points: dict[tuple[str, str], dict[tuple[str, str, int], list[Value]]] = {}
    for label, run in runs:
        curves = read_curves(_rows(run))
        for line in curves.lines:
            metric = curves.metrics.get(line.task) if line.panel == METRIC else None
            title = f"{line.task} {metric}" if metric else line.task
            of_panel = points.setdefault((line.panel, title), {})
            of_run = of_panel.setdefault((label, run.name, run.seed or 0), [])
            of_run.extend(line.points)
    found: dict[str, list[Panel]] = defaultdict(list)
    for (kind, title), by_run in points.items():
        lines = [_line(label, values, seed) for (label, _, seed), values in by_run.items()]
        place = 0 if title == PERFORMANCE else len(found[kind])
        found[kind].insert(place, Panel(title, tuple(lines)))
    return {kind: found[kind] for kind in (METRIC, LOSS, TRAINING) if kind in found}


def _rows(run: Run) -> list[dict[str, Any]]:
    """metrics.csv row by row, each without the figures that it does not have."""
    names = [str(name) for name in run.history.columns]
    rows = run.history.itertuples(index=False, name=None)
    return [{n: v for n, v in zip(names, row, strict=True) if v == v} for row in rows]


def cosine_panels(runs: Iterable[tuple[str, Run]]) -> tuple[list[Panel], list[str]]:
    """The mean cosine of each pair of tasks at every stage, and the stages' names in order.

    A line is a run: over its evaluations, each the mean over the updates before it, the mean.
    """
    found: dict[str, list[tuple[str, int | None, dict[str, float]]]] = defaultdict(list)
    for label, run in runs:
        pairs: dict[str, dict[str, float]] = defaultdict(dict)
        for name in map(str, run.history.columns):
            stage, _, pair = name.removeprefix(_COSINE).partition("/")
            values = run.history[name].dropna()
            if name.startswith(_COSINE) and stage != "network" and len(values):
                pairs[pair][stage] = float(values.mean())
        for pair, stages in pairs.items():
            found[pair].append((label, run.seed, stages))
    order = sorted({s for lines in found.values() for _, _, own in lines for s in own}, key=_depth)
    places = {stage: place for place, stage in enumerate(order)}
    panels = [
        Panel(pair.replace("+", " and "), tuple(
            _line(label, sorted((places[s], value) for s, value in own.items()), seed)
            for label, seed, own in lines
        ))
        for pair, lines in found.items()
    ]  # fmt: skip
    return panels, order


def _depth(stage: str) -> tuple[int, int, str]:
    """Sorts stages as text passes them."""
    kind, _, number = stage.partition(".")
    place = _STAGE_ORDER.index(kind) if kind in _STAGE_ORDER else len(_STAGE_ORDER)
    return place, int(number) if number.isdecimal() else 0, stage


def _line(group: str, points: Sequence[Value], seed: int | None = None) -> Line:
    x, y = zip(*points, strict=True)
    return Line(group, tuple(x), tuple(y), seed)
