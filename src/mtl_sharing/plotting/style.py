"""Style of all figures: a colour and mark for each group, layout, legend, files."""

import io
import sys
import textwrap
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe and Ito (2008), distinct under the common kinds of colour blindness; without the yellow,
# which is hard to see on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
INK, GRID = "#222222", "#E4E4E4"
# Groups with their own colour; the others are grey, and the legend counts them.
NAMED = 12
# Inches: small, so that text of 8 points can be read where a page shows 480 pixels.
WIDTH = 6.4
DPI = 160
LEGEND_LETTERS = 88
_LABEL_LETTERS, _LABEL_LINES = 46, 3


@dataclass(frozen=True)
class GroupStyle:
    """Colour, mark and line style of a group."""

    colour: str
    mark: str = "o"
    dash: str = "-"


OTHER = GroupStyle("#BBBBBB")


GroupStyles = Mapping[str, GroupStyle]
"""The style of each named group, in the legend's order; all other groups have :data:`OTHER`."""


def choose_styles(
    groups: Sequence[str], first: Sequence[str] = (), named: int = NAMED
) -> GroupStyles:
    """Chooses styles of ``named`` groups: of ``first``, the most important first, then of others.

    The labels ``groups`` are in the legend's order.
    """
    chosen = list(dict.fromkeys((*first, *groups)))[:named]
    in_order = [group for group in groups if group in chosen]
    return {group: _style(number) for number, group in enumerate(in_order)}


def _style(number: int) -> GroupStyle:
    round_, colour = divmod(number, len(COLOURS))
    mark = MARKS[(colour + round_) % len(MARKS)]
    return GroupStyle(COLOURS[colour], mark, DASHES[round_ % len(DASHES)])


def load_matplotlib() -> ModuleType:
    """Imports matplotlib, which takes its settings from the working folder, in a folder of ours.

    A ``matplotlibrc`` that waits in a stranger's folder could have LaTeX called.
    """
    if "matplotlib" not in sys.modules:
        with chdir(Path(__file__).parent):
            import matplotlib  # noqa: F401
    return sys.modules["matplotlib"]


@contextmanager
def drawing() -> Iterator[None]:
    """Applies the style to figures made or saved within the block.

    Warnings about missing glyphs are ignored: the viewer of an SVG has its own fonts.
    """
    mpl = load_matplotlib()
    settings: Any = {
        "svg.fonttype": "none", "svg.hashsalt": "mtl-sharing", "text.parse_math": False,
        "font.size": 10, "lines.linewidth": 1.6, "lines.markersize": 5,
        "axes.titlesize": 10, "axes.titleweight": "bold", "axes.titlelocation": "left",
        "axes.labelsize": 9,
        "axes.spines.top": False, "axes.spines.right": False, "axes.edgecolor": "#999999",
        "axes.grid": True, "axes.axisbelow": True, "grid.color": GRID, "grid.linewidth": 0.8,
        "axes.labelcolor": INK, "axes.titlecolor": INK, "text.color": INK,
        "xtick.color": INK, "ytick.color": INK, "xtick.labelsize": 9, "ytick.labelsize": 9,
        "legend.frameon": False, "legend.fontsize": 9,
    }  # fmt: skip
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message=".*constrained_layout not applied.*")
        yield


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure of this size in inches, which needs no display."""
    load_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(
    titles: Collection[str], columns: int, height: float = 2.3, x_label: str = ""
) -> tuple["Figure", list["Axes"]]:
    """A figure with a panel for each title in rows of ``columns``, each ``height`` inches high.

    The ticks of x are whole numbers.
    """
    from matplotlib.ticker import MaxNLocator

    count = len(titles)
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    figure = new_figure(rows * height)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel().tolist()
    for empty in axes[count:]:
        empty.remove()
    for number, (panel, title) in enumerate(zip(axes, titles, strict=False)):
        panel.set_title(title)
        panel.tick_params(labelbottom=True)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        if number + columns >= count:  # the last of its column
            panel.set_xlabel(x_label)
    return figure, axes[:count]


def wrap(label: str, letters: int = _LABEL_LETTERS, lines: int = _LABEL_LINES) -> str:
    """Wraps a label into at most ``lines`` lines, and truncates it where it is longer."""
    return "\n".join(textwrap.wrap(label, letters, max_lines=lines, placeholder=" …")) or label


def add_legend(figure: "Figure", handles: Sequence["Line2D"]) -> None:
    """Adds a legend in as many columns as fit below the figure, which grows by its height."""
    if not handles:
        return
    names = [str(handle.get_label()) for handle in handles]
    longest = max(len(line) for name in names for line in name.splitlines())
    columns = max(1, min(len(names), LEGEND_LETTERS // (longest + 6)))
    lines = [1 + name.count("\n") for name in names]
    rows = -(-len(names) // columns)
    tall = sum(sorted(lines, reverse=True)[:rows])
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.19 * tall + 0.12)
    figure.legend(handles=handles, loc="outside lower left", ncols=columns)


def entry(label: str, style: GroupStyle, line: bool) -> "Line2D":
    """A legend entry: a mark, with a line through it where ``line`` is set."""
    from matplotlib.lines import Line2D

    dash: Any = style.dash if line else "none"
    return Line2D([], [], color=style.colour, marker=style.mark, linestyle=dash, label=label)


def group_handles(styles: GroupStyles, shown: Collection[str], lines: bool) -> list["Line2D"]:
    """Legend entries of the named groups among those shown, and one of all others."""
    named = {group: style for group, style in styles.items() if group in shown}
    handles = [entry(wrap(group), style, lines) for group, style in named.items()]
    if others := len(set(shown) - set(named)):
        handles.append(entry("1 other" if others == 1 else f"{others} others", OTHER, lines))
    return handles


def rendered(figure: "Figure", kind: str) -> bytes:
    """The figure as an ``svg``, ``png`` or ``pdf`` file; equal figures give equal bytes."""
    # Without the date and the version of matplotlib.
    metadata = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    if figure.get_layout_engine() is not None:
        # Computes the layout once; each savefig would repeat it twice.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=DPI, metadata=metadata[kind])
    return content.getvalue()
