"""Half of a surrogate pair in a text trains as U+FFFD."""

import sys
from pathlib import Path

printed = Path("output.txt").read_text()
if "Traceback" in printed or not Path("run/result.json").is_file():
    sys.exit(f"no result: {printed.strip()[-200:]}")
if "rev: 41 train and 20 dev examples" not in printed:
    sys.exit(f"rows are lost: {printed[:300]!r}")
print("41 train and 20 dev examples, one with U+FFFD")
