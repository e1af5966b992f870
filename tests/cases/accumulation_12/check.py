"""Eight rows and four, accumulated, train as twelve at once."""

import re
import sys
from pathlib import Path

import pandas as pd

printed = Path("output.txt").read_text()
largest = re.search(r"^max diff (\S+)$", printed, flags=re.MULTILINE)
if largest is None:
    sys.exit(f"no weights were compared: {printed.strip()[-200:]}")
dev = [pd.read_csv(f"run{rows}/metrics.csv")["dev/rev/loss"].iloc[-1] for rows in (8, 12)]
line = (
    f"weights differ by up to {float(largest[1]):.1e}, losses on dev by {abs(dev[0] - dev[1]):.1e}"
)
if not float(largest[1]) < 1e-4 or not abs(dev[0] - dev[1]) < 1e-5:
    sys.exit(line)
print(line)
