"""The key of a baseline: everything that decides its metrics, and nothing else."""

from dataclasses import asdict, replace
from functools import cache

import numpy as np
import pytest
import torch

from mtl_sharing.config import Config
from mtl_sharing.data.tasks.sources import SourceConfig
from mtl_sharing.job.baseline_key import baseline_config, baseline_key, baseline_provenance
from mtl_sharing.job.baselines import own_baseline_key
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.score.reference import SEPARATE, UNTUNED
from mtl_sharing.training.settings import PhaseConfig
from support import QUICK, load_config

TASK = "sst"


def config_of(*words: str) -> Config:
    words = (*QUICK, "encoder.layers=2", "trainer.precision=fp32", "trainer.device=cpu", *words)
    return replace(load_config(*words), dry_run=False)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """RunSpec, inputs and folder of a quick run."""
    folder = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        run_spec = resolve_spec(config_of())
        return run_spec, load_inputs(run_spec, folder), folder


@pytest.fixture(scope="module")
def facts(run):
    """What its baselines are made from."""
    run_spec, inputs, folder = run
    return baseline_provenance(run_spec, inputs, folder / "tokenizer.json")


# Fields

# Every field of the config that a baseline does not depend on. A new field is not among them: it
# counts, and whoever thinks otherwise says so here too.
WITHOUT_EFFECT = {
    "name", "split", "data_dir", "resume", "dry_run", "check_data",
    "encoder.name", "encoder.checkpoint", "encoder.tokenizer",
    "suite.name", "suite.pretrained", "suite.tasks",
    "trainer.precision", "trainer.device", "trainer.threads", "trainer.debug",
    "task.sst.train", "task.sst.dev", "task.sst.test",
}  # fmt: skip
WITHOUT_EFFECT_BELOW = ("sharing", "distillation", "score", "cache", "tracker", "task.sst.columns",
                        "task.sst.format", "task.sst.sources", "task.quora",
                        "task.sts")  # fmt: skip


def leaves(node, path=""):
    """Every value of a nested config, by its path."""
    if isinstance(node, dict) and node:
        for name, value in node.items():
            yield from leaves(value, f"{path}.{name}" if path else name)
    else:
        yield path, node


