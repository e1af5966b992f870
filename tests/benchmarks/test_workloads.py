"""The table of workloads: every entry composes, and its targets name its variants."""

from functools import cache

import pytest

from benchmarks.project import compose_config
from benchmarks.workloads import (
    CACHED,
    FOLDER,
    PRODUCTS,
    QUICK,
    WORKLOADS,
    data_overrides,
    named,
    shortened,
    width,
)
from mtl_sharing.job.spec import resolve_spec

ENTRIES = [(w, c) for w in WORKLOADS for c in w.variants]
PLANS = {
    "hybrid_16": "S3-I3", "hybrid_32": "S3-I3", "bert_base": "S6-I6", "bert_base_64": "S6-I6",
    "individual": "I6", "shared": "S6", "pals": "S6", "fsi": "F2-S2-I2",
    "default_run": "S6-I6", "frozen_half": "F6-I6", "frozen_all": "F12",
}  # fmt: skip
BATCHES = {"hybrid_32": 32, "bert_base_64": 64, "default_run": 32}


@cache
def resolved(overrides):
    """The spec of a variant. Variants that differ in their loop alone have the same."""
    words = [*data_overrides(None), *overrides, "dry_run=true"]
    return resolve_spec(compose_config(word.replace(FOLDER, "/nowhere") for word in words))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workload", "variant"), ENTRIES, ids=[f"{w.name}-{c.name}" for w, c in ENTRIES]
)
def test_every_variant_composes(workload, variant):
    cached = variant.name == CACHED or workload.name not in ("fsi", "frozen_half", "frozen_all")
    run_spec = resolved((*workload.overrides, *variant.overrides))
    config = run_spec.config
    assert run_spec.shape.hidden == width(workload)
    assert str(run_spec.plan) == PLANS.get(workload.name, str(run_spec.plan))
    assert config.trainer.batch_size == BATCHES.get(workload.name, 16)
    assert config.cache.prefix == cached and config.cache.folder == "/nowhere"
    assert all(run_spec.joined.values()) != (workload.name == "default_run")
    assert (workload.name == "pals") == (run_spec.architecture.pals is not None)


def test_targets_and_pairs_name_contenders():
    for workload in WORKLOADS:
        names = [variant.name for variant in workload.variants]
        assert len(set(names)) == len(names)
        pairs = workload.pairs()
        assert len(pairs) == len(names) - 1
        pairs += ((names[0], PRODUCTS),)
        assert all((target.of, target.over) in pairs for target in workload.targets)


def test_the_figures_asked_for_are_there():
    found = {
        (w.name, t.metric, t.over): (t.on("amx"), t.on("avx512"))
        for w in WORKLOADS for t in w.targets
    }  # fmt: skip
    assert found == {
        ("hybrid_16", "speed", "recipe"): (6.0, 4.0),
        ("hybrid_16", "speed", "best plain"): (1.8, 1.6),
        ("hybrid_16", "memory", "best plain"): (0.8, 0.8),
        ("bert_base", "speed", "best plain"): (1.5, 1.3),
        ("bert_base", "share", "matrix products"): (0.35, 0.6),
        ("bert_base_64", "speed", "best plain"): (1.5, 1.5),
        ("bert_base_64", "share", "matrix products"): (0.4, 0.4),
        ("predict", "speed", "individual"): (1.4, 1.4),
        ("default_run", "speed", "project"): (0.4, 0.4),
        ("frozen_half", "speed", "no cache"): (1.8, 1.8),
        ("frozen_all", "speed", "no cache"): (10.0, 10.0),
    }


def test_names_choose_workloads_in_the_tables_order():
    assert [w.name for w in named(("shared", "hybrid_16"))] == ["hybrid_16", "shared"]
    assert len(named(QUICK)) == len(QUICK)
    assert len({w.name for w in WORKLOADS}) == len(WORKLOADS)


def test_the_quick_form_is_short_and_the_projects_own_in_prediction():
    training, prediction = (shortened(workload) for workload in named(QUICK))
    assert [c.name for c in training.variants] == ["project", "recipe", "best plain"]
    assert [c.name for c in prediction.variants] == ["hybrid", "individual"]
    assert (training.steps, prediction.steps) == (4, 3)


def test_data_words():
    assert data_overrides(None)[0] == "suite=bundled"
    assert data_overrides("there")[:2] == ("suite=cs224n", "data_dir=there")
