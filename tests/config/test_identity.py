"""The table of what each config key decides: it knows every key, and no other."""

from dataclasses import asdict

import pytest

from mtl_sharing.config import Config
from mtl_sharing.config.identity import (
    IDENTITY,
    NOT_IN_BASELINE,
    NOT_IN_GROUP,
    NOT_IN_SWEEP,
    NOT_IN_TRIAL,
    Decides,
    decides,
    without,
)
from mtl_sharing.data.tasks.task import TaskConfig
from mtl_sharing.training.settings import PhaseConfig
from mtl_sharing.utils.nested import flatten

FULL = asdict(Config(task={"own": TaskConfig()}, phases={"early": PhaseConfig()}))
# Mappings with keys of the user's own are one key of the table.
OWN_KEYS = ("sharing.depths", "sharing.lanes.upstream", "loss.weights", "task.*.columns",
            "task.*.format", "task.*.sources")  # fmt: skip


def config_keys():
    keys = {key.replace("task.own.", "task.*.").replace("phases.early.", "phases.*.")
            for key, _ in flatten(FULL)}  # fmt: skip
    below = tuple(f"{name}." for name in OWN_KEYS)
    return {key for key in keys if not key.startswith(below)} | set(OWN_KEYS)


def test_every_config_key_has_an_entry_of_its_own():
    missing = config_keys() - set(IDENTITY)
    assert not missing, f"say in config/identity.py what these keys decide: {sorted(missing)}"


def test_every_entry_is_a_config_key():
    assert set(IDENTITY) == config_keys()
    assert len(IDENTITY) > 120


def test_a_key_of_a_task_or_below_a_mapping_is_found():
    assert decides("task.quora.train") == Decides.DATA_FILES
    assert decides("task.quora.columns.text") == Decides.DATA_FILES
    assert decides("phases.mlm.lr") == Decides.TRAINING
    assert decides("loss.weights.sst") == Decides.TRAINING


@pytest.mark.parametrize("key", ["trainer.new", "new", "task.quora.new", "trainer"])
def test_a_key_without_an_entry_is_named(key):
    with pytest.raises(KeyError, match=key):
        decides(key)


def test_settings_lose_what_is_left_out_and_nothing_else():
    kept = dict(flatten(without(FULL, NOT_IN_TRIAL)))
    assert kept == {k: v for k, v in flatten(FULL) if decides(k) not in NOT_IN_TRIAL}
    assert not {"sharing", "split", "score", "cache"} & set(without(FULL, NOT_IN_TRIAL))


def test_an_empty_mapping_stays():
    assert without({"loss": {"weights": {}}, "phases": {}}, NOT_IN_TRIAL) == {
        "loss": {"weights": {}},
        "phases": {},
    }


@pytest.mark.parametrize("left_out", [NOT_IN_BASELINE, NOT_IN_GROUP, NOT_IN_SWEEP, NOT_IN_TRIAL])
def test_what_decides_the_training_counts_everywhere(left_out):
    assert Decides.TRAINING not in left_out
    assert Decides.INVOCATION in left_out and Decides.PLACE in left_out
