"""MRPC's default quoting loses no row, and one line with file:line names format.quoting=false."""

import os
import re
import sys
from pathlib import Path

if not os.environ.get("SHARED"):
    print("MRPC is not on this machine")
    sys.exit(77)
printed = Path("output.txt").read_text()
counts = "rows 4076 usable 4076 usable that swallowed lines 0"
for quoting in (True, False):
    if f"quoting {quoting} {counts}" not in printed:
        sys.exit(f"rows are lost: {printed[-300:]!r}")
told = re.findall(r"msr_paraphrase_train\.txt:\d+: .*format\.quoting=false", printed)
if len(told) != 1:
    sys.exit(f"told {len(told)} times: {printed[:300]!r}")
print(f"4,076 rows by either setting, told once: {told[0][:60]}...")