def other(value):
    """Another value of about the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, dict):
        return {"another": 1.0}
    if isinstance(value, list):
        return [*value, "another"]
    return "another" if value is None else value + ("x" if isinstance(value, str) else 1)


def with_value(config, path, value):
    """The config with another value at ``path``."""
    first, _, rest = path.partition(".")
    if isinstance(config, dict):
        inner = value if not rest else with_value(config[first], rest, value)
        return config | {first: inner}
    inner = value if not rest else with_value(getattr(config, first), rest, value)
    return replace(config, **{first: inner})


def test_every_field_of_the_config_counts_unless_it_is_named(facts):
    plain = config_of()
    task = replace(plain.task[TASK], sources={"more": SourceConfig()})
    config = replace(plain, task=plain.task | {TASK: task}, phases={"early": PhaseConfig()})
    only = facts | {"tasks": [TASK]}
    key, silent, seen = baseline_key(SEPARATE, config, only), set(), 0
    for path, value in leaves(asdict(config)):
        seen += 1
        if baseline_key(SEPARATE, with_value(config, path, other(value)), only) == key:
            silent.add(path)
    above = {path for path in silent if not path.startswith(WITHOUT_EFFECT_BELOW)}
    assert above == WITHOUT_EFFECT
    assert seen > 180
    counted = {"seed", "optimizer.lr", "task.sst.metric", "phases.early.lr", "head.pooling",
               "suite.max_length", "trainer.eval_batch_size", "loss.aggregation"}  # fmt: skip
    assert not silent & counted


@cache
def spec_of(*words):
    return resolve_spec(config_of(*words))


def key_of(*words, facts, kind=SEPARATE):
    run_spec = spec_of(*words)
    return baseline_key(kind, baseline_config(kind, run_spec), facts)


@pytest.mark.parametrize("kind", [SEPARATE, UNTUNED])
def test_all_regimes_have_one_baseline(facts, kind):
    regimes = [(), ("sharing=pals",), ("sharing=soft", "sharing.tie.strength=3"),
               ("sharing=progressive",), ("sharing.plan=I2",), ("split=1",),
               ("distillation=annealed", "distillation.temperature=3"),
               ("loss=pcgrad",), ("loss=cagrad", "loss.c=0.3", "loss.cosines=stages"),
               ("score.pairs=3", "score.reference=0.5", "cache.max_gb=1")]  # fmt: skip
    assert len({key_of(*words, facts=facts, kind=kind) for words in regimes}) == 1


def test_the_untuned_encoder_has_no_training(facts):
    training = [(), ("optimizer.lr=0.01",), ("sampler=annealed",), ("loss=uncertainty",),
                ("trainer.max_steps=9", "trainer.patience=3"), ("phases=mlm",),
                ("regularizer=r_drop",), ("scheduler=cosine",)]  # fmt: skip
    assert len({key_of(*words, facts=facts, kind=UNTUNED) for words in training}) == 1
    assert len({key_of(*words, facts=facts) for words in training}) == len(training)
    others = [(), ("seed=1",), ("head=mlp",), ("pairing=joined",), ("head.pooling=pooler",)]
    assert len({key_of(*words, facts=facts, kind=UNTUNED) for words in others}) == len(others)
    assert key_of(facts=facts, kind=UNTUNED) != key_of(facts=facts)


# Facts


def test_every_fact_counts(facts):
    config = config_of()
    keys = {baseline_key(SEPARATE, config, facts)}
    for name in set(facts) - {"tasks"}:
        keys.add(baseline_key(SEPARATE, config, facts | {name: "another"}))
    keys.add(baseline_key(SEPARATE, config, facts | {"tasks": facts["tasks"][::-1]}))
    assert len(keys) == len(facts) + 1
    assert set(facts["versions"]) >= {"torch", "mtl-sharing", "tokenizers", "numpy"}


def changed_fact(run, run_spec=None, **changes):
    """Names of the facts that differ once the inputs is changed."""
    before, inputs, folder = run
    tokenizer = folder / "tokenizer.json"
    old = baseline_provenance(before, inputs, tokenizer)
    new = baseline_provenance(run_spec or before, replace(inputs, **changes), tokenizer)
    return {name for name in old if old[name] != new[name]}


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("part", ["label", "token", "row", "order"])
def test_data_that_changed_is_seen(run, split, part):
    data = getattr(run[1], split)
    old = data["quora"]
    if part == "label":
        labels = old.labels.copy()
        labels[-1] = 1 - labels[-1]
        new = replace(old, labels=labels)
    elif part == "token":
        tokens = old.second.tokens.copy()
        tokens[-2] += 1
        new = replace(old, second=replace(old.second, tokens=tokens))
    else:
        rows = np.arange(len(old) - 1) if part == "row" else np.arange(len(old))[::-1]
        new = replace(old, first=old.first.take(rows), second=old.second.take(rows),
                      labels=old.labels[rows])  # fmt: skip
    assert changed_fact(run, **{split: {**data, "quora": new}}) == {"data"}


def test_weights_that_changed_are_seen(run):
    run_spec, inputs, _ = run
    tower = {stage: dict(weights) for stage, weights in inputs.tower.items()}
    name, weight = next(iter(tower["layer.1"].items()))
    new = weight.clone()
    new.view(-1)[-1] = torch.nextafter(new.view(-1)[-1], torch.tensor(9.0))
    tower["layer.1"][name] = new
    assert changed_fact(run, tower=tower) == {"weights"}
    assert changed_fact(run, tower=random_tower(run_spec.shape, 5)) == {"weights"}


def test_shape_tokenizer_precision_and_threads_are_seen(run, tmp_path):
    run_spec, inputs, folder = run
    wider = resolve_spec(config_of("encoder.activation=relu"))
    assert changed_fact(run, wider) == {"encoder"}
    half = replace(run_spec, runtime=replace(run_spec.runtime, precision="bf16"))
    assert changed_fact(run, half) == {"precision"}
    (tmp_path / "tokenizer.json").write_text("{}")
    old = baseline_provenance(run_spec, inputs, folder / "tokenizer.json")
    new = baseline_provenance(run_spec, inputs, tmp_path / "tokenizer.json")
    assert {name for name in old if old[name] != new[name]} == {"tokenizer"}
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        new = baseline_provenance(run_spec, inputs, folder / "tokenizer.json")
    finally:
        torch.set_num_threads(threads)
    assert {name for name in old if old[name] != new[name]} == {"threads"}


def test_a_checkpoints_own_language_model_counts_where_a_phase_takes_it(tmp_path):
    """Its head is in the checkpoint's file, and not among the starting weights."""
    words = ("encoder=tiny", "trainer.precision=fp32", "trainer.device=cpu")
    found = []
    for more in ((), ("phases=mlm",)):
        run_spec = resolve_spec(load_config(*words, *more))
        (tmp_path / "tokenizer.json").write_text("{}")
        nothing = RunInputs({}, {}, {}, {})
        found.append(
            baseline_provenance(run_spec, nothing, tmp_path / "tokenizer.json")["masked_lm_head"]
        )
    assert found[0] is None and len(found[1]) == 64


def test_a_run_that_goes_on_with_other_data_is_not_kept(run, tmp_path):
    run_spec, inputs, folder = run
    separate = resolve_spec(config_of("sharing=individual"))
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    assert own_baseline_key(run_spec, inputs, tmp_path) is None
    key = own_baseline_key(separate, inputs, tmp_path)
    assert key is not None and own_baseline_key(separate, inputs, tmp_path) == key
    less = replace(inputs.train["sst"], labels=inputs.train["sst"].labels[::-1].copy())
    changed = replace(inputs, train={**inputs.train, "sst": less})
    assert own_baseline_key(separate, changed, tmp_path) is None
    # One that began before its key was written down may have begun with anything.
    (tmp_path / "checkpoint" / "baseline.json").unlink()
    (tmp_path / "checkpoint" / "last.pt").write_bytes(b"")
    assert own_baseline_key(separate, inputs, tmp_path) is None
