"""Passes if a run finishes, and one without a step has the weights of all four shards."""

import json
import sys
from pathlib import Path

from safetensors.numpy import load_file

# One weight of each shard, by its name in the run.
WEIGHTS = {
    "encoder.embeddings.copies.0.word.weight": "embeddings.word_embeddings.weight",
    "encoder.embeddings.copies.0.position.weight": "embeddings.position_embeddings.weight",
    "encoder.layers.0.copies.0.up.weight": "encoder.layer.0.intermediate.dense.weight",
    "encoder.pooler.copies.0.dense.weight": "pooler.dense.weight",
}
result, output = Path("run/result.json"), Path("output.txt").read_text(encoding="utf-8")
status = json.loads(result.read_text(encoding="utf-8"))["status"] if result.is_file() else None
if status != "finished" or not Path("start/model.safetensors").is_file():
    sys.exit(f"expected two finished runs from the shards, found {status}: {output[-200:]!r}")
ours, index = load_file("start/model.safetensors"), Path("ck/model.safetensors.index.json")
shard_of = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
for name, saved in WEIGHTS.items():
    if not (ours[name] == load_file(f"ck/{shard_of[saved]}")[saved]).all():
        sys.exit(f"{name} is not {saved} of {shard_of[saved]}")
print(f"a weight of each of {len({shard_of[saved] for saved in WEIGHTS.values()})} shards")
