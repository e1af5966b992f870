"""A dev of one class is told, and F1 is scikit-learn's over the classes that occur."""

import json
import sys
from pathlib import Path

import pandas as pd
from sklearn.metrics import f1_score

output = Path("output.txt").read_text()
if "rev: dev has one class alone, good (20 examples), and no bad\n" not in output:
    sys.exit("not told that dev has one class")
found = json.loads(Path("run/result.json").read_text())["tasks"]["rev"]
table = pd.read_parquet("run/predictions.parquet")
wanted = f1_score(table.label, table.prediction, average="macro")
if abs(found["f1"] - wanted) > 1e-9 or found["floor"] != 1:
    sys.exit(f"f1 {found['f1']}, where scikit-learn gives {wanted}; floor {found['floor']}")
