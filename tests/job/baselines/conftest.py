"""Quick runs that are compared with baselines, with a cache of their own."""

import json

import pytest

from baseline_runs import Run
from mtl_sharing.training.trainer import Trainer
from support import QUICK


@pytest.fixture
def trained(monkeypatch) -> list[str]:
    """The plan of every training since the test began."""
    plans, run = [], Trainer.run

    def counted(self):
        plans.append(json.loads((self.folder / "plan.json").read_text())["plan"])
        run(self)

    monkeypatch.setattr(Trainer, "run", counted)
    return plans


@pytest.fixture
def train(mtl_train, tmp_path):
    """A quick run with a cache in ``tmp_path``."""

    def call(*words: str) -> Run:
        cache = f"cache.folder={tmp_path / 'cache'}"
        done = mtl_train(*QUICK, "encoder.layers=2", cache, "encoder.dropout=0.1", *words)
        assert done.code == 0, done.err
        return Run(done.folder, done.out + done.err)

    return call


@pytest.fixture
def kept(tmp_path):
    """Results and provenance of the baselines in the cache, by kind."""

    def read() -> dict[str, dict]:
        records = {}
        for path in (tmp_path / "cache" / "baselines").glob("*-*/baseline.json"):
            result = json.loads((path.parent / "result.json").read_text())
            kind = path.parent.name.partition("-")[0]
            records[kind] = json.loads(path.read_text()) | {"result": result}
        return records

    return read
