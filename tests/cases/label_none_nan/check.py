"""Labels called None and nan, which the task lists, are classes like others."""

import sys
from pathlib import Path

import pandas as pd

printed = Path("output.txt").read_text()
if "rev: 40 train and 20 dev examples" not in printed:
    sys.exit(f"rows are lost: {printed[:300]!r}")
names = [line.rpartition(",")[2] for line in Path("dev.csv").read_text().splitlines()[1:]]
labels = pd.read_parquet("run/predictions.parquet").label.astype(int).tolist()
if labels != [["None", "nan"].index(name) for name in names]:
    sys.exit(f"labels {labels} where the file has {names}")
print(f"40 train and 20 dev examples, {labels.count(1)} of dev are nan")
