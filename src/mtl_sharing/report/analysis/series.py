"""The data of a report's figures; ``page/figures.py`` draws them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

from mtl_sharing.errors import UserError
from mtl_sharing.plotting.lines import Line, Panel, Panels
from mtl_sharing.plotting.training_curves import (
    LOSS,
    METRIC,
    PERFORMANCE,
    TRAINING,
    read_curves,
)
from mtl_sharing.plotting.training_curves import Line as CurveLine
from mtl_sharing.plotting.words import scale_words
from mtl_sharing.report.analysis.splits import with_intervals
from mtl_sharing.report.analysis.trade_offs import metric_levels
from mtl_sharing.report.analysis.values import number, pearson_of
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.run_folder.discovery import natural_key
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.samplers import make_schedule
from mtl_sharing.sampling.settings import SamplerConfig


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


def training_curves(runs: Iterable[Run], groups: Sequence[Group]) -> list[TrainingCurve]:
    """The losses and metrics of every run that has been evaluated, of any status.

    Of training losses only the main training's: a phase may have another loss.
    """
    labels = {run: group.label for group in groups for run in group.runs}
    pearson = pearson_of(groups)
    return [
        TrainingCurve(labels.get(run, f"{run.regime}  ({run.name})"), run.name,
                      curves.metrics.get(line.task), line)
        for run in runs
        for curves in [read_curves(_rows(run), pearson)]
        for line in curves.lines if line.phase in ("", MAIN)
    ]  # fmt: skip


def _rows(run: Run) -> list[dict[str, object]]:
    """The evaluations as the trainer had them: a row has no unknown values."""
    table = run.history.to_dict("records")
    return [{str(n): v for n, v in row.items() if v == v} for row in table]


def curve_panels(curves: Sequence[TrainingCurve], kind: str, groups: Sequence[Group]) -> Panels:
    """A panel for each task, the performance first.

    ``kind`` is one of the kinds of lines of ``plotting/training_curves.py``. Panels of metrics have
    the floor that all groups have.
    """
    points: dict[tuple[str, str], dict[tuple[str, str], list[tuple[int, float]]]] = {}
    # In the order of the evaluations, which does not depend on the task that trained first.
    evaluated = [curve.line.task for curve in curves if curve.line.panel != TRAINING]
    order = {task: index for index, task in enumerate(dict.fromkeys(evaluated))}
    for curve in curves:
        if curve.line.panel == kind:
            name = (curve.metric or "") if kind == METRIC else LOSS
            panel = points.setdefault((curve.line.task, name), {})
            panel.setdefault((curve.label, curve.run), []).extend(curve.line.points)
    shown = sorted(points, key=lambda key: (key[0] != PERFORMANCE, order.get(key[0], 0)))
    return {
        f"{task} {name}".strip(): Panel(
            [Line(label, sorted(of_run)) for (label, _), of_run in points[task, name].items()],
            scale_words(pearson_of(groups)) if task == PERFORMANCE else "",
            metric_levels(groups, task) if kind == METRIC else (),
        )
        for task, name in shown
    }


_COSINE = re.compile(r"cosine/(?P<stage>.+)/(?P<pair>[^/]+)")
_ALL_STAGES = "network"


def cosine_panels(groups: Iterable[Group]) -> tuple[Panels, list[str]]:
    """The cosines of tasks' gradients on each shared stage: a panel for each pair of tasks.

    A point is one seed: the mean over its main training. Runs have cosines if trained with
    ``loss.cosines=stages``.

    Returns:
        The panels, and the stages from the bottom up, which x counts.
    """
    profiles = [(group.label, pair, s) for group in groups for pair, s in _cosines(group).items()]
    by_length = sorted(profiles, key=lambda profile: -len(profile[2]))
    stages = list(dict.fromkeys(stage for _, _, seeds in by_length for stage in seeds))
    lines: dict[str, list[Line]] = defaultdict(list)
    for label, pair, seeds in profiles:
        points = [(stages.index(stage), value) for stage in seeds for value in seeds[stage]]
        lines[pair.replace("+", " and ")].append(with_intervals(Line(label, points)))
    return {pair: Panel(own, "cosine") for pair, own in lines.items()}, stages


def _cosines(group: Group) -> dict[str, dict[str, list[float]]]:
    """Each seed's mean cosine, by pair of tasks and stage."""
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
        pair: {stage: stages[stage] for stage in sorted(stages, key=_height)}
        for pair, stages in pairs.items()
    }


def _height(stage: str) -> tuple[int, list[str | int]]:
    kinds = ("embeddings", "layer", "pooler", "head")
    kind = stage.partition(".")[0]
    return kinds.index(kind) if kind in kinds else len(kinds), natural_key(stage)
