"""How every figure of a report looks: one colour and mark for each group, sizes, files of it."""

import io
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

# Okabe and Ito (2008), without the yellow, which is hard to see on white: told apart under the
# common kinds of colour blindness.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#333333")
MARKS = ("o", "s", "^", "D", "v", "P", "X")
DASHES = ("-", "--", ":", "-.")
OTHER_COLOUR = "#BBBBBB"
INK, GRID = "#222222", "#E4E4E4"
# Groups with a colour of their own; the rest are grey, and the legend counts them.
NAMED = 12
WIDTH = 7.4  # inches
LEGEND_LETTERS = 112
_LABEL_LETTERS, _LABEL_LINES = 46, 3


@dataclass(frozen=True)
class GroupStyle:
    """Colour, mark and line of one group."""

    colour: str
    mark: str = "o"
    dash: str = "-"


OTHER = GroupStyle(OTHER_COLOUR)


@dataclass(frozen=True)
class GroupStyles:
    """The look of each group, the same in all figures.

    Attributes:
        named: in the legend's order; a group that is not in it looks like :data:`OTHER`.
    """

    named: Mapping[str, GroupStyle]

    def of(self, group: str) -> GroupStyle:
        """The look of a group."""
        return self.named.get(group, OTHER)


def choose_looks(
    groups: Sequence[str], first: Sequence[str] = (), named: int = NAMED
) -> GroupStyles:
    """Gives the groups their looks.

    Args:
        groups: labels of all groups, in the legend's order.
        first: those that are named rather than others, the most telling first.
        named: how many get a colour.
    """
    wanted = set(list(dict.fromkeys((*first, *groups)))[:named])
    chosen = [group for group in groups if group in wanted]
    return GroupStyles({group: _look(place) for place, group in enumerate(chosen)})


def _look(place: int) -> GroupStyle:
    colour, turn = place % len(COLOURS), place // len(COLOURS)
    mark = MARKS[(colour + turn) % len(MARKS)]
    return GroupStyle(COLOURS[colour], mark, DASHES[turn % len(DASHES)])


@contextmanager
def drawing() -> Iterator[None]:
    """Figures that are made or saved within a block have this report's look, and no warnings.

    Letters that matplotlib's own font lacks are drawn by whoever shows the SVG.
    """
    import matplotlib as mpl

    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "mtl-sharing",
        "text.parse_math": False,
        "font.size": 9,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": "#999999",
        "axes.labelcolor": INK,
        "axes.titlecolor": INK,
        "text.color": INK,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.unicode_minus": True,
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "xtick.color": INK,
        "ytick.color": INK,
        "xtick.labelsize": 8,
        "ytick.labelsize": 8,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
    }
    with mpl.rc_context(settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message=".*constrained_layout not applied.*")
        yield


def new_figure(height: float, width: float = WIDTH) -> "Figure":
    """An empty figure, in inches, that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def panels(
    count: int, columns: int, height: float = 2.3, x_label: str = ""
) -> tuple["Figure", list["Axes"]]:
    """A figure with ``count`` panels in rows of ``columns``; ``height`` is a row's in inches."""
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    figure = new_figure(rows * height)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel().tolist()
    for empty in axes[count:]:
        empty.remove()
    for number, one in enumerate(axes[:count]):
        one.tick_params(labelbottom=True)
        if number + columns >= count:  # the last of its column
            one.set_xlabel(x_label)
    return figure, axes[:count]


def wrap(label: str, letters: int = _LABEL_LETTERS, lines: int = _LABEL_LINES) -> str:
    """A label in at most so many lines; what does not fit is left out at its end."""
    parts = textwrap.wrap(label, letters, max_lines=lines, placeholder=" …")
    return "\n".join(parts) or label


def add_legend(figure: "Figure", handles: Sequence["Line2D"]) -> None:
    """A legend below the figure, which grows by as much; in as many columns as fit."""
    if not handles:
        return
    names = [str(handle.get_label()) for handle in handles]
    longest = max(len(line) for name in names for line in name.splitlines())
    columns = max(1, min(len(names), LEGEND_LETTERS // (longest + 6)))
    lines = [1 + name.count("\n") for name in names]
    rows = -(-len(names) // columns)
    tall = sum(sorted(lines, reverse=True)[:rows])
    width, height = figure.get_size_inches()
    figure.set_size_inches(width, height + 0.17 * tall + 0.12)
    figure.legend(handles=handles, loc="outside lower left", ncols=columns)


def entry(label: str, look: GroupStyle, line: bool) -> "Line2D":
    """A legend's entry.

    Args:
        line: the mark stands on a line.
    """
    from matplotlib.lines import Line2D

    style: Any = look.dash if line else "none"
    return Line2D([], [], color=look.colour, marker=look.mark, linestyle=style, label=label)


def group_handles(looks: GroupStyles, shown: Sequence[str], lines: bool) -> list["Line2D"]:
    """Legend entries of the named groups that a figure shows, and of the others together.

    Args:
        shown: labels of the groups in the figure.
        lines: the groups are lines, not marks.
    """
    known = set(shown)
    found = [entry(wrap(name), look, lines) for name, look in looks.named.items() if name in known]
    others = len(known - set(looks.named))
    if others:
        found.append(entry("1 other" if others == 1 else f"{others} others", OTHER, lines))
    return found


def rendered(figure: "Figure", kind: str) -> bytes:
    """The figure as an ``svg``, ``png`` or ``pdf`` file; equal figures give equal bytes."""
    # What says when and by what a file was made.
    dated = {"svg": {"Date": None}, "png": {"Software": None}, "pdf": {"CreationDate": None}}
    if figure.get_layout_engine() is not None:
        # Once for all files, which else would find the same layout twice each.
        figure.draw_without_rendering()
        figure.set_layout_engine("none")
    content = io.BytesIO()
    figure.savefig(content, format=kind, dpi=160, metadata=dated[kind])
    return content.getvalue()
