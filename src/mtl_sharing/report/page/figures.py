"""The figures of a report: its series drawn, each with a caption and words for the blind."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.plotting.curve_data import LOSS, METRIC, PERFORMANCE, TRAINING
from mtl_sharing.plotting.lines import (
    Line,
    Panel,
    draw_cosines,
    draw_curves,
    draw_history,
    draw_schedules,
    draw_splits,
)
from mtl_sharing.plotting.style import GroupStyles, choose_styles, drawing, rendered
from mtl_sharing.plotting.trade_off import TradeOff, draw_trade_off
from mtl_sharing.report.analysis.series import (
    CosineProfile,
    SplitCurve,
    TrainingCurve,
    alpha_curves,
    cosine_profiles,
    pareto_points,
    split_curves,
    training_curves,
)
from mtl_sharing.report.analysis.tables import figure, over_seeds
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.report.inputs.sweeps import SweepHistory
from mtl_sharing.report.page.page import FigureView

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SCHEDULES = 12
_THIN = (
    "A thin line is a run, a thick one the mean of a group's runs where all of them have a value."
)
Kinds = Sequence[str]


@dataclass(frozen=True)
class ReportFigures:
    """Draws the figures of one report.

    Attributes:
        points: size and performance of each group.
        looks: of the groups, the same in all figures.
        kinds: of files that each figure becomes; ``svg`` is one of them.
    """

    groups: Sequence[Group]
    points: Sequence[TradeOff]
    runs: Sequence[Run]
    looks: GroupStyles
    kinds: Kinds

    def trade_off(self) -> FigureView:
        """Performance against parameters."""
        points = self.points
        front = sum(point.front for point in points)
        caption = (
            f"{counted(len(points), 'group')}, {counted(len(self._finished()), 'run')}. A large"
            " mark is a group's mean, a small one a seed; a bar is the 95% bootstrap interval of"
            " the mean over seeds (from three seeds on). The grey steps are the Pareto front of"
            f" {counted(front, 'group')}: no other does as well with as few parameters."
        )
        alt = f"Performance against parameters for {counted(len(points), 'group')}"
        return self._view("trade_off", alt, caption, lambda: draw_trade_off(points, self.looks))

    def splits(self) -> list[FigureView]:
        """Score, performance and each task over the split point, for each depth of encoder."""
        by_depth: dict[int, list[SplitCurve]] = defaultdict(list)
        for curve in split_curves(self.groups):
            by_depth[curve.layers].append(curve)
        return [self._split(layers, found) for layers, found in by_depth.items()]

    def _split(self, layers: int, curves: Sequence[SplitCurve]) -> FigureView:
        panels = split_panels(curves)
        runs = sum(len(line.x) for line in panels[0].lines)
        caption = (
            f"Regimes that share the lower of {layers} encoder layers, {counted(runs, 'run')}."
            " A point is a run, the line the mean at each split."
        )
        alt = f"{_listed(panel.title for panel in panels)} against the number of shared layers"
        name = f"splits_{layers}_layers"
        return self._view(name, alt, caption, lambda: draw_splits(panels))

    def schedules(self) -> list[FigureView]:
        """The exponent of samplers that draw by size; none where no run has one."""
        found = alpha_curves(self.runs)
        lines = [
            Line(f"{curve.name} ({counted(len(curve.runs), 'run')})",
                 tuple(range(1, len(curve.alphas) + 1)), curve.alphas)
            for curve in sorted(found, key=lambda curve: -len(curve.runs))[:_MOST_SCHEDULES]
        ]  # fmt: skip
        if not lines:
            return []
        some = f" The {len(lines)} most used of {len(found)}." if len(found) > len(lines) else ""
        caption = (
            "A task of N examples is drawn with a chance in proportion to N to the power of alpha:"
            f" 0 draws all tasks equally often, 1 by their size.{some}"
        )
        alt = f"Alpha over the epochs for {counted(len(lines), 'schedule')}"
        return [self._view("schedules", alt, caption, lambda: draw_schedules(lines))]

    def training(self) -> list[FigureView]:
        """Figures and losses over the steps; none where no run was evaluated."""
        curves = training_curves(self.runs, self.groups)
        titles = {
            METRIC: ("curves_metrics", "Performance and metrics"),
            LOSS: ("curves_losses", "Losses on what is evaluated"),
            TRAINING: ("curves_training_losses", "Training losses"),
        }
        found: list[FigureView] = []
        for kind, (name, title) in titles.items():
            panels = curve_panels(curves, kind)
            if panels:
                runs = len({curve.run for curve in curves if curve.line.panel == kind})
                caption = f"{title}, {counted(runs, 'run')}. {_THIN}"
                alt = f"{title} over the steps: {_listed(panel.title for panel in panels)}"
                columns = 3 if len(panels) != 4 else 2
                found.append(self._view(name, alt, caption, self._curves(panels, columns)))
        return found

    def _curves(self, panels: Sequence[Panel], columns: int) -> Callable[[], "Figure"]:
        return lambda: draw_curves(panels, self.looks, "step", columns)

    def cosines(self) -> list[FigureView]:
        """How tasks' gradients agree on each stage; none where no run wrote it down."""
        panels, stages = cosine_panels(cosine_profiles(self.groups))
        if not panels:
            return []
        groups = {line.group for panel in panels for line in panel.lines}
        caption = (
            f"{counted(len(groups), 'group')}; each point is the mean over seeds of the mean over"
            " the training. Above 0 two tasks pull a stage the same way, below 0 apart."
        )
        alt = f"Cosine of the gradients of {_listed(panel.title for panel in panels)} at each stage"
        draw = lambda: draw_cosines(panels, stages, self.looks)  # noqa: E731
        return [self._view("cosines", alt, caption, draw)]

    def course(self, course: SweepHistory, number: int) -> FigureView:
        """A sweep's objective, trial after trial."""
        caption = (
            f"{course.name}: {course.objective} of {counted(len(course.trials), 'complete trial')}"
            " in the order in which they were drawn."
        )
        alt = f"{course.objective} of each trial of the sweep {course.name}, and the best so far"
        trials = {"complete": course.trials} if course.trials else {}
        draw = lambda: draw_history(trials, course.best, course.objective)  # noqa: E731
        return self._view(f"sweep_{number}", alt, caption, draw)

    def _finished(self) -> list[Run]:
        return [run for group in self.groups for run in group.runs]

    def _view(self, name: str, alt: str, caption: str, draw: Callable[[], "Figure"]) -> FigureView:
        with drawing():
            picture = draw()
            files = {kind: rendered(picture, kind) for kind in self.kinds}
        return FigureView(name, files, alt, caption)


