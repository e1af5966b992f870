"""metrics.csv: one row for each evaluation of a run."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mtl_sharing.run_folder.layout import METRICS
from mtl_sharing.utils.files import replace_text

Row = dict[str, Any]
MAIN = "main"
"""The main training's name in the ``phase`` column."""


def write_metrics(folder: Path, history: Sequence[Row]) -> None:
    """Replaces metrics.csv. A row lacks the columns that it has no value for."""
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    replace_text(folder / METRICS, text.getvalue())
