"""One line says that YAML has read the label 01 as a number, and how to quote it."""

import sys
from pathlib import Path

lines = Path("output.txt").read_text().strip().splitlines()
if len(lines) != 1 or "train.csv:2: found the label '01'" not in lines[0]:
    sys.exit(f"the output is: {lines[-1:]}")
if "YAML reads 01 as 1" not in lines[0] or "['01']" not in lines[0]:
    sys.exit(f"no word of quoting: {lines[0]}")
print(lines[0])
