"""The columns of predictions: their names, their digits, and tasks whose columns collide."""

import numpy as np
import pandas as pd
import pytest
import torch

from mtl_sharing.data.tasks.task import TaskConfig, task_spec
from mtl_sharing.errors import UserError
from mtl_sharing.evaluation.evaluate import Answers, answers_of
from mtl_sharing.objectives.losses import BinaryCrossEntropy, CrossEntropy
from mtl_sharing.predict.answer_columns import AnswerColumns, check_names, numbers, readable
from mtl_sharing.predict.table_files import table_writer


def spec_of(name="topic", **config):
    return task_spec(name, TaskConfig(**config))


NAMED = spec_of(labels=["up, or\nnot", "down"])


def test_every_class_has_its_probability():
    raw = torch.tensor([[1.0, 2.0], [3.0, 0.5]])
    cells = AnswerColumns.of_task(NAMED, "p_", True).cells(
        answers_of(CrossEntropy(2), raw, np.full(2, np.nan))
    )
    first = (1 / (1 + np.exp([1.0, -2.5]))).tolist()
    assert list(cells) == ["p_topic", "p_topic_probability", "p_topic_probability_up, or\nnot",
                           "p_topic_probability_down"]  # fmt: skip
    assert cells["p_topic"] == ["down", "up, or\nnot"]
    assert cells["p_topic_probability_up, or\nnot"] == pytest.approx(first)
    assert cells["p_topic_probability_down"] == pytest.approx([1 - p for p in first])
    assert cells["p_topic_probability"] == pytest.approx([1 - first[0], first[1]])


def test_a_binary_task_has_two_probabilities_and_a_value_has_none():
    answers = answers_of(BinaryCrossEntropy(), torch.tensor([[0.4]]), np.array([np.nan]))
    cells = AnswerColumns.of_file(spec_of(kind="binary"), True).cells(answers)
    assert list(cells) == ["prediction", "probability", "probability_0", "probability_1"]
    assert sum(cells["probability_0"] + cells["probability_1"]) == pytest.approx(1)
    value = spec_of(kind="regression", range=[0, 5])
    columns = AnswerColumns.of_task(value, "", True)
    assert columns.types == {"topic": "float64"}
    assert columns.cells(Answers.missing(2, 0)) == {"topic": [None, None]}


@pytest.mark.parametrize("each_class", [True, False])
def test_rows_without_a_prediction_are_empty_in_every_column(each_class):
    columns = AnswerColumns.of_task(NAMED, "", each_class)
    cells = columns.cells(Answers.missing(1, 2))
    assert len(cells) == len(columns.types) == (4 if each_class else 2)
    assert all(values == [None] for values in cells.values())


def test_no_digit_of_an_output_is_lost():
    random = np.random.default_rng(3)
    values = (random.normal(size=500) * 10.0 ** random.integers(-30, 30, 500)).astype(np.float32)
    assert np.array_equal(np.array(numbers(values)).astype(np.float32), values)
    assert numbers(np.float32([0.1, np.nan, 8.000001])) == [0.1, None, 8.000001]
    # A label is a number of a file, which fp32 may not hold.
    value = spec_of(kind="regression", range=[0, 5])
    assert readable(value, np.array([4.123456789012])) == [4.123456789012]


def test_tasks_with_a_column_of_one_name_are_refused():
    value = spec_of("a_probability_1", kind="regression", range=[0, 1])
    specs = [spec_of("a", classes=2), value]
    columns = [AnswerColumns.of_task(spec, "p_", True) for spec in specs]
    message = "--tasks: found two tasks with a column named p_a_probability_1; allowed: one of"
    with pytest.raises(UserError, match=message):
        check_names(columns, "--tasks")
    check_names([AnswerColumns.of_task(spec, "p_", False) for spec in specs], "--tasks")


def test_odd_class_names_are_cells_of_the_header(tmp_path):
    columns = AnswerColumns.of_task(NAMED, "", True)
    cells = columns.cells(Answers.missing(1, 2))
    with table_writer(tmp_path / "x.csv", "csv", list(cells)) as write:
        write([dict.fromkeys(cells, 0.5)])
    assert list(pd.read_csv(tmp_path / "x.csv").columns) == list(columns.types)
