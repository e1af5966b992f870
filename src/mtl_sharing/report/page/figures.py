"""The figures of a report: its series drawn, each with a caption and alt text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.plotting.answer import draw_answer
from mtl_sharing.plotting.lines import (
    Line,
    draw_cosines,
    draw_curves,
    draw_history,
    draw_schedules,
    draw_splits,
)
from mtl_sharing.plotting.style import GroupStyles, choose_styles, drawing, rendered
from mtl_sharing.plotting.trade_off import TradeOff, draw_trade_off
from mtl_sharing.plotting.training_curves import LOSS, METRIC, TRAINING
from mtl_sharing.report.analysis.series import (
    alpha_curves,
    cosine_panels,
    curve_panels,
    training_curves,
)
from mtl_sharing.report.analysis.splits import split_panels
from mtl_sharing.report.analysis.values import floor_of, group_flags
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import Run
from mtl_sharing.report.inputs.sweeps import SweepHistory
from mtl_sharing.report.page.page import FigureView
from mtl_sharing.run_folder.decision import Decision
from mtl_sharing.score.performance import FLOOR_FLAG

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_SCHEDULES = 12
_THIN = (
    "A thin line is a run, a thick one the mean of a group's runs where all of them have a value."
)


@dataclass(frozen=True)
class ReportFigures:
    """Draws the figures of one report in the given formats, ``svg`` among them."""

    groups: Sequence[Group]
    points: Sequence[TradeOff]
    runs: Sequence[Run]
    styles: GroupStyles
    formats: Sequence[str]

    def trade_off(self, chosen: str | None = None) -> FigureView:
        """Performance against parameters."""
        groups = counted(len(self.points), "group")
        runs = counted(sum(len(group.runs) for group in self.groups), "run")
        front = counted(sum(point.front for point in self.points), "group")
        caption = (
            f"{groups}, {runs}. A large mark is a group's mean, a small one a seed; a bar is the"
            " 95% t interval of the mean over seeds (from three seeds on). The grey steps"
            f" are the Pareto front of {front}: no other does as well with as few parameters."
            f"{self._floors()}{flagged_caption(self.groups, ' A cross marks them.')}"
        )
        alt = f"Performance against parameters for {groups}"
        return self._view("trade_off", alt, caption, draw_trade_off, self.points, self.styles)

    def _floors(self) -> str:
        """A sentence on the performance of a constant answer, one for each kind of data."""
        floors = {f"{floor:.4f}" for group in self.groups if (floor := floor_of(group)) is not None}
        return f" A constant answer reaches {', '.join(sorted(floors))}." if floors else ""

    def splits(self) -> list[FigureView]:
        """Score, performance and each task over the split point, for each encoder depth."""
        views = []
        for layers, panels in split_panels(self.groups).items():
            runs = counted(sum(len(line.points) for line in next(iter(panels.values()))), "run")
            caption = (
                f"Regimes that share the lower of {layers} encoder layers, {runs}."
                " A point is a run, the line the mean at each split."
                f"{flagged_caption(self.groups)}"
            )
            alt = f"{', '.join(panels)} against the number of shared layers"
            views.append(self._view(f"splits_{layers}_layers", alt, caption, draw_splits, panels))
        return views

    def schedules(self) -> list[FigureView]:
        """The exponent of samplers that draw by size; none if no run has such a sampler."""
        curves = alpha_curves(self.runs)
        lines = [
            Line(f"{c.name} ({counted(len(c.runs), 'run')})", tuple(enumerate(c.alphas, 1)))
            for c in sorted(curves, key=lambda curve: -len(curve.runs))[:_MOST_SCHEDULES]
        ]
        if not lines:
            return []
        some = f" The {len(lines)} most used of {len(curves)}." if len(curves) > len(lines) else ""
        caption = (
            "A task of N examples is drawn with a chance in proportion to N to the power of alpha:"
            f" 0 draws all tasks equally often, 1 by their size.{some}"
        )
        alt = f"Alpha over the epochs for {counted(len(lines), 'schedule')}"
        return [self._view("schedules", alt, caption, draw_schedules, lines)]

    def training(self) -> list[FigureView]:
        """Metrics and losses over the steps; none if no run was evaluated."""
        curves = training_curves(self.runs, self.groups)
        titles = {
            METRIC: ("curves_metrics", "Performance and metrics"),
            LOSS: ("curves_losses", "Losses on what is evaluated"),
            TRAINING: ("curves_training_losses", "Training losses"),
        }
        views: list[FigureView] = []
        for kind, (name, title) in titles.items():
            panels = curve_panels(curves, kind)
            if panels:
                runs = len({curve.run for curve in curves if curve.line.panel == kind})
                caption = f"{title}, {counted(runs, 'run')}. {_THIN}"
                alt = f"{title} over the steps: {', '.join(panels)}"
                views.append(self._view(name, alt, caption, draw_curves, panels, self.styles))
        return views

    def cosines(self) -> list[FigureView]:
        """The cosines of tasks' gradients on each stage; none if no run recorded them."""
        panels, stages = cosine_panels(self.groups)
        if not panels:
            return []
        groups = {line.group for lines in panels.values() for line in lines}
        caption = (
            f"{counted(len(groups), 'group')}; each point is the mean over seeds of the mean over"
            " the training. Above 0 two tasks pull a stage the same way, below 0 apart."
        )
        alt = f"Cosine of the gradients of {', '.join(panels)} at each stage"
        return [self._view("cosines", alt, caption, draw_cosines, panels, stages, self.styles)]

    def history(self, history: SweepHistory, number: int) -> FigureView:
        """A sweep's objective, trial after trial."""
        trials = counted(len(history.trials), "complete trial")
        what = f"{history.name}: {history.objective}"
        caption = f"{what} of {trials} in the order in which they were drawn."
        if history.flagged:
            flagged = counted(history.flagged, "trial")
            caption += f" {flagged} with a task {FLOOR_FLAG}."
        alt = f"{history.objective} of each trial of the sweep {history.name}, and the best so far"
        name, data = f"sweep_{number}", (history.trials, history.objective)
        return self._view(name, alt, caption, draw_history, *data)

    def answer(self, name: str, decision: Decision, number: int) -> FigureView:
        """The estimates of a search, and the probability of each regime."""
        trainings = counted(sum(len(one.trials) for one in decision.regimes), "training")
        caption = (
            f"{name}: performance as {trainings} estimate it, over seeds, with 90% intervals; of"
            " regimes of one size the one that keeps enough most likely. A star marks the chosen"
            " regime. Below, the probability that a regime keeps enough, pale without a training."
        )
        alt = f"Estimated performance of the regimes of the search {name}, and their probabilities"
        return self._view(f"sweep_{number}_answer", alt, caption, draw_answer, decision)

    def _view(
        self, name: str, alt: str, caption: str, draw: Callable[..., "Figure"], *data: object
    ) -> FigureView:
        with drawing():
            figure = draw(*data)
            files = {kind: rendered(figure, kind) for kind in self.formats}
        return FigureView(name, files, alt, caption)


def group_styles(groups: Sequence[Group], points: Sequence[TradeOff]) -> GroupStyles:
    """A style for each group; of many, baselines, the Pareto front and the best are named."""
    ranked = sorted(points, key=lambda point: -point.mean)
    baselines = [group.label for group in groups if group.separate]
    front = [point.group for point in ranked if point.front]
    first = [*baselines, *front, *(point.group for point in ranked)]
    return choose_styles([group.label for group in groups], first)


def flagged_caption(groups: Sequence[Group], marks: str = "") -> str:
    """Sentences on the groups whose figures flatter; empty if there are none."""
    flagged = [f"{group.label} ({flag})" for group in groups if (flag := group_flags(group))]
    return f" To be read with care: {'; '.join(flagged)}.{marks}" if flagged else ""


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
