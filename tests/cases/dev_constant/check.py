"""The log and the result say that a correlation with constant labels is undefined."""

import json
import re
import sys
from pathlib import Path

task = json.loads(Path("run/result.json").read_text())["tasks"]["rev"]
said = re.findall(r"rev: pearson undefined on dev.*", Path("output.txt").read_text())
if not said or "20 labels are 3" not in said[0]:
    sys.exit(f"not said in the log that pearson is undefined: {said}")
if "pearson" not in task.get("undefined", {}):
    sys.exit(f"not marked in result.json: {task}")
