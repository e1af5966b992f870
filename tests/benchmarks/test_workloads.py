"""The table of workloads: every entry composes, and its targets name its contenders."""

import pytest

from benchmarks.project import compose_config
from benchmarks.workloads import (
    CACHED,
    FOLDER,
    PRODUCTS,
    QUICK,
    WORKLOADS,
    data_words,
    named,
    quick,
    width,
)
from mtl_sharing.job.spec import resolve_spec

ENTRIES = [(w, c) for w in WORKLOADS for c in w.contenders]
PLANS = {
    "hybrid_16": "S3-I3", "hybrid_32": "S3-I3", "bert_base": "S6-I6", "bert_base_64": "S6-I6",
    "individual": "I6", "shared": "S6", "pals": "S6", "fsi": "F2-S2-I2",
    "frozen_half": "F6-I6", "frozen_all": "F12",
}  # fmt: skip
BATCHES = {"hybrid_32": 32, "bert_base_64": 64}


@pytest.mark.parametrize(
    ("workload", "contender"), ENTRIES, ids=[f"{w.name}-{c.name}" for w, c in ENTRIES]
)
def test_every_contender_composes(workload, contender):
    words = [*data_words(None), *workload.overrides, *contender.overrides, "dry_run=true"]
    cached = contender.name == CACHED or workload.name not in ("fsi", "frozen_half", "frozen_all")
    config = compose_config(word.replace(FOLDER, "/nowhere") for word in words)
    run_spec = resolve_spec(config)
    assert run_spec.shape.hidden == width(workload)
    assert str(run_spec.plan) == PLANS.get(workload.name, str(run_spec.plan))
    assert config.trainer.batch_size == BATCHES.get(workload.name, 16)
    assert config.cache.prefix == cached and config.cache.folder == "/nowhere"
    assert all(run_spec.joined.values())
    assert (workload.name == "pals") == (run_spec.architecture.pals is not None)


def test_targets_and_pairs_name_contenders():
    for workload in WORKLOADS:
        names = [contender.name for contender in workload.contenders]
        assert len(set(names)) == len(names)
        pairs = workload.pairs()
        assert len(pairs) == len(names) - 1
        pairs += ((names[0], PRODUCTS),)
        assert all((target.of, target.over) in pairs for target in workload.targets)


def test_the_figures_asked_for_are_there():
    found = {(w.name, t.figure, t.over): t.value for w in WORKLOADS for t in w.targets}
    assert found == {
        ("hybrid_16", "speed", "recipe"): 4.0,
        ("hybrid_16", "speed", "best plain"): 1.6,
        ("hybrid_16", "memory", "best plain"): 0.8,
        ("bert_base", "speed", "best plain"): 1.3,
        ("bert_base_64", "speed", "best plain"): 1.5,
        ("bert_base_64", "share", "matrix products"): 0.4,
        ("predict", "speed", "individual"): 1.4,
        ("frozen_half", "speed", "no cache"): 1.8,
        ("frozen_all", "speed", "no cache"): 10.0,
    }


def test_names_choose_workloads_in_the_tables_order():
    assert [w.name for w in named(("shared", "hybrid_16"))] == ["hybrid_16", "shared"]
    assert len(named(QUICK)) == len(QUICK)
    assert len({w.name for w in WORKLOADS}) == len(WORKLOADS)


def test_the_quick_form_is_short_and_the_projects_own_in_prediction():
    training, prediction = (quick(workload) for workload in named(QUICK))
    assert [c.name for c in training.contenders] == ["project", "recipe", "best plain"]
    assert [c.name for c in prediction.contenders] == ["hybrid", "individual"]
    assert (training.steps, prediction.steps) == (4, 3)


def test_data_words():
    assert data_words(None)[0] == "suite=bundled"
    assert data_words("there")[:2] == ("suite=cs224n", "data_dir=there")
