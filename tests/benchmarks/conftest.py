"""A small config to race on, and what contestants might have told."""

from dataclasses import asdict

import pytest

from benchmarks.project import prepare
from benchmarks.records import Load, Turn
from benchmarks.summary import summarise
from benchmarks.workloads import BEST, PROJECT, RECIPE, Contender, Target, Workload

SMALL = (
    "suite=bundled", "suite.max_train_rows=40", "suite.max_dev_rows=30", "pairing=joined",
    "trainer.batch_size=4", "trainer.precision=fp32", "trainer.device=cpu", "encoder.layers=3",
    "encoder.checkpoint=null",
    "encoder.hidden=12", "encoder.embedding=12", "encoder.heads=3", "encoder.intermediate=20",
    "encoder.vocabulary=700", "head.pooling=pooler", "head.dropout=0",
)  # fmt: skip


@pytest.fixture
def small_words():
    """Overrides of a run that takes milliseconds a step."""
    return SMALL


@pytest.fixture(scope="session")
def made():
    """RunSpec and inputs of a plan, each made once."""
    known = {}

    def make(plan="S1-I2", *words):
        key = (plan, *words)
        if key not in known:
            known[key] = prepare((*SMALL, "sharing=plan", f"sharing.plan={plan}", *words))
        return known[key]

    return make


@pytest.fixture
def race_workload():
    """A workload whose contenders are told of in ``told``."""
    return Workload(
        "small",
        "a small race",
        (),
        (Contender(PROJECT, "project"), Contender(RECIPE, "recipe"), Contender(BEST, "best")),
        (
            Target("speed", PROJECT, RECIPE, 4.0),
            Target("speed", PROJECT, BEST, 2.5),
            Target("memory", PROJECT, BEST, 0.8),
        ),
    )


def contender(seconds, tokens, peak):
    """Rounds of two steps; ``seconds`` of each step, round by round."""
    load = Load(examples=10, tokens=tokens, flops=tokens * 1000)
    turns = [asdict(Turn((s, s), (load, load), peak)) for s in seconds]
    return {"how": "fp32", "setup_s": 1.0, "resting_bytes": 7, "peak_bytes": peak, "rounds": turns}


@pytest.fixture
def told():
    """Three rounds: the project takes 1, 1, 2 s, the recipe 5 s, the best plain loop 2 s."""
    return {
        "contenders": {
            PROJECT: contender([1.0, 1.0, 2.0], 100, 600),
            RECIPE: contender([5.0, 5.0, 5.0], 100, 2000),
            # More text in a step, in proportion to its time as fast as at 100 tokens in 2 s.
            BEST: contender([3.0, 3.0, 3.0], 150, 1000),
        },
        "product_rate": [{"fp32": 400_000.0, "bf16": 200_000.0}] * 3,
    }


@pytest.fixture
def results(race_workload, told):
    """What results.json holds of two workloads, of which one failed."""
    entry = {"name": "small", "title": "a small race", "hidden": 384, "failed": None}
    failed = {"name": "other", "title": "another race", "hidden": 768, "failed": "recipe: died"}
    return {
        "schema": 1,
        "date": "2026-01-31 12:00",
        "data": "bundled suite",
        "rounds": 3,
        "machine": {
            "processor": "Some Processor", "cores": 2, "threads": 2, "memory_bytes": 24 * 10**9,
            "gpu": None, "system": "Linux",
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0"},
        "git": {"commit": "0123456789abcdef", "changed": True},
        "workloads": [entry | told | summarise(race_workload, told), failed],
    }  # fmt: skip
