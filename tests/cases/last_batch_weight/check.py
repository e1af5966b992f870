"""Over 50 epochs of 17 rows in batches of 16 no row counts much more than another."""

import ast
import sys
from pathlib import Path

printed = Path("output.txt").read_text().strip()
if not printed.startswith("{"):
    sys.exit(f"no weights: {printed[-200:]}")
# The weight of each row in an epoch; alone in a batch it has 1, among 16 rows 1/16.
weights = ast.literal_eval(printed.splitlines()[-1])
row, most = max(weights.items(), key=lambda item: item[1])
line = f"row {row:g} of {len(weights)} counts {most:g} in an epoch, the mean row "
line += f"{sum(weights.values()) / len(weights):.3f}"
if len(weights) != 17 or most > 0.3 or min(weights.values()) < 0.05:
    sys.exit(line)
print(line)
