"""The figures of a report: its series drawn, each with a caption and alt text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mtl_sharing.plotting.answer import draw_answer
from mtl_sharing.plotting.levels import Level
from mtl_sharing.plotting.lines import (
    Line,
    draw_cosines,
    draw_curves,
    draw_schedules,
    draw_splits,
)
from mtl_sharing.plotting.style import GroupStyles, choose_styles, drawing, rendered
from mtl_sharing.plotting.sweep import history_figure
from mtl_sharing.plotting.trade_off import TradeOff, draw_trade_off
from mtl_sharing.plotting.training_curves import LOSS, METRIC, TRAINING
from mtl_sharing.plotting.words import objective_words, scale_words
from mtl_sharing.report.analysis.notes import common_note
from mtl_sharing.report.analysis.series import (
    alpha_curves,
    cosine_panels,
    curve_panels,
    training_curves,
)
from mtl_sharing.report.analysis.splits import split_panels
from mtl_sharing.report.analysis.trade_offs import performance_levels
from mtl_sharing.report.analysis.values import group_flags, pearson_of
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
_FLOORS = "A dotted line, or else the label of the axis, says what a constant answer reaches."


@dataclass(frozen=True)
class ReportFigures:
    """Draws the figures of one report in the given formats, ``svg`` among them."""

    groups: Sequence[Group]
    points: Sequence[TradeOff]
    runs: Sequence[Run]
    styles: GroupStyles
    formats: Sequence[str]

    @property
    def _note(self) -> str:
        """The settings that the labels of most groups leave out."""
        return f" {note}" if (note := common_note(self.groups)) else ""

    def trade_off(self, chosen: str | None = None) -> FigureView:
        """Performance against parameters; the group of the label ``chosen`` has a ring."""
        groups = counted(len(self.points), "group")
        runs = counted(sum(len(group.runs) for group in self.groups), "run")
        front = counted(sum(point.front for point in self.points), "group")
        levels = performance_levels(self.groups)
        caption = (
            f"{groups}, {runs}. A large mark is a group's mean, a small one a seed; a bar is the"
            " 95% t interval of the mean over seeds (from three seeds on). The grey steps"
            f" are the Pareto front of {front}: no other does as well with as few parameters."
            f"{_levels_text(levels)}"
            f"{flagged_caption(self.groups, ' A cross marks them.')}"
        )
        alt = f"Performance against parameters for {groups}"
        label = f"performance (mean over tasks, {scale_words(pearson_of(self.groups))})"
        data = (self.points, self.styles, levels, label, chosen)
        return self._view("trade_off", alt, caption, draw_trade_off, *data)

    def splits(self) -> list[FigureView]:
        """Score, performance and each task over the split point, for each encoder depth."""
        views = []
        for layers, panels in split_panels(self.groups).items():
            first = next(iter(panels.values()))
            runs = counted(sum(len(line.points) for line in first.lines), "run")
            caption = (
                f"Regimes that share the lower of {layers} encoder layers, {runs}."
                " A pale point is a run, the line the mean at each split, a bar its 95% t interval"
                f" over seeds (from three seeds on). {_FLOORS}"
                f"{flagged_caption(self.groups)}"
            )
            alt = f"{', '.join(panels)} against the number of shared layers"
            views.append(self._view(f"splits_{layers}_layers", alt, caption, draw_splits, panels))
        return views

    def schedules(self) -> list[FigureView]:
        """The exponent of samplers that draw by size; none unless there are two that differ."""
        curves = alpha_curves(self.runs)
        lines = [
            Line(f"{c.name} ({counted(len(c.runs), 'run')})", tuple(enumerate(c.alphas, 1)))
            for c in sorted(curves, key=lambda curve: -len(curve.runs))[:_MOST_SCHEDULES]
        ]
        if len({line.points for line in lines}) < 2:
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
            METRIC: ("curves_metrics", "Performance and metrics", f" {_FLOORS}"),
            LOSS: ("curves_losses", "Losses on what is evaluated", ""),
            TRAINING: ("curves_training_losses", "Losses in the main training", ""),
        }
        views: list[FigureView] = []
        for kind, (name, title, more) in titles.items():
            panels = curve_panels(curves, kind, self.groups)
            # One evaluation is no curve.
            if any(len(line.points) > 1 for panel in panels.values() for line in panel.lines):
                runs = len({curve.run for curve in curves if curve.line.panel == kind})
                caption = f"{title}, {counted(runs, 'run')}. {_THIN}{more}{self._note}"
                alt = f"{title} over the steps: {', '.join(panels)}"
                data = (panels, self.styles)
                views.append(self._view(name, alt, caption, draw_curves, *data))
        return views

    def cosines(self) -> list[FigureView]:
        """The cosines of tasks' gradients on each stage; none if no run recorded them."""
        panels, stages = cosine_panels(self.groups)
        if not panels:
            return []
        groups = {line.group for panel in panels.values() for line in panel.lines}
        caption = (
            f"{counted(len(groups), 'group')}; a pale point is a seed's mean over its training, the"
            " line the mean over seeds, a bar its 95% t interval (from three seeds on)."
            " Above 0 two tasks pull a stage the same way, below 0 apart."
            f"{self._note}"
        )
        alt = f"Cosine of the gradients of {', '.join(panels)} at each stage"
        data = (panels, stages, self.styles)
        return [self._view("cosines", alt, caption, draw_cosines, *data)]

    def history(self, history: SweepHistory, number: int) -> FigureView:
        """A sweep's objective, trial after trial."""
        trials = counted(len(history.trials), "complete trial")
        what = f"{history.name}: {objective_words(history.objective)}"
        caption = f"{what} of {trials} in the order in which they were drawn."
        if history.flagged:
            flagged = counted(history.flagged, "trial")
            caption += f" {flagged} with a task {FLOOR_FLAG}."
        alt = f"{history.objective} of each trial of the sweep {history.name}, and the best so far"
        name, data = f"sweep_{number}", (history.trials, history.objective)
        return self._view(name, alt, caption, history_figure, *data)

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


def _levels_text(levels: Sequence[Level]) -> str:
    """A sentence on what a performance is compared with."""
    values = ", ".join(f"{level.name} {level.value:.4f}" for level in levels)
    band = " A grey band is the interval of separate models."
    return f" Beside the groups: {values}.{band * any(x.interval for x in levels)}" * bool(values)


def flagged_caption(groups: Sequence[Group], marks: str = "") -> str:
    """Sentences on the groups whose figures flatter; empty if there are none."""
    flagged = [f"{group.label} ({flag})" for group in groups if (flag := group_flags(group))]
    return f" To be read with care: {'; '.join(flagged)}.{marks}" if flagged else ""


def counted(number: int, noun: str) -> str:
    """``1 run``, ``2 runs``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
