"""A finished run, as the tests of baselines look at it."""

import csv
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

SEPARATE = "score.reference=separate"


@dataclass(frozen=True)
class Run:
    """What a run left, and what it printed."""

    folder: Path
    out: str = ""

    @cached_property
    def result(self) -> dict:
        return json.loads((self.folder / "result.json").read_text())

    @cached_property
    def found(self) -> tuple:
        """Everything that it found, without times."""
        with (self.folder / "metrics.csv").open() as file:
            rows = [
                {k: v for k, v in row.items() if k != "train_s"} for row in csv.DictReader(file)
            ]
        names = ("tasks", "kept", "against", "reference", "untuned", "performance")
        weights = (self.folder / "model.safetensors").read_bytes()
        return weights, rows, {name: self.result[name] for name in names}
