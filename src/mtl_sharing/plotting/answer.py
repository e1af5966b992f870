"""Draws the answer of a search: estimated performance with its band, probability by regime."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mtl_sharing.plotting.style import COLOURS, DPI, INK, drawing, new_figure, rendered, wrap
from mtl_sharing.plotting.sweep import PICTURE
from mtl_sharing.plotting.trials import is_plain_split, shared_layers
from mtl_sharing.run_folder.decision import Decision, probability_text
from mtl_sharing.utils.files import replace_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _RED = COLOURS[:2]
_GREY = "#777777"
_LETTERS = 30


@dataclass(frozen=True)
class CurvePoint:
    """The estimate of the likeliest regime of one size to keep enough."""

    x: float
    mean: float
    low: float
    high: float
    position: int


@dataclass(frozen=True)
class Bar:
    """The probability of one regime that it keeps enough."""

    label: str
    probability: float
    trainings: int
    is_chosen: bool


def is_by_split(decision: Decision) -> bool:
    """Whether the regimes differ in their split alone, so that it says all of them."""
    plain = all(is_plain_split(one.regime) for one in decision.regimes)
    return plain and len({one.regime for one in decision.regimes}) == len(decision.regimes)


def positions_x(decision: Decision) -> list[float]:
    """Where each regime stands: its shared layers, or its share of the parameters."""
    if is_by_split(decision):
        return [float(shared_layers(one.regime)) for one in decision.regimes]
    return [round(one.parameters, 6) for one in decision.regimes]


def curve_data(decision: Decision) -> list[CurvePoint]:
    """The likeliest regime at each x to keep enough, in ascending order."""
    best: dict[float, int] = {}
    for position, x in enumerate(positions_x(decision)):
        one, other = decision.regimes[position], decision.regimes[best.get(x, position)]
        if (one.probability, one.mean) >= (other.probability, other.mean):
            best[x] = position
    estimates = ((x, decision.regimes[best[x]], best[x]) for x in sorted(best))
    return [CurvePoint(x, one.mean, one.low, one.high, i) for x, one, i in estimates]


def training_data(decision: Decision) -> list[tuple[float, float]]:
    """x and performance of each training."""
    regimes = zip(positions_x(decision), decision.regimes, strict=True)
    return [(x, performance) for x, one in regimes for performance in one.performances]


def enough_data(decision: Decision) -> tuple[float, float, float]:
    """The performance that is enough, and its 90% interval."""
    keep, separate = decision.question.keep, decision.reference
    return keep * separate.mean, keep * separate.low, keep * separate.high


def bar_data(decision: Decision) -> list[Bar]:
    """A bar for each shown regime but separate models, the dearest first."""
    shown = ((i, decision.regimes[i]) for i in decision.shown() if i)
    return [
        Bar(one.label, one.probability, len(one.trials), i == decision.chosen) for i, one in shown
    ]


def draw_answer(decision: Decision, title: str = "") -> "Figure":
    """Draws the curve of performance, and below it the probabilities of several regimes."""
    bars = bar_data(decision)
    lines = max([wrap(bar.label, _LETTERS, 2).count("\n") + 1 for bar in bars], default=1)
    bars_height = 0.6 + (0.13 + 0.12 * lines) * len(bars)
    heights = [3.0, *[bars_height] * (len(bars) > 1)]
    figure = new_figure(sum(heights) + (0.6 if title else 0.2))
    figure.set_dpi(DPI)  # a label's width changes with the resolution
    upper, *lower = figure.subplots(len(heights), 1, height_ratios=heights, squeeze=False).ravel()
    _draw_curve(upper, decision)
    if lower:
        _draw_bars(lower[0], bars, decision.question.confidence)
    if title:
        figure.suptitle(title, fontsize=9.5, ha="left", x=0.01)
    return figure


def _draw_curve(axes: "Axes", decision: Decision) -> None:
    curve, trainings = curve_data(decision), training_data(decision)
    x = [point.x for point in curve]
    _draw_enough(axes, decision)
    low, high = ([getattr(point, end) for point in curve] for end in ("low", "high"))
    axes.fill_between(x, low, high, color=_BLUE, alpha=0.15, lw=0, label="90% interval")
    axes.plot(x, [point.mean for point in curve], color=_BLUE, label="estimated")
    if trainings:
        places, values = zip(*trainings, strict=True)
        axes.scatter(places, values, s=14, c=INK, alpha=0.6, lw=0, zorder=3, label="one training")
    _mark_chosen(axes, decision)
    _label_x(axes, is_by_split(decision))
    axes.set(
        title="performance, estimated over seeds",
        ylabel="performance\n(a constant answer is not shown)",
    )
    axes.legend(loc="lower left" if is_by_split(decision) else "lower right", ncols=2)
    axes.margins(y=0.12)


def _draw_enough(axes: "Axes", decision: Decision) -> None:
    enough, low, high = enough_data(decision)
    label = f"{100 * decision.question.keep:.4g}% of separate models"
    axes.axhspan(low, high, color=_GREY, alpha=0.12, lw=0)
    axes.axhline(enough, color=_GREY, ls="--", lw=1.2, label=label)


def _mark_chosen(axes: "Axes", decision: Decision) -> None:
    """Marks the chosen regime, with its probability beside."""
    one = decision.regimes[decision.chosen]
    xs = positions_x(decision)
    x = xs[decision.chosen]
    right, side = (-6, "right") if 2 * x > min(xs) + max(xs) else (6, "left")
    name = (
        "separate models"
        if one.point is None
        else f"{one.label}  {probability_text(one.probability)}"
    )
    state = "" if decision.decided else "so far "
    axes.scatter([x], [one.mean], s=80, c=_RED, marker="*", zorder=5)
    axes.annotate(wrap(f"{state}{name}", _LETTERS), (x, one.mean), xytext=(right, 10), ha=side,
                  textcoords="offset points", color=_RED, fontsize=8, zorder=6)  # fmt: skip


def _label_x(axes: "Axes", by_split: bool) -> None:
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if by_split:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("encoder layers with one copy for all tasks")
    else:
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.set_xlabel("parameters, relative to separate models")


def _draw_bars(axes: "Axes", bars: Sequence[Bar], confidence: float) -> None:
    title = "probability of keeping enough (dashed: as asked; pale: not trained)"
    axes.set(title=title, xlim=(0, 1.3))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.axvline(confidence, color=_GREY, ls="--", lw=1.2)
    axes.grid(visible=False, axis="y")
    rows = range(len(bars))
    colours = [_RED if bar.is_chosen else _BLUE for bar in bars]
    drawn = axes.barh(rows, [bar.probability for bar in bars], color=colours, height=0.7)
    for patch, row, bar in zip(drawn, rows, bars, strict=True):
        patch.set_alpha(0.9 if bar.trainings else 0.35)
        text = f"{probability_text(bar.probability)}  {bar.trainings} training"
        axes.text(1.02, row, text + "s" * (bar.trainings != 1), va="center", fontsize=8.5)
    axes.set_yticks(rows, [wrap(bar.label, _LETTERS, 2) for bar in bars], fontsize=8.5)
    axes.invert_yaxis()


def draw_answer_file(folder: Path, name: str, decision: Decision) -> None:
    """Replaces sweep.png by the answer of the search of this name."""
    with drawing():
        content = rendered(draw_answer(decision, wrap(f"{name}: {decision.sentence}", 84)), "png")
    replace_file(folder / PICTURE, lambda path: path.write_bytes(content))
