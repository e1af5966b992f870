"""Baselines are made once, found by runs of any regime, and change nothing in a run."""

import json

import pytest

from baseline_runs import SEPARATE
from support import QUICK

DATA = ("suite.tasks=[mine,sts]", "+task@task.mine=mine")


def changes_by_hand(ours, theirs):
    """Percent, of tasks' figures as in result.json."""
    return {
        name: {
            figure: None
            if theirs[name][figure] == 0
            else pytest.approx(100 * (task[figure] / theirs[name][figure] - 1))
            for figure in ("precision", "recall", "f1", task["metric"])
        }
        for name, task in ours.items()
    }


def test_separate_models_are_trained_once_for_all_regimes(train, trained, kept):
    first = train(SEPARATE)
    assert trained == ["I2", "S1-I1"]
    assert "training separate models once (I2)" in first.out
    second = train(SEPARATE, "sharing=shared", "sharing.pals.size=6")
    assert trained == ["I2", "S1-I1", "S2"]
    assert "separate models from the cache" in second.out
    alone = train("sharing=individual")
    # The baseline is what a run of separate models finds, whoever trained it.
    theirs = alone.result["tasks"]
    assert kept()["separate"]["result"]["tasks"] == theirs
    names = ("sst", "quora", "sts")
    for done in (first, second):
        result = done.result
        assert result["reference"]["performance"] == alone.result["performance"]
        assert result["kept"] == result["performance"] / alone.result["performance"]
        assert set(result["against"]) == {"separate"}
        found = result["against"]["separate"]
        assert found == changes_by_hand(result["tasks"], theirs)
        assert all(name in done.out.partition("change against")[2] for name in names)
    given = train(f"score.reference={alone.folder}")
    assert given.result["against"] == first.result["against"]
    assert given.result["kept"] == first.result["kept"]
    assert given.result["reference"]["kind"] == "run"
    assert "other dev examples" not in given.out
    fewer = train(f"score.reference={alone.folder}", "suite.max_dev_rows=7").out
    assert fewer.count("has other dev examples of sst, quora, sts, or another metric") == 1
    number = train(f"score.reference={alone.result['performance']!r}").result
    assert number["against"] == {} and number["reference"]["kind"] == "number"
    assert number["kept"] == first.result["kept"]


def test_a_run_of_separate_models_is_kept_for_others(train, trained, kept):
    alone = train("sharing.plan=I2", SEPARATE, "seed=3")
    assert alone.result["kept"] == 1.0 and alone.result["against"] == {}
    done = train(SEPARATE, "seed=3")
    assert trained == ["I2", "S1-I1"]
    assert done.result["reference"]["performance"] == alone.result["performance"]
    assert kept()["separate"]["made_from"]["threads"] > 0


def test_the_untuned_encoder_is_what_no_step_gives(train, trained, kept):
    done = train("score.untuned=true", "sharing=soft")
    assert trained == ["S2", "T2"]
    again = train("score.untuned=true", "optimizer.lr=0.01", "sampler=sqrt", "trainer.max_steps=2")
    assert trained == ["S2", "T2", "S1-I1"]
    plain = train("trainer.max_steps=0", "sharing=individual").result
    for result in (done.result, again.result):
        assert result["untuned"]["performance"] == plain["performance"]
        assert result["against"] == {"untuned": changes_by_hand(result["tasks"], plain["tasks"])}
        assert result["kept"] is None and result["reference"] is None
    assert kept()["untuned"]["result"]["tasks"] == plain["tasks"]


def test_a_run_is_the_same_with_and_without(train):
    plain = train("sharing=grouped", "sharing.groups=quora+sts")
    held = train("sharing=grouped", "sharing.groups=quora+sts", SEPARATE, "score.untuned=true")
    assert held.found[:2] == plain.found[:2]
    assert held.result["tasks"] == plain.result["tasks"]
    assert not (held.folder / "baselines").exists()


def test_held_out_examples_and_raw_r_count(train, kept):
    done = train(SEPARATE, "suite.select_fraction=0.2", "score.pearson=raw").result
    found = kept()["separate"]["result"]
    assert done["kept"] == done["performance_raw_r"] / found["performance_raw_r"]
    assert set(found["selection"]["tasks"]) == {"sst", "quora", "sts"}


def own_data(folder, name="own.csv", label=2):
    """Words for two tasks, one of a file with rows of three classes."""
    rows = "".join(f"some words {n},{n % 3}\n" for n in range(12))
    (folder / name).write_text(f"text,label\n{rows}other words,{label}\n")
    (folder / "conf" / "task").mkdir(parents=True, exist_ok=True)
    text = f"kind: classes\nclasses: 3\ntrain: [{name}]\ndev: [own.csv]\n"
    (folder / "conf" / "task" / "mine.yaml").write_text(text)
    return [f"--config-dir={folder / 'conf'}", f"data_dir={folder}", *DATA, SEPARATE]


@pytest.mark.slow
def test_files_count_by_what_they_hold_not_by_their_names(train, trained, tmp_path, kept):
    train(*own_data(tmp_path))
    assert trained == ["I2", "S1-I1"]
    trained.clear()
    train(*own_data(tmp_path, "renamed.csv"))
    assert trained == ["S1-I1"]
    train(*own_data(tmp_path, "renamed.csv", label=1))
    assert trained == ["S1-I1", "I2", "S1-I1"]


def test_a_sweep_has_a_reference_of_its_own(mtl_train):
    done = mtl_train(*QUICK, "-m", "+sweep=split_points", SEPARATE)
    assert done.code == 2
    assert "score.reference: found separate in a sweep" in done.err
    assert "hydra.sweeper.reference=true" in done.err


def test_plain_runs_beside_each_other_share_one(train, trained, tmp_path):
    train(SEPARATE, "-m", "split=0,2")
    assert trained == ["I2", "S2"]
    paths = sorted(tmp_path.glob("outputs/sweeps/*/*/*/result.json"))
    kept = [json.loads(path.read_text())["kept"] for path in paths]
    assert kept[0] == 1.0 and kept[1] is not None
