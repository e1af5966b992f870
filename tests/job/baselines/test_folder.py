"""The folder of a kept baseline: what it holds, damage, and the bound on all of them."""

import json
import os
import time

import pytest

from mtl_sharing.job.baseline_folder import keep_baseline, read_baseline
from mtl_sharing.run_folder.manifest import replace_listed_json

RESULT = {"status": "finished", "performance": 0.5, "tasks": {"sst": {"accuracy": 0.75}}}
GIGABYTE = 10**9


@pytest.fixture
def make(tmp_path):
    """The folder of a finished run with weights and a checkpoint."""

    def make(name):
        folder = tmp_path / "baselines" / name
        (folder / "checkpoint").mkdir(parents=True)
        replace_listed_json(folder, "result.json", RESULT)
        for file in ("model.safetensors", "checkpoint/last.pt", "metrics.csv"):
            (folder / file).write_bytes(bytes(1000))
        return folder

    return make


def test_a_kept_baseline_is_read_again_without_its_weights(make):
    folder = make("separate-0")
    assert read_baseline(folder) is None  # a run that has finished and was not kept yet
    assert keep_baseline(folder, {"threads": 3}, GIGABYTE)
    assert read_baseline(folder) == RESULT
    names = {path.name for path in folder.iterdir()}
    assert names == {"result.json", "manifest.json", "baseline.json", "metrics.csv"}
    assert json.loads((folder / "baseline.json").read_text())["made_from"] == {"threads": 3}


DAMAGES = {
    "a truncated result": lambda at: os.truncate(at / "result.json", 40),
    "another number": lambda at: (at / "result.json").write_text(json.dumps(RESULT | {"a": 1})),
    "no result": lambda at: (at / "result.json").unlink(),
    "an unfinished result": lambda at: (at / "result.json").write_text('{"status": "failed"}'),
    "a truncated record": lambda at: os.truncate(at / "baseline.json", 9),
    "another record": lambda at: (at / "baseline.json").write_text("{}"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_baseline_is_removed_with_one_warning(make, caplog, damage):
    folder = make("separate-0")
    keep_baseline(folder, {}, GIGABYTE)
    damage(folder)
    for _ in range(2):
        assert read_baseline(folder) is None
    assert [record.getMessage() for record in caplog.records] == [
        f"removing a damaged baseline: {folder}"
    ]
    assert not any(folder.parent.iterdir())


def test_the_least_recently_used_baseline_goes_first(make):
    folders = [make(f"separate-{number}") for number in range(3)]
    for age, folder in enumerate(folders):
        keep_baseline(folder, {}, GIGABYTE)
        os.utime(folder / "baseline.json", (1000 + age, 1000 + age))
    read_baseline(folders[0])
    assert keep_baseline(make("untuned-0"), {}, 4500)
    assert [folder.exists() for folder in folders] == [True, False, True]


def test_a_baseline_above_the_bound_is_not_kept(make, caplog):
    kept = make("separate-0")
    keep_baseline(kept, {}, 2000)
    large = make("separate-1")
    (large / "metrics.csv").write_bytes(bytes(3000))
    assert not keep_baseline(large, {}, 2000)
    assert not large.exists() and read_baseline(kept) == RESULT
    assert "no room" in caplog.text


@pytest.mark.parametrize("old", [False, True])
def test_a_killed_training_is_removed_after_a_day(make, old):
    left = make("separate-0")
    if old:
        then = time.time() - 90_000
        for path in (*left.rglob("*"), left):
            os.utime(path, (then, then))
    keep_baseline(make("separate-1"), {}, GIGABYTE)
    assert left.exists() == (not old)
