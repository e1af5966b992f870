"""Tasks with several sources, and the suite of the hub, through the command."""

import pytest
from omegaconf import OmegaConf

from mtl_sharing.config import to_config
from support import COURSE_DATA, QUICK

SOURCE = """
columns: {text: "0", label: "1"}
format: {header: false}
train: [more.csv]
labels: {"0": 0, "no": 1, good: 2}
"""


def own_task(folder):
    """Words for a task of three classes with 12 rows of its own and a source of 7, one bad."""
    own = "".join(f"some words {n},{n % 3}\n" for n in range(12))
    more = "".join(f"more words {n},{['0', 'no', 'good'][n % 3]}\n" for n in range(6))
    (folder / "own.csv").write_text(f"text,label\n{own}")
    (folder / "more.csv").write_text(f"{more},good\n")
    for group, text in {
        "task": "kind: classes\nclasses: 3\ntrain: [own.csv]\ndev: [own.csv]\n",
        "source": SOURCE,
    }.items():
        (folder / "conf" / group).mkdir(parents=True)
        (folder / "conf" / group / "mine.yaml").write_text(text)
    words = ["+task@task.mine=mine", "+source@task.mine.sources.more=mine", "suite.tasks=[mine]"]
    small = (*QUICK, "encoder.layers=1")
    return [f"--config-dir={folder / 'conf'}", *words, f"data_dir={folder}", *small]


def test_a_run_reports_by_source(mtl_train, tmp_path):
    done = mtl_train(*own_task(tmp_path))
    assert done.code == 0, done.err
    entry = done.result["tasks"]["mine"]
    assert entry["train_examples"] == 18
    assert entry["bad_rows"] == 1
    assert entry["sources"] == {
        "own": {"train_examples": 12, "dev_examples": 12, "bad_rows": 0},
        "more": {"train_examples": 6, "dev_examples": 0, "bad_rows": 1},
    }
    assert "mine from more: 6 train and 0 dev examples, 1 bad rows" in done.err
    assert "more.csv:7: nothing in column '0'" in done.err
    # What a resumed run starts from.
    saved = to_config(OmegaConf.load(done.folder / ".hydra" / "config.yaml"))
    assert saved.task["mine"].sources["more"].labels == {"0": 0, "no": 1, "good": 2}


def test_a_source_can_be_left_out(mtl_train, tmp_path):
    done = mtl_train(*own_task(tmp_path), "~task.mine.sources.more")
    assert done.code == 0, done.err
    assert done.result["tasks"]["mine"]["train_examples"] == 12
    assert "sources" not in done.result["tasks"]["mine"]


@pytest.mark.data
def test_the_extra_suite_limits_each_source(mtl_train):
    for name in ("cs224n", "mrpc", "sick"):
        if not (COURSE_DATA.parent / name).is_dir():
            pytest.skip(f"the files of ../shared/data/{name} are not on this machine")
    done = mtl_train("suite=cs224n_extra", f"data_dir={COURSE_DATA}", *QUICK, "encoder.layers=1")
    assert done.code == 0, done.err
    tasks = done.result["tasks"]
    assert "sources" not in tasks["sst"]
    for task, extra in {"quora": "mrpc", "sts": "sick"}.items():
        assert tasks[task]["examples"] == 30
        found = {name: each["train_examples"] for name, each in tasks[task]["sources"].items()}
        assert found == {"own": 40, extra: 40}


def test_the_suite_of_the_hub_trains_on_saved_sets(mtl_train, tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra hub is not installed")
    datasets.disable_progress_bars()
    texts = [f"some words {n}" for n in range(50)]
    sets = {
        "SetFit/sst5": {"text": texts, "label": [n % 5 for n in range(50)]},
        "nyu-mll/glue/qqp": {
            "question1": texts, "question2": texts[::-1], "label": [n % 2 for n in range(50)],
        },
        "nyu-mll/glue/stsb": {
            "sentence1": texts, "sentence2": texts[::-1], "label": [n % 26 / 5 for n in range(50)],
        },
    }  # fmt: skip
    for name, rows in sets.items():
        both = {split: datasets.Dataset.from_dict(rows) for split in ("train", "validation")}
        datasets.DatasetDict(both).save_to_disk(tmp_path / "sets" / name)
    done = mtl_train("suite=hub", "data_dir=sets", *QUICK, "encoder.layers=1")
    assert done.code == 0, done.err
    found = {name: entry["train_examples"] for name, entry in done.result["tasks"].items()}
    assert found == {"sst": 40, "quora": 40, "sts": 40}
