"""One line names task.rev.label_smoothing and lists a task's fields."""

import sys
from pathlib import Path

lines = Path("output.txt").read_text().strip().splitlines()
FIELDS = "kind columns train dev test labels classes range metric loss pairing batch_size layer"
if len(lines) != 1 or not lines[0].startswith("mtl-train: task.rev.label_smoothing: found "):
    sys.exit(f"the output is: {lines[-1:]}")
listed = lines[0].rpartition("allowed: ")[2].split(", ")
if missing := [field for field in FIELDS.split() if field not in listed]:
    sys.exit(f"the message lists no {', '.join(missing)}: {lines[0]}")
print(lines[0])
