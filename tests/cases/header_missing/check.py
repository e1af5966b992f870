"""One line says which column is missing, and how to read a file without a header."""

import sys
from pathlib import Path

lines = Path("output.txt").read_text().strip().splitlines()
if len(lines) != 1 or "train.csv: found no column 'text'" not in lines[0]:
    sys.exit(f"the output is: {lines[-1:]}")
if "task.rev.format.header=false" not in lines[0]:
    sys.exit(f"no word of a missing header: {lines[0]}")
print(lines[0])
