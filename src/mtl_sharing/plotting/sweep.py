"""Draws sweep.png: performance over sharing or size, history, importance of parameters."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.plotting.levels import draw_levels, level_handles, reference_levels
from mtl_sharing.plotting.style import (
    COLOURS,
    GroupStyle,
    add_legend,
    drawing,
    entry,
    new_figure,
    rendered,
    wrap,
)
from mtl_sharing.plotting.trials import (
    AT_FLOOR,
    Row,
    TrialPoint,
    floor_of,
    history_data,
    importance_data,
    is_by_split,
    lowest_shown,
    split_of,
    state_of,
    trial_points,
)
from mtl_sharing.plotting.words import objective_words, scale_words, setting_words
from mtl_sharing.score.clock import clock_of_rows
from mtl_sharing.score.performance import FLOOR_FLAG
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.utils.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from optuna import Study

PICTURE = "sweep.png"
# Style and legend of each state; a failed trial has nothing to draw.
STATES = {
    "COMPLETE": (GroupStyle(COLOURS[0], "o"), "complete"),
    AT_FLOOR: (GroupStyle(COLOURS[1], "X"), f"a task {FLOOR_FLAG}"),
    "PRUNED": (GroupStyle(COLOURS[3], "v"), "pruned, at its last evaluation"),
}
_FRONT, _BEST = GroupStyle(COLOURS[5], ""), GroupStyle("#777777", "")
_TITLE_LETTERS = 84


def draw_sweep(
    folder: Path,
    rows: Sequence[Row],
    objectives: Sequence[str],
    reference: float | None,
    score: ScoreConfig,
    study: "Study",
) -> None:
    """Replaces sweep.png, from the rows of sweep.csv and separate models' performance, if known."""
    with drawing():
        figure = sweep_figure(rows, objectives, reference, score, importance_data(study))
        figure.suptitle(wrap(title_of(study.study_name, rows), _TITLE_LETTERS), fontsize=10,
                        ha="left", x=0.01)  # fmt: skip
        content = rendered(figure, "png")
    replace_file(folder / PICTURE, lambda path: path.write_bytes(content))


def sweep_figure(
    rows: Sequence[Row],
    objectives: Sequence[str],
    reference: float | None,
    score: ScoreConfig,
    importance: dict[str, float],
) -> "Figure":
    """The panels with something to tell: performance, history, importance of the parameters."""
    history = history_data(rows, objectives)
    heights = [3.2, *[2.4] * (len(history) > 1), *[0.7 + 0.25 * len(importance)] * bool(importance)]
    figure = new_figure(sum(heights) + 0.4)
    axes = iter(figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False).ravel())
    points, first = trial_points(rows), next(axes)
    _draw_trials(first, points, is_by_split(rows))
    levels = reference_levels(floor_of(rows), reference, score.keep)
    label = "performance" + "".join(f" on {split}" for split in split_of(rows))
    drawn = draw_levels(first, levels, f"{label}\n{scale_words(score.pearson)}")
    if len(history) > 1:
        flagged = [row["trial"] for row in rows if state_of(row) == AT_FLOOR]
        draw_history(next(axes), history, objectives[0], flagged)
    if importance:
        draw_importance(next(axes), importance)
    states = [STATES[state] for state in STATES if state in {point.state for point in points}]
    handles = [entry(label, style, line=False) for style, label in states]
    handles += [entry("no smaller one is better", _FRONT, line=True)] * (_front(points) != [])
    handles += [entry("best so far", _BEST, line=True)] * (len(history) > 1)
    add_legend(figure, [*handles, *level_handles(drawn)])
    return figure


def title_of(name: str, rows: Sequence[Row]) -> str:
    """The sweep's name, its numbers of trained and of duplicate trials, and how they were timed."""
    clock, equal = clock_of_rows(rows), sum(row["same_as"] is not None for row in rows)
    duplicates = f", {equal} more drawn equal to them" if equal else ""
    timed = f"; {clock}" if clock.machines else ""
    return f"{name}: {len(rows) - equal} trials{duplicates}{timed}"


def _draw_trials(axes: "Axes", points: Sequence[TrialPoint], by_split: bool) -> None:
    """Draws every trial, and the best of each size as a line; labels these where x does not."""
    from matplotlib.ticker import MaxNLocator

    x_label = "encoder layers with one copy for all tasks" if by_split else "million parameters"
    axes.set(title="performance of each training", xlabel=x_label)
    if by_split:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    for state, (style, _) in STATES.items():
        _scatter(axes, [(p.x, p.performance) for p in points if p.state == state], style, 34)
    front = _front(points)
    axes.plot([p.x for p in front], [p.performance for p in front], color=_FRONT.colour)
    for point in [] if by_split else front:
        axes.annotate(wrap(point.regime, 24, 2), (point.x, point.performance), xytext=(5, -11),
                      textcoords="offset points", fontsize=8, zorder=4,
                      bbox={"facecolor": "white", "alpha": 0.75, "lw": 0, "pad": 0.5})  # fmt: skip
    if not points:
        axes.text(0.5, 0.5, "no trial has been evaluated", ha="center", transform=axes.transAxes)


def _scatter(
    axes: "Axes", points: Sequence[tuple[float, float]], style: GroupStyle, size: float
) -> None:
    if points:
        x, y = zip(*points, strict=True)
        axes.scatter(x, y, s=size, c=style.colour, marker=style.mark, alpha=0.8, lw=0, zorder=3)


def _front(points: Sequence[TrialPoint]) -> list[TrialPoint]:
    return sorted((point for point in points if point.front), key=lambda point: point.x)


def history_figure(history: Sequence[tuple[int, float, float]], objective: str) -> "Figure":
    """The objective of each complete trial, and the best so far."""
    figure = new_figure(2.6)
    draw_history(figure.subplots(), history, objective)
    complete, label = STATES["COMPLETE"]
    handles = [entry(label, complete, line=False), entry("best so far", _BEST, line=True)]
    add_legend(figure, handles)
    return figure


def draw_history(
    axes: "Axes",
    data: Sequence[tuple[int, float, float]],
    objective: str,
    flagged: Sequence[int] = (),
) -> None:
    """Draws the objective of each trial and the best so far; flagged trials have their style."""
    from matplotlib.ticker import MaxNLocator

    trials, values, best = zip(*data, strict=True)
    low = lowest_shown(values, objective)
    below = [trial for trial, value in zip(trials, values, strict=True) if value < low]
    for state in ("COMPLETE", AT_FLOOR):
        marked = {*flagged, *below}
        own = [(t, max(v, low)) for t, v, _ in data if (t in marked) == (state == AT_FLOOR)]
        _scatter(axes, own, STATES[state][0], 26)
    axes.step(trials, [max(value, low) for value in best], where="post", color=_BEST.colour, lw=1.2)
    note = f"\nlowest marks: a task\n{FLOOR_FLAG}" if below else ""
    axes.set(title="in the order of the trials", xlabel="trial",
             ylabel=objective_words(objective).replace(" (", "\n(") + note)  # fmt: skip
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def draw_importance(axes: "Axes", data: dict[str, float]) -> None:
    """Draws a bar for each parameter, the most important on top."""
    axes.set(title="importance of the parameters", xlabel="share of the objective's variance")
    names = list(reversed(data))
    axes.barh([setting_words(name) for name in names], [data[n] for n in names], color=COLOURS[0])
    axes.grid(visible=False, axis="y")