def looks_of(groups: Sequence[Group], points: Sequence[TradeOff]) -> GroupStyles:
    """A look for each group; of many those have one of their own that are baselines, lie on the
    Pareto front, or perform best."""
    ranked = sorted(points, key=lambda point: -point.mean)
    first = [group.label for group in groups if group.separate]
    front = [point.group for point in ranked if point.front]
    telling = [*first, *front, *(point.group for point in ranked)]
    return choose_styles([group.label for group in groups], telling)


def trade_offs(groups: Sequence[Group]) -> list[TradeOff]:
    """Size and performance of each group, the smallest first."""
    by_label = {group.label: group for group in groups}
    found = []
    for point in pareto_points(groups):
        own, summary = by_label[point.label], point.performance
        values = over_seeds(own, lambda run: figure(run.result, PERFORMANCE))
        interval = None
        if summary.low is not None and summary.high is not None:
            interval = (summary.low, summary.high)
        found.append(TradeOff(point.label, point.parameters, tuple(values.values()),
                              summary.mean or 0.0, interval, point.on_front))  # fmt: skip
    return found


def split_panels(curves: Iterable[SplitCurve]) -> list[Panel]:
    """A panel for each figure, with a line for each family."""
    lines: dict[str, list[Line]] = defaultdict(list)
    for curve in curves:
        pairs = [(split, value) for split, each in curve.points for _, value in each]
        x, y = zip(*pairs, strict=True)
        lines[f"{curve.figure} {curve.metric}".strip()].append(Line(curve.family, x, y))
    return [Panel(title, tuple(found)) for title, found in lines.items()]


def curve_panels(curves: Sequence[TrainingCurve], kind: str) -> list[Panel]:
    """A panel for each task, the performance first; a run's phases are joined into one line."""
    points: dict[str, dict[tuple[str, str], list[tuple[int, float]]]] = {}
    # In the order of the evaluations, not of what trained first.
    tasks = {task: place for place, task in enumerate(dict.fromkeys(
        curve.line.task for curve in curves if curve.line.panel != TRAINING
    ))}  # fmt: skip
    for curve in curves:
        if curve.line.panel == kind:
            metric = curve.metric if kind == METRIC and curve.metric else ""
            panel = points.setdefault(f"{curve.line.task} {metric}".strip(), {})
            panel.setdefault((curve.label, curve.run), []).extend(curve.line.points)
    titles = sorted(
        points, key=lambda title: (title != PERFORMANCE, tasks.get(title.split()[0], 0))
    )
    return [
        Panel(title, tuple(_joined(label, found) for (label, _), found in points[title].items()))
        for title in titles
    ]


def _joined(label: str, points: Iterable[tuple[int, float]]) -> Line:
    x, y = zip(*sorted(points), strict=True)
    return Line(label, x, y)


def cosine_panels(profiles: Sequence[CosineProfile]) -> tuple[list[Panel], list[str]]:
    """A panel for each pair of tasks, and the stages that the lines' x counts."""
    longest: dict[str, None] = {}
    for profile in sorted(profiles, key=lambda profile: -len(profile.stages)):
        longest |= dict.fromkeys(stage for stage, _ in profile.stages)
    places = {stage: place for place, stage in enumerate(longest)}
    lines: dict[str, list[Line]] = defaultdict(list)
    for profile in profiles:
        x = tuple(places[stage] for stage, _ in profile.stages)
        y = tuple(summary.mean or 0.0 for _, summary in profile.stages)
        lines[profile.pair.replace("+", " and ")].append(Line(profile.label, x, y))
    return [Panel(pair, tuple(found)) for pair, found in lines.items()], list(places)


def counted(number: int, what: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
