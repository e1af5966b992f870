"""All 58 rows train, the log says where the file shows its quotes to be text, and lines add up."""

import sys
from pathlib import Path

printed = Path("output.txt").read_text()
rows = len(Path("train.tsv").read_text().splitlines()) - 1
for wanted in (
    f"rev: {rows} train and 20 dev examples",
    f"rev train: {rows + 1} lines read: 1 header, {rows} examples",
    "train.tsv:42: ",
    "format.quoting=false",
):
    if wanted not in printed:
        sys.exit(f"no {wanted!r} in: {printed[:300]!r}")
print(f"{rows} rows are {rows} train examples")
