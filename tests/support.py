"""What many tests share: where things are, a quick run, and what a command left."""

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COURSE_DATA = ROOT.parent / "shared" / "data" / "cs224n"

# A whole run in about a second: few rows, few steps, a narrow encoder.
QUICK = (
    "suite.max_train_rows=40",
    "suite.max_dev_rows=30",
    "trainer.max_steps=4",
    "trainer.batch_size=4",
    "encoder.hidden=12",
    "encoder.embedding=12",
    "encoder.heads=3",
    "encoder.intermediate=20",
    "encoder.vocabulary=700",
    "score.pairs=0",
)


@dataclass
class Outcome:
    """What a command left: exit code, what it printed, and its newest run folder."""

    code: int
    out: str
    err: str
    cwd: Path

    @property
    def folder(self) -> Path:
        return max(self.cwd.glob("outputs/*/*"), key=lambda path: path.stat().st_mtime)

    @property
    def result(self) -> dict:
        return json.loads((self.folder / "result.json").read_text())
