"""Booleans of JSON are named by False and True: false is class 0, true is class 1."""

import json
import sys
from pathlib import Path

import pandas as pd

if not Path("run/predictions.parquet").is_file():
    sys.exit(f"no predictions: {Path('output.txt').read_text().strip()[-200:]}")
wanted = [int(json.loads(line)["label"]) for line in Path("dev.jsonl").read_text().splitlines()]
labels = pd.read_parquet("run/predictions.parquet").label.astype(int).tolist()
if labels != wanted:
    sys.exit(f"labels {labels} where the file has {wanted}")
print(f"{len(labels)} dev labels as in the file, {sum(labels)} of them true")
