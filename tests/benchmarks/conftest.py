"""A small config for workers, and a result with round numbers."""

from dataclasses import asdict

import pytest

from benchmarks.project import prepare
from benchmarks.records import Round, StepWork
from benchmarks.summary import summarise
from benchmarks.tables import SCHEMA
from benchmarks.workloads import BEST, PROJECT, RECIPE, Target, Variant, Workload

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
    """Spec and inputs of a plan, each made once."""
    cache = {}

    def make(plan="S1-I2", *words):
        key = (plan, *words)
        if key not in cache:
            cache[key] = prepare((*SMALL, "sharing=plan", f"sharing.plan={plan}", *words))
        return cache[key]

    return make


@pytest.fixture
def small_workload():
    """The workload of ``measured``."""
    return Workload(
        "small",
        "a small workload",
        (),
        (Variant(PROJECT, "project"), Variant(RECIPE, "recipe"), Variant(BEST, "best")),
        (
            Target("speed", PROJECT, RECIPE, 4.0, amx=6.0),
            Target("speed", PROJECT, BEST, 2.5),
            Target("memory", PROJECT, BEST, 0.8),
        ),
    )


def variant(seconds, tokens, peak):
    """Rounds of two steps; ``seconds`` of each step, round by round."""
    work = StepWork(examples=10, tokens=tokens, flops=tokens * 1000)
    rounds = [asdict(Round((s, s), (work, work), peak)) for s in seconds]
    return {
        "how": "fp32", "setup_s": 1.0, "warm_up_s": 0.5, "resting_bytes": 7, "peak_bytes": peak,
        "first": asdict(Round((4.0,) * 5, (work,) * 5, peak)), "rounds": rounds,
    }  # fmt: skip


@pytest.fixture
def measured():
    """Three rounds: the project takes 1, 1, 2 s, the recipe 5 s, the best plain loop 2 s."""
    return {
        "variants": {
            PROJECT: variant([1.0, 1.0, 2.0], 100, 600),
            RECIPE: variant([5.0, 5.0, 5.0], 100, 2000),
            # More text in a step, in proportion to its time as fast as at 100 tokens in 2 s.
            BEST: variant([3.0, 3.0, 3.0], 150, 1000),
        },
        "product_rate": [{"fp32": 400_000.0, "bf16": 200_000.0}] * 3,
    }


@pytest.fixture
def results(small_workload, measured):
    """The content of results.json for two workloads, one of them failed."""
    entry = {"name": "small", "title": "a small workload", "hidden": 384, "failed": None}
    failed = {"name": "other", "title": "another workload", "hidden": 768, "failed": "recipe: died"}
    return {
        "schema": SCHEMA,
        "date": "2026-01-31 12:00",
        "data": "bundled suite",
        "rounds": 3,
        "machine": {
            "kind": "avx512", "processor": "Some Processor", "cores": 2, "threads": 2,
            "memory_bytes": 24 * 10**9, "gpu": None, "system": "Linux",
        },
        "versions": {"python": "3.11.7", "torch": "2.13.0", "transformers": "5.23.0"},
        "git": {"commit": "0123456789abcdef", "changed": True},
        "workloads": [entry | measured | summarise(small_workload, measured, "avx512"), failed],
    }  # fmt: skip
