"""Passes if the run starts from the weights in shards and finishes."""

import json
import sys
from pathlib import Path

result, output = Path("run/result.json"), Path("output.txt").read_text(encoding="utf-8")
status = json.loads(result.read_text(encoding="utf-8"))["status"] if result.is_file() else None
if status != "finished" or "initialised at random" in output:
    sys.exit(f"expected a finished run from the shards, found {status}: {output[-200:]!r}")
