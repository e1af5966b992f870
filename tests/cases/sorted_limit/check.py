"""A row limit on a sorted file, which leaves one class in train, is told once with counts."""

import sys
from pathlib import Path

lines = Path("output.txt").read_text().splitlines()
told = [line for line in lines if "one class alone" in line]
start = "rev: train has one class alone, bad (25 examples), and no good; suite.max_train_rows=25"
if len(told) != 1 or not told[0].startswith(start):
    sys.exit(f"told {told} in: {lines[:5]}")
print(told[0])
