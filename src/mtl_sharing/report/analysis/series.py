"""What a report's figures show, apart from how they are drawn."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields

from mtl_sharing.errors import UserError
from mtl_sharing.plotting.curve_data import Line, read_curves
from mtl_sharing.report.analysis.statistics import Summary, summarize
from mtl_sharing.report.analysis.tables import figure, over_seeds, summary_of
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.run_folder.discovery import natural_key
from mtl_sharing.run_folder.metrics import MAIN
from mtl_sharing.sampling.alpha import make_schedule
from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.settings import SamplerConfig

_DRAWN = ("temperature", "annealed")


@dataclass(frozen=True)
class ParetoPoint:
    """A group by its size and performance.

    Attributes:
        parameters: of the whole model.
        performance: over seeds, with its interval.
        on_front: no group has as few parameters and performs better, or fewer and performs as
            well, by the means.
    """

    label: str
    parameters: float
    performance: Summary
    on_front: bool


def pareto_points(groups: Sequence[Group]) -> list[ParetoPoint]:
    """Every group, the smallest model first."""
    found = [(g.label, summary_of(g, "params.total").mean, summary_of(g, "performance", True))
             for g in groups]  # fmt: skip
    pairs = [(size or 0.0, value.mean or 0.0) for _, size, value in found]
    points = [
        ParetoPoint(label, size, value, not any(_beats(other, (size, mean)) for other in pairs))
        for (label, _, value), (size, mean) in zip(found, pairs, strict=True)
    ]
    return sorted(points, key=lambda p: (p.parameters, -(p.performance.mean or 0), p.label))


def _beats(one: tuple[float, float], other: tuple[float, float]) -> bool:
    return one[0] <= other[0] and one[1] >= other[1] and one != other


@dataclass(frozen=True)
class SplitCurve:
    """A figure over the split point, of regimes alike in all else.

    Attributes:
        family: what they have in common where the report has several such curves; may be empty.
        figure: ``score``, ``performance``, or a task.
        metric: what a task is measured by; else empty.
        layers: of the encoder.
        points: for each number of shared layers the value of each seed.
    """

    family: str
    figure: str
    metric: str
    layers: int
    points: tuple[tuple[int, tuple[tuple[int, float], ...]], ...]

    def means(self) -> list[tuple[int, float]]:
        """The mean over seeds at each split point."""
        return [(k, sum(v for _, v in each) / len(each)) for k, each in self.points]


def split_curves(groups: Sequence[Group]) -> list[SplitCurve]:
    """Score, performance and each task by the number of shared lower layers.

    Of plans like S6-I6, S12 and I12; a family needs two of these or more.
    """
    families: dict[tuple[str, ...], list[tuple[int, Group]]] = {}
    for group in groups:
        split = split_of(group.plan)
        if split is not None:
            parts = json.dumps(group.runs[0].parts, sort_keys=True)
            key = (str(split[1]), parts, *(f"{n}={v}" for n, v in group.differs.items()))
            families.setdefault(key, []).append((split[0], group))
    found: list[SplitCurve] = []
    for key, members in families.items():
        members.sort(key=lambda pair: pair[0])
        if len({split for split, _ in members}) > 1:
            found += _curves_of(_family_name(members[0][1]), int(key[0]), members)
    return found


def split_of(plan: str) -> tuple[int, int] | None:
    """Shared lower layers and all layers of a plan that shares those alone; None of another."""
    match = re.fullmatch(r"(?:S(\d+))?-?(?:I(\d+))?", plan)
    if not match or not any(match.groups()):
        return None
    shared, own = (int(number or 0) for number in match.groups())
    return shared, shared + own


def _family_name(group: Group) -> str:
    """The label without the plan."""
    return group.label.removeprefix(group.plan).strip(" +")


def _curves_of(
    family: str, layers: int, members: Sequence[tuple[int, Group]]
) -> Iterator[SplitCurve]:
    tasks = {task: f"tasks.{task}.value" for task in members[0][1].tasks}
    for name, path in ({"score": "score", "performance": "performance"} | tasks).items():
        points = tuple(
            (split, tuple(values.items()))
            for split, group in members
            if (values := over_seeds(group, lambda run, path=path: figure(run.result, path)))  # type: ignore[misc]
        )
        metric = members[0][1].runs[0].result["tasks"][name]["metric"] if name in tasks else ""
        if len(points) > 1:
            yield SplitCurve(family, name, metric, layers, points)


@dataclass(frozen=True)
class AlphaCurve:
    """The exponent of the tasks' sizes over the epochs, as some runs were trained.

    Attributes:
        name: the sampler in words.
        epochs: of the training; 2.5 is two and a half.
        alphas: in each epoch, one begun at the end counted whole.
        runs: names of the runs that it was of.
    """

    name: str
    epochs: float
    alphas: tuple[float, ...]
    runs: tuple[str, ...]


def alpha_curves(runs: Iterable[Run]) -> list[AlphaCurve]:
    """Of every run whose sampler draws tasks by their size, finished or not."""
    found: dict[tuple[str, float, tuple[float, ...]], list[str]] = {}
    for run in runs:
        key = _alphas(run)
        if key is not None:
            found.setdefault(key, []).append(run.name)
    return [AlphaCurve(*key, tuple(names)) for key, names in sorted(found.items())]


def _alphas(run: Run) -> tuple[str, float, tuple[float, ...]] | None:
    settings, epochs = run.settings.get("sampler"), figure(run.settings, "trainer.epochs")
    if not isinstance(settings, dict) or settings.get("name") not in _DRAWN or not epochs:
        return None
    known = {field.name for field in fields(SamplerConfig)}
    config = SamplerConfig(**{name: v for name, v in settings.items() if name in known})
    try:
        schedule, count = make_schedule(config), Epochs(1, epochs).count
    except (UserError, TypeError):
        return None  # the run failed of it
    alphas = tuple(schedule.alpha(epoch, count) for epoch in range(count))
    return _sampler_name(config), epochs, alphas


def _sampler_name(config: SamplerConfig) -> str:
    if config.name == "temperature":
        return f"temperature, alpha {config.alpha:g}"
    return f"annealed, alpha {config.start:g} to {config.end:g}, {config.shape}"


@dataclass(frozen=True)
class TrainingCurve:
    """One figure of one run over its steps.

    Attributes:
        label: of the run's group, or the run's regime and name where it is in none.
        metric: what the task is measured by, where the panel shows that.
        line: panel (``run/curves.py``), task or ``performance``, and points.
    """

    label: str
    run: str
    metric: str | None
    line: Line


def training_curves(runs: Iterable[Run], groups: Iterable[Group]) -> list[TrainingCurve]:
    """Losses and figures of every run that has been evaluated, finished or not."""
    labels = {run: group.label for group in groups for run in group.runs}
    return [
        TrainingCurve(labels.get(run, f"{run.regime}  ({run.name})"), run.name,
                      curves.metrics.get(line.task), line)
        for run in runs
        for curves in [read_curves(_rows(run))]
        for line in curves.lines
    ]  # fmt: skip


def _rows(run: Run) -> list[dict[str, object]]:
    """The evaluations as the trainer had them: without the figures that one does not have."""
    table = run.history.to_dict("records")
    return [{str(n): v for n, v in row.items() if v == v} for row in table]


@dataclass(frozen=True)
class CosineProfile:
    """How well two tasks' gradients agree on each stage that they share.

    Attributes:
        pair: the two tasks, joined by ``+``.
        stages: from the bottom up, each with the cosine over seeds, of each run the mean over its
            main training.
    """

    label: str
    pair: str
    stages: tuple[tuple[str, Summary], ...]


_COSINE = re.compile(r"cosine/(?P<stage>.+)/(?P<pair>[^/]+)")
_WHOLE = "network"


def cosine_profiles(groups: Iterable[Group]) -> list[CosineProfile]:
    """Of every group whose runs were trained with ``loss.cosines=stages``."""
    return [profile for group in groups for profile in _profiles(group)]


def _profiles(group: Group) -> Iterator[CosineProfile]:
    found: dict[str, dict[str, list[float]]] = {}
    for run in group.by_seed().values():
        history = run.history
        if "phase" in history:
            history = history[history["phase"] == MAIN]
        for name in history:
            match = _COSINE.fullmatch(str(name))
            values = history[name].dropna()
            if match and match["stage"] != _WHOLE and len(values):
                stages = found.setdefault(match["pair"], {})
                stages.setdefault(match["stage"], []).append(float(values.mean()))
    for pair, stages in found.items():
        each = sorted(stages.items(), key=lambda item: _height(item[0]))
        yield CosineProfile(group.label, pair, tuple((s, summarize(v)) for s, v in each))


def _height(stage: str) -> tuple[int, list[str | int]]:
    kinds = ("embeddings", "layer", "pooler", "head")
    kind = stage.partition(".")[0]
    return kinds.index(kind) if kind in kinds else len(kinds), natural_key(stage)
