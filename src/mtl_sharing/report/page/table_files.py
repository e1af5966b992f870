"""Tables as files: CSV with all digits, Markdown and LaTeX rounded to what the spread allows."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mtl_sharing.utils.files import replace_text
from mtl_sharing.utils.markdown import escaped, one_line

if TYPE_CHECKING:
    import pandas as pd

FORMATS = ("csv", "md", "tex")
_ENDS = (" sd", " low", " high")
# pandas leaves these characters, which the OT1 font encoding prints as others or not at all.
_OT1 = str.maketrans(
    {"<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "±": r"$\pm$"}
)


def write_tables(
    folder: Path, tables: Mapping[str, "pd.DataFrame"], formats: Sequence[str] = FORMATS
) -> None:
    """Writes each table as ``<name>.csv``, ``.md`` and ``.tex``.

    Raises:
        OSError: a file cannot be written; no final name holds a partial table.
    """
    writers = {"csv": as_csv, "md": as_markdown, "tex": as_latex}
    for name, table in tables.items():
        for kind in formats:
            replace_text(folder / f"{name}.{kind}", writers[kind](table))


def as_csv(table: "pd.DataFrame") -> str:
    """All columns with all digits; unknown values are empty."""
    return str(table.to_csv(index=False, lineterminator="\n"))


def as_markdown(table: "pd.DataFrame") -> str:
    """A pipe table of :func:`shown`, in which no text is markup."""
    texts = shown(table)
    rules = ["---:" if number else "---" for number in _numeric(table, texts)]
    rows = [[escaped(str(name)) for name in texts], rules, *texts.map(escaped).to_numpy().tolist()]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def as_latex(table: "pd.DataFrame") -> str:
    """A booktabs tabular of :func:`shown`, with TeX's special characters escaped."""
    texts = shown(table).map(one_line)
    columns = "".join("r" if number else "l" for number in _numeric(table, texts))
    style = texts.style.hide(axis="index").format(_printable, escape="latex")
    style = style.format_index(_printable, axis="columns", escape="latex")
    return str(style.to_latex(hrules=True, column_format=columns))


def _printable(text: object) -> str:
    return one_line(str(text)).translate(_OT1)


def shown(table: "pd.DataFrame") -> "pd.DataFrame":
    """The table as text for readers.

    Column ``X sd`` becomes part of ``X`` as ``mean ± sd``, ``X low`` and ``X high`` as
    ``[low, high]``. Each number is rounded to two digits of its spread.
    """
    import pandas as pd

    names = [
        str(name) for name in table
        if not any(str(name).endswith(e) and str(name).removesuffix(e) in table for e in _ENDS)
    ]  # fmt: skip
    rows = table.to_dict("records")
    return pd.DataFrame({name: [_cell(row, name) for row in rows] for name in names}, columns=names)


def _cell(row: Mapping[Any, Any], name: str) -> str:
    value = row[name]
    if not _is_number(value):
        return "" if value is None or value != value else str(value)
    if name in ("p", "p (Holm)"):
        return rounded_p(value)
    ends: list[Any] = [row.get(f"{name}{end}") for end in _ENDS]
    deviation, low, high = (float(end) if _is_number(end) else None for end in ends)
    # A quarter of the interval is about the standard error of its mean.
    width = None if low is None or high is None else (high - low) / 4
    # The spread decides the significant digits; one seed has no deviation.
    spread = next((s for s in (deviation, width) if s is not None), 0.0)
    text = rounded(value, spread)
    if deviation is not None:
        text += f" ± {rounded(deviation, spread) if deviation else 0}"
    if low is not None and high is not None:
        text += f" [{rounded(low, spread)}, {rounded(high, spread)}]"
    return text


def rounded(value: float, spread: float = 0.0) -> str:
    """A number with two digits of its spread, or with four digits of its own without a spread.

    It has at most four decimals; commas separate thousands.
    """
    if isinstance(value, int) or (float(value).is_integer() and abs(value) >= 1000):
        return f"{int(value):,}"
    size = spread if spread > 0 else abs(value) / 100
    if size == 0:
        return "0"
    decimals = min(4, max(0, 1 - math.floor(math.log10(size))))
    # Adding 0 removes the sign of a zero.
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"


def rounded_p(value: float) -> str:
    """A p-value with three decimals, or ``<0.001``."""
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _is_number(value: Any) -> bool:
    """Whether a value is a finite number."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and math.isfinite(value)


def _numeric(table: "pd.DataFrame", texts: "pd.DataFrame") -> list[bool]:
    return [table[name].dtype.kind in "iuf" for name in texts]
