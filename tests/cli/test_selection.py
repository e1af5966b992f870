"""``suite.select_fraction`` from the command line to the run's folder."""

import json

import numpy as np
import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.job.spec import resolve_spec
from support import QUICK, load_config

SMALL = (*QUICK, "encoder.layers=2", "split=1")
HELD = "suite.select_fraction=0.2"
SOURCE = "columns: {text: '0', label: '1'}\nformat: {header: false}\ntrain: [more.csv]\n"


@pytest.mark.usefixtures("pictures")
def test_a_run_reports_dev_and_beside_it_what_it_was_chosen_by(mtl_train):
    done = mtl_train(*SMALL, HELD, "trainer.eval_examples=5", "score.pairs=1")
    assert done.code == 0, done.err
    result, chosen = done.result, done.result["selection"]
    for name, task in result["tasks"].items():
        assert (task["train_examples"], task["select_examples"], task["examples"]) == (32, 8, 30)
        assert set(chosen["tasks"][name]) >= {"metric", "value", "floor", "loss", "examples"}
        assert chosen["tasks"][name]["metric"] == task["metric"]
        assert chosen["tasks"][name]["examples"] == 8
    values = {name: task["value"] for name, task in chosen["tasks"].items()}
    unit = (values["sst"] + values["quora"] + (values["sts"] + 1) / 2) / 3
    assert chosen["performance"] == pytest.approx(unit)
    assert chosen["performance_raw_r"] == pytest.approx(np.mean(list(values.values())))
    # A constant answer is judged on the same examples.
    floors = {name: task["floor"] for name, task in chosen["tasks"].items()}
    assert floors["sst"] * 8 == round(floors["sst"] * 8)
    floor = (floors["sst"] + floors["quora"] + 0.5) / 3
    assert chosen["floor_performance"] == pytest.approx(floor) != result["floor_performance"]
    assert f"{chosen['performance']:.4f} on 24 examples held out of train" in done.out
    log = (done.folder / "train.log").read_text()
    assert "sst: 8 more of train are held out to choose by" in log
    assert "evaluating on all of select" in log and "  select sst " in log
    assert (done.folder / "curves.png").is_file()


def test_a_run_without_a_fraction_has_no_selection(hybrid_run):
    assert hybrid_run.result["selection"] is None
    assert {task["select_examples"] for task in hybrid_run.result["tasks"].values()} == {0}
    assert "held out" not in hybrid_run.out


def test_every_member_of_a_sweep_holds_out_the_same(mtl_train):
    """Untrained networks of one seed: equal figures on what is held out, for every regime."""
    words = (*SMALL, HELD, "trainer.max_steps=0", "-m", "split=0,2", "sampler=unified,sqrt")
    done = mtl_train(*words)
    assert done.code == 0, done.err
    paths = list(done.cwd.glob("outputs/sweeps/*/*/*/result.json"))
    found = [json.loads(path.read_text())["selection"] for path in paths]
    assert len(found) == 4 and all(one == found[0] for one in found)


@pytest.mark.parametrize("value", ["1", "-0.1", "nan", "1.5"])
def test_a_fraction_out_of_range_is_refused(value):
    with pytest.raises(UserError, match=r"suite\.select_fraction: found .* 0 up to, not with, 1"):
        resolve_spec(load_config(*QUICK, f"suite.select_fraction={value}"))


def test_a_task_too_small_to_part_is_named(mtl_train):
    done = mtl_train(*QUICK, HELD, "suite.max_train_rows=1")
    assert done.code == 2
    assert "suite.select_fraction: found 0.2, which is 1 of 1 train examples of quora" in done.err


def test_sources_say_what_they_gave(mtl_train, tmp_path):
    own = "".join(f"some words {n},{n % 3}\n" for n in range(12))
    (tmp_path / "own.csv").write_text(f"text,label\n{own}")
    (tmp_path / "more.csv").write_text("".join(f"more words {n},{n % 3}\n" for n in range(8)))
    task = "kind: classes\nclasses: 3\ntrain: [own.csv]\ndev: [own.csv]\n"
    for group, text in {"task": task, "source": SOURCE}.items():
        (tmp_path / "conf" / group).mkdir(parents=True)
        (tmp_path / "conf" / group / "mine.yaml").write_text(text)
    words = ["+task@task.mine=mine", "+source@task.mine.sources.more=mine", "suite.tasks=[mine]"]
    done = mtl_train(f"--config-dir={tmp_path / 'conf'}", *words, f"data_dir={tmp_path}", *QUICK,
                     HELD)  # fmt: skip
    assert done.code == 0, done.err
    sources = done.result["tasks"]["mine"]["sources"]
    for name, rows in (("own", 12), ("more", 8)):
        assert sources[name]["train_examples"] + sources[name]["select_examples"] == rows
    assert sum(source["select_examples"] for source in sources.values()) == 4
