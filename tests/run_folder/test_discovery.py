"""Finding runs below folders, and naming them."""

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.discovery import find_runs, natural_key, start_folder, sweep_folder
from mtl_sharing.run_folder.manifest import replace_listed_json


def make_run(folder):
    folder.mkdir(parents=True)
    (folder / "result.json").write_text("{}")
    return folder


def names(*paths):
    return [run.name for run in find_runs(paths)[0]]


def test_single_runs_and_trials_are_named_below_their_common_parent(tmp_path):
    for name in ("single", "sweep/0", "sweep/1", "seeds/3/seed_0", "seeds/3/seed_1"):
        make_run(tmp_path / name)
    (tmp_path / "sweep" / "sweep.csv").write_text("trial\n")
    (tmp_path / "seeds" / "study.db").write_text("")
    runs, unreadable = find_runs([tmp_path])
    assert [(r.name, r.sweep, r.trial) for r in runs] == [
        ("seeds/3/seed_0", "seeds", 3), ("seeds/3/seed_1", "seeds", 3),
        ("single", None, None), ("sweep/0", "sweep", 0), ("sweep/1", "sweep", 1),
    ]  # fmt: skip
    assert all(r.folder == tmp_path / r.name for r in runs) and unreadable == []
    # The sweep's own folder is the common parent, and one trial still belongs to it.
    for path in (tmp_path / "sweep", tmp_path / "sweep" / "1"):
        assert {(r.name, r.sweep, r.trial) for r in find_runs([path])[0]} >= {("1", "sweep", 1)}
    # A folder that is reached in several ways counts once.
    assert len(names(tmp_path / "single", tmp_path, str(tmp_path / "sweep" / "0"))) == 5


@pytest.mark.parametrize("file", ["sweep.csv", "study.db", "multirun.yaml"])
def test_a_sweep_is_known_by_any_of_its_files(tmp_path, file):
    trial, seed = make_run(tmp_path / "7"), make_run(tmp_path / "8" / "seed_2")
    assert sweep_folder(trial) is None
    (tmp_path / file).write_text("")
    assert sweep_folder(trial) == sweep_folder(seed) == tmp_path
    assert sweep_folder(make_run(tmp_path / "deep" / "er" / "run")) is None


def test_a_run_that_has_no_result_yet_counts_and_a_measurement_does_not(tmp_path):
    make_run(tmp_path / "run" / "baselines")
    (tmp_path / "early").mkdir()
    (tmp_path / "early" / "settings.json").write_text("{}")
    (tmp_path / "before" / ".hydra").mkdir(parents=True)
    (tmp_path / "run" / ".hydra").mkdir()
    (tmp_path / "measured" / ".hydra").mkdir(parents=True)
    (tmp_path / "measured" / "measured.json").write_text("{}")
    make_run(tmp_path / ".hidden" / "run")
    assert names(tmp_path) == ["before", "early", "run"]


def test_links_are_followed_once(tmp_path):
    make_run(tmp_path / "a" / "run")
    (tmp_path / "a" / "up").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "b").symlink_to(tmp_path / "a" / "run", target_is_directory=True)
    assert len(names(tmp_path)) == 1


def test_numbers_in_names_are_sorted_by_value(tmp_path):
    for name in ("10", "9", "100", "x2", "x10"):
        make_run(tmp_path / name)
    assert names(tmp_path) == ["9", "10", "100", "x2", "x10"]
    assert natural_key("a2b") < natural_key("a10a")


def test_a_path_without_a_run_is_named(tmp_path):
    make_run(tmp_path / "runs" / "run")
    (tmp_path / "empty" / "deeper").mkdir(parents=True)
    (tmp_path / "file").write_text("")
    for name, reason in (("empty", "no run"), ("file", "a file"), ("gone", "nothing")):
        with pytest.raises(UserError, match=f"found {reason};") as error:
            find_runs([tmp_path / "runs", tmp_path / name])
        assert error.value.where == str(tmp_path / name)
    with pytest.raises(UserError, match="none"):
        find_runs([])


def test_a_link_leads_to_runs_and_sweeps_alone(tmp_path):
    for name in ("elsewhere/deep/run", "sweep/0", "run"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "result.json").write_text("{}")
    (tmp_path / "sweep" / "sweep.csv").write_text("")
    (tmp_path / "all").mkdir()
    for name in ("elsewhere", "sweep", "run"):
        (tmp_path / "all" / name).symlink_to(tmp_path / name)
    found, _ = find_runs([tmp_path / "all"])
    assert {location.folder for location in found} == {tmp_path / "sweep" / "0", tmp_path / "run"}


@pytest.mark.parametrize("name", ["/proc/self/cwd", "inside", "..", 5, "\0", "/nowhere"])
def test_a_start_folder_is_a_real_place_outside_of_the_run(tmp_path, monkeypatch, name):
    run = tmp_path / "run"
    (run / "inside").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    where = str(run / "inside") if name == "inside" else name
    replace_listed_json(run, "settings.json", {"cwd": where})
    assert start_folder(run) is None
    replace_listed_json(run, "settings.json", {"cwd": str(tmp_path)})
    assert start_folder(run) == tmp_path
