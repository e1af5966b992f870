"""The sst model of three separate models is the one that sst has alone."""

import re
import sys
from pathlib import Path

printed = Path("output.txt").read_text()
found = re.search(r"^same (\S+) max diff (\S+)$", printed, flags=re.MULTILINE)
if found is None:
    sys.exit(f"no predictions were compared: {printed.strip()[-200:]}")
line = f"{float(found[1]):.1%} of the predictions are the same, probabilities differ by {found[2]}"
if float(found[1]) != 1 or not float(found[2]) <= 1e-5:
    sys.exit(line)
print(line)
