"""How losses of tasks become one."""

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.objectives.weighting import make_weighting

TASKS = ("a", "b", "c")


def losses(**values):
    return {task: torch.tensor(value, requires_grad=True) for task, value in values.items()}


def test_without_weights_the_tasks_of_a_step_count_equally():
    weighting = make_weighting(LossConfig(), TASKS)
    assert weighting(losses(a=2.0, b=3.0, c=7.0)).item() == pytest.approx(4.0)
    assert weighting(losses(a=2.0, c=7.0)).item() == pytest.approx(4.5)
    assert weighting(losses(b=3.0)).item() == pytest.approx(3.0)


def test_given_weights_are_taken_by_name():
    weighting = make_weighting(LossConfig({"c": 0.2, "a": 0.5, "b": 0.0}), TASKS)
    found = losses(a=2.0, b=3.0, c=7.0)
    total = weighting(found)
    assert total.item() == pytest.approx(0.5 * 2 + 0.2 * 7)
    total.backward()
    assert [found[t].grad.item() for t in TASKS] == pytest.approx([0.5, 0.0, 0.2])
    assert weighting(losses(c=7.0)).item() == pytest.approx(1.4)


@pytest.mark.parametrize(
    ("weights", "where", "found"),
    [
        ({"a": 1, "b": 1, "bb": 1}, "loss.weights", "bb"),
        ({"a": 1, "b": 1}, "loss.weights", "a, b"),
        ({"a": 1, "b": 1, "c": -0.1}, "loss.weights.c", "-0.1"),
        ({"a": 1, "b": float("inf"), "c": 1}, "loss.weights.b", "inf"),
        ({"a": float("nan"), "b": 1, "c": 1}, "loss.weights.a", "nan"),
    ],
)
def test_bad_weights_are_named(weights, where, found):
    with pytest.raises(UserError) as caught:
        make_weighting(LossConfig(weights), TASKS)
    assert caught.value.where == where
    assert found in str(caught.value.found)
