"""The words NA, None and null are texts; rows whose text is nan are skipped and told."""

import sys
from pathlib import Path

printed = Path("output.txt").read_text()
if "rev: 48 train and 28 dev examples" not in printed:
    sys.exit(f"other rows than wanted: {printed[:300]!r}")
for wanted in ("51 lines read: 1 header, 48 examples, 2 skipped", "31 lines read: 1 header, 28"):
    if wanted not in printed:
        sys.exit(f"no sum of {wanted!r} in: {printed[:300]!r}")
for place in ("train.csv:42", "train.csv:43", "dev.csv:22", "dev.csv:23"):
    if f"{place}: " not in printed:
        sys.exit(f"the skipped row {place} is not told: {printed[:300]!r}")
print("48 of 50 train and 28 of 30 dev rows, the others are named")
