"""A table of texts and numbers on a terminal of any width: it folds, and nothing is cut."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_GAP = 2
# A longer text is folded where the table is too wide; down to the second width beside a number.
_TEXT_WIDTH, _NARROW = 26, 8


@dataclass(frozen=True)
class FoldingTable:
    """A table whose columns go on in a block below where they do not fit beside each other.

    Attributes:
        columns: the cells of each column, by its header.
        texts: headers of the columns of text, which are aligned on the left.
        keys: how many first columns stand in every block.
        heading: a line above the table; empty for none.
    """

    columns: Mapping[str, Sequence[str]]
    texts: Collection[str] = ()
    keys: int = 1
    heading: str = ""

    @property
    def width(self) -> int:
        """The width of the table in one block, nothing folded."""
        return sum(map(self._natural, self.columns)) + _GAP * (len(self.columns) - 1)

    def __rich_console__(self, console: "Console", options: "ConsoleOptions") -> "RenderResult":
        if self.heading:
            yield Text(self.heading)
        for number, names in enumerate(self._blocks(options.max_width)):
            if number:
                yield Text("")
            yield self._block(names, options.max_width)

    def _natural(self, name: str) -> int:
        return max(map(cell_len, (name, *self.columns[name])))

    def _least(self, width: int) -> dict[str, int]:
        """The widths that columns need: a header is folded between words, a number never."""
        least = {
            name: max(map(cell_len, (*name.split(), *cells)), default=0)
            for name, cells in self.columns.items()
            if name not in self.texts
        }
        beside = width - _GAP - max(least.values(), default=_NARROW)
        longest = min(_TEXT_WIDTH, max(_NARROW, beside))
        texts = [name for name in self.columns if name in self.texts]
        return least | {name: min(self._natural(name), longest) for name in texts}

    def _blocks(self, width: int) -> Iterator[list[str]]:
        """The columns of each block."""
        names, least = list(self.columns), self._least(width)
        keys, rest = names[: self.keys], names[self.keys :]
        first = sum(least[name] + _GAP for name in keys) - _GAP
        block, used = [*keys], first
        for name in rest:
            needed = _GAP + least[name]
            if used + needed > width and len(block) > len(keys):
                yield block
                block, used = [*keys], first
            block.append(name)
            used += needed
        yield block

    def _block(self, names: Sequence[str], width: int) -> Table:
        widths = self._least(width)
        spare = width - sum(widths[name] for name in names) - _GAP * (len(names) - 1)
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in names:
            more = max(0, min(spare, self._natural(name) - widths[name]))
            spare -= more
            justify: Literal["left", "right"] = "left" if name in self.texts else "right"
            table.add_column(Text(name), justify=justify, overflow="fold",
                             width=widths[name] + more)  # fmt: skip
        for row in zip(*(self.columns[name] for name in names), strict=True):
            table.add_row(*map(Text, row))
        return table


def table_of(
    rows: Sequence[Mapping[str, str]],
    texts: Collection[str] = (),
    keys: int = 1,
    heading: str = "",
) -> FoldingTable:
    """The table of rows with the same headers; takes what :class:`FoldingTable` does."""
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}
    return FoldingTable(columns, texts, keys, heading)
