"""Passes if the run's tokenizer.json gives the ids of transformers' AutoTokenizer."""

import sys
from pathlib import Path

lines = Path("output.txt").read_text(encoding="utf-8").splitlines()
counts = [line for line in lines if line.startswith("differ ")]
if counts != ["differ 0"]:
    sys.exit(f"expected differ 0, found {counts or lines[-1:]}")
