"""Tables as files: CSV with all digits, Markdown and LaTeX rounded to what the spread allows."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.errors import check_known
from mtl_sharing.utils.files import replace_text

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "md", "tex")
_TEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$",
}  # fmt: skip


def write_tables(
    folder: Path, tables: Mapping[str, "pd.DataFrame"], formats: Sequence[str] = FORMATS
) -> list[Path]:
    """Writes each table as ``<name>.csv``, ``.md`` and ``.tex``, and says where.

    Raises:
        UserError: an unknown format.
        OSError: the folder takes no more; no final name holds half a table.
    """
    makers = {"csv": as_csv, "md": as_markdown, "tex": as_latex}
    for name in formats:
        check_known("--formats", name, FORMATS)
    paths = []
    for name, table in tables.items():
        for kind in formats:
            path = folder / f"{name}.{kind}"
            replace_text(path, makers[kind](table))
            paths.append(path)
    return paths


def as_csv(table: "pd.DataFrame") -> str:
    """All columns with all digits; what is not known is empty."""
    return str(table.to_csv(index=False, lineterminator="\n"))


def as_markdown(table: "pd.DataFrame") -> str:
    """A pipe table of :func:`shown`."""
    frame = shown(table)
    rows = [_names(frame), ["---:" if n else "---" for n in _numeric(table, frame)]]
    lines = [[_one_line(cell).replace("|", r"\|") for cell in row] for row in rows + _cells(frame)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def as_latex(table: "pd.DataFrame") -> str:
    """A booktabs tabular of :func:`shown`, with every character of TeX's own escaped."""
    frame = shown(table)
    columns = "".join("r" if number else "l" for number in _numeric(table, frame))
    head, *body = [
        f"{' & '.join(escape_tex(_one_line(cell)) for cell in row)} \\\\"
        for row in [_names(frame), *_cells(frame)]
    ]
    lines = [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", head, "\\midrule", *body]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def escape_tex(text: str) -> str:
    """The text as LaTeX prints it."""
    return "".join(_TEX.get(letter, letter) for letter in text)


def shown(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table as people read it, all text: ``X sd`` goes into ``X`` as ``mean ± sd``, ``X low``
    and ``X high`` as ``[low, high]``; each number is rounded to two digits of its spread."""
    import pandas as pd

    names = [n for n in table if not _belongs(str(n), table)]
    rows = table.to_dict("records")
    columns = {str(n): [_cell(row, str(n)) for row in rows] for n in names}
    return pd.DataFrame(columns, columns=[str(n) for n in names])


def _belongs(name: str, table: "pd.DataFrame") -> bool:
    """Whether a column is shown within another."""
    return any(name.endswith(end) and name.removesuffix(end) in table for end in _ENDS)


_ENDS = (" sd", " low", " high")


def _cell(row: Mapping[Any, Any], name: str) -> str:
    value = row[name]
    if not _is_number(value):
        return "" if value is None or value != value else str(value)
    if name in ("p", "p (Holm)"):
        return rounded_p(value)
    deviation, low, high = (_number(row.get(f"{name}{end}")) for end in _ENDS)
    # An interval's quarter is about the error of its mean.
    width = None if low is None or high is None else (high - low) / 4
    # What decides how many digits mean something; one seed has no deviation.
    spread = next((found for found in (deviation, width) if found is not None), 0.0)
    text = rounded(value, spread)
    if deviation is not None:
        text += f" ± {rounded(deviation, spread) if deviation else 0}"
    if low is not None and high is not None:
        text += f" [{rounded(low, spread)}, {rounded(high, spread)}]"
    return text


def rounded(value: float, spread: float = 0.0) -> str:
    """A number with two digits of its spread, or without one with four of its own.

    Never more than four decimals; whole thousands are parted by commas.
    """
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    size = spread if spread > 0 else abs(value) / 100
    if size == 0:
        return "0"
    decimals = min(4, max(0, 1 - math.floor(math.log10(size))))
    # Adding 0 takes the sign off a zero.
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"


def rounded_p(value: float) -> str:
    """A p-value with three decimals, or that it is smaller."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _is_number(value: Any) -> bool:
    """Whether it is a number, and a known one."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _number(value: Any) -> float | None:
    return float(value) if _is_number(value) else None


def _names(frame: "pd.DataFrame") -> list[str]:
    return [str(name) for name in frame.columns]


def _numeric(table: "pd.DataFrame", frame: "pd.DataFrame") -> list[bool]:
    return [table[name].dtype.kind in "iuf" for name in _names(frame)]


def _cells(frame: "pd.DataFrame") -> list[list[str]]:
    return [list(map(str, row)) for row in frame.itertuples(index=False, name=None)]


def _one_line(text: str) -> str:
    return " ".join(str(text).split()) if "\n" in str(text) else str(text)
