"""F1 is scikit-learn's where a class is absent from dev."""

import json
import sys
from pathlib import Path

import pandas as pd
from sklearn.metrics import f1_score

found = json.loads(Path("run/result.json").read_text())["tasks"]["rev"]["f1"]
table = pd.read_parquet("run/predictions.parquet")
wanted = f1_score(table.label, table.prediction, average="macro")
if abs(found - wanted) > 1e-9:
    sys.exit(f"f1 {found}, where scikit-learn gives {wanted}")
