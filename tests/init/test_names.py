"""Which files are one task, and what it is called."""

from pathlib import Path

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.init.names import group_files, task_names


def groups(*names):
    """Each task's name with the names of its train, dev and test file."""
    return {
        task.name: tuple(path and path.name for path in (task.train, task.dev, task.test))
        for task in group_files([Path("/data", name) for name in names])
    }


def test_files_are_joined_by_their_names():
    assert groups("rev-train.csv", "rev_dev.csv.gz", "rev.test.jsonl", "tickets.csv") == {
        "rev": ("rev-train.csv", "rev_dev.csv.gz", "rev.test.jsonl"),
        "tickets": ("tickets.csv", None, None),
    }
    assert groups("a.csv", "a.valid.csv") == {"a": ("a.csv", "a.valid.csv", None)}
    assert groups("train.csv", "Dev.csv") == {"data": ("train.csv", "Dev.csv", None)}
    assert groups("train-news.csv", "val-news.csv") == {
        "news": ("train-news.csv", "val-news.csv", None)
    }
    assert groups("my_test.csv") == {"my": ("my_test.csv", None, None)}  # there is nothing else


def test_files_of_one_name_are_tasks_of_their_own():
    assert groups("one/a.csv", "two/a.csv", "one/a.jsonl") == {
        "a": ("a.csv", None, None),
        "a_2": ("a.csv", None, None),
        "a_3": ("a.jsonl", None, None),
    }


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (["a.csv", "a.csv"], "the same file twice"),
        (["a-dev.csv", "a_test.csv"], "a-dev.csv, a_test.csv without a train file"),
        (["a-train.csv", "a.train.csv"], "two train files of one task"),
        (["a-train.csv", "a.csv"], "a.csv beside a-train.csv"),
    ],
)
def test_files_that_do_not_fit_together(files, found):
    with pytest.raises(UserError, match=found):
        groups(*files)


def test_names_are_valid_different_and_of_no_shipped_task():
    stems = ["Über uns & co", "2020", "no", "sst", "日本", "a-b", "a b", "x" * 99]
    assert task_names(stems) == [
        "uber_uns_co", "task_2020", "task_no", "my_sst", "task", "a_b", "a_b_2", "x" * 40,
    ]  # fmt: skip
