"""How much each task's loss counts."""

import math

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.objectives.weighting import check_weighting, make_weighting

TASKS = ("a", "b", "c")


def make(squared=(), seed=3, **values):
    return make_weighting(LossConfig(**values), TASKS, squared, seed)


def losses(**values):
    return {task: torch.tensor(value, requires_grad=True) for task, value in values.items()}


def total(weighting, found, draw=0):
    return sum(weighting.term(t, loss, len(found), draw) for t, loss in found.items())


def test_without_weights_the_tasks_of_a_step_count_equally():
    weighting = make()
    assert total(weighting, losses(a=2.0, b=3.0, c=7.0)).item() == pytest.approx(4.0)
    assert total(weighting, losses(a=2.0, c=7.0)).item() == pytest.approx(4.5)
    assert total(weighting, losses(b=3.0)).item() == pytest.approx(3.0)
    assert all(weighting.has_weight(task) for task in TASKS)


def test_given_weights_are_taken_by_name():
    weighting = make(weights={"c": 0.2, "a": 0.5, "b": 0.0})
    found = losses(a=2.0, b=3.0, c=7.0)
    value = total(weighting, found)
    assert value.item() == pytest.approx(0.5 * 2 + 0.2 * 7)
    value.backward()
    assert [found[t].grad.item() for t in TASKS] == pytest.approx([0.5, 0.0, 0.2])
    assert [weighting.has_weight(t) for t in TASKS] == [True, False, True]


def test_uncertainty_starts_as_the_sum_and_learns_kendall_s_formula():
    weighting = make(weighting="uncertainty", squared=["b"])
    assert total(weighting, losses(a=2.0, b=3.0, c=7.0)).item() == pytest.approx(2 + 1.5 + 7)
    with torch.no_grad():
        weighting.log_variance["a"].fill_(math.log(4.0))  # sigma = 2
        weighting.log_variance["b"].fill_(math.log(9.0))  # sigma = 3
    found = losses(a=2.0, b=3.0)
    value = total(weighting, found)
    # L / sigma^2 + log sigma, and L / (2 sigma^2) + log sigma for a squared error.
    wanted = 2 / 4 + math.log(2) + 3 / (2 * 9) + math.log(3)
    assert value.item() == pytest.approx(wanted)
    value.backward()
    assert found["a"].grad.item() == pytest.approx(1 / 4)
    # d/ds of L exp(-s) + s / 2
    assert weighting.log_variance["a"].grad.item() == pytest.approx(-2 / 4 + 1 / 2)
    assert weighting.log_variance["c"].grad is None


def test_the_best_uncertainty_of_a_loss_is_the_loss_itself():
    weighting = make(weighting="uncertainty")
    optimizer = torch.optim.SGD(weighting.parameters(), lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        total(weighting, losses(a=0.3, b=5.0, c=1.0)).backward()
        optimizer.step()
    variances = {task: math.exp(s.item()) for task, s in weighting.log_variance.items()}
    # exp(-s) L + s / 2 is least where exp(s) = 2 L.
    assert variances == pytest.approx({"a": 0.6, "b": 10.0, "c": 2.0}, rel=1e-3)


def test_dynamic_average_by_hand():
    weighting = make(weighting="dwa", temperature=2.0)
    for epoch, (a, b, c) in enumerate([(1.0, 4.0, 2.0), (0.5, 4.0, 1.0)]):
        assert list(weighting.weights().values()) == pytest.approx([1 / 3] * 3)
        weighting.start_epoch(epoch)
        # Two draws that average to these losses.
        weighting.observe({"a": a - 0.25, "b": b - 1, "c": c}, dict.fromkeys(TASKS, 5))
        weighting.observe({"a": a + 0.25, "b": b + 1, "c": c}, dict.fromkeys(TASKS, 5))
    weighting.start_epoch(2)
    powers = [math.exp(r / 2) for r in (0.5, 1.0, 0.5)]
    wanted = [power / sum(powers) for power in powers]
    assert list(weighting.weights().values()) == pytest.approx(wanted)
    assert total(weighting, losses(a=2.0, b=3.0, c=7.0)).item() == pytest.approx(
        2 * wanted[0] + 3 * wanted[1] + 7 * wanted[2]
    )
    # Alone in its draw a task has its share of all, times their number.
    assert total(weighting, losses(b=3.0)).item() == pytest.approx(3 * 3 * wanted[1])


def test_dynamic_average_counts_every_example_once():
    """A short batch has no more say than its examples."""
    short, whole = make(weighting="dwa"), make(weighting="dwa")
    for epoch in range(2):
        for weighting in (short, whole):
            weighting.start_epoch(epoch)
        short.observe({"a": 1.0 + epoch}, {"a": 3})
        short.observe({"a": 5.0}, {"a": 1})
        whole.observe({"a": (3 * (1.0 + epoch) + 5.0) / 4}, {"a": 4})
    for weighting in (short, whole):
        weighting.start_epoch(2)
    assert short.weights() == pytest.approx(whole.weights()) and short.weights()["a"] > 1 / 3


def test_dynamic_average_goes_on_from_its_state():
    one, two = make(weighting="dwa"), make(weighting="dwa")
    for draw in range(9):
        one.start_epoch(draw // 2)
        found = {task: 1.0 / (draw + n + 1) for n, task in enumerate(TASKS)}
        one.observe(found, dict.fromkeys(TASKS, 3))
    two.load_state_dict(one.state_dict())
    for weighting in (one, two):
        weighting.observe({"a": 3.0, "b": 1.0}, {"a": 2, "b": 5})
        weighting.start_epoch(5)
    assert one.weights() == two.weights() and len(set(one.weights().values())) == 3


def test_random_weights_depend_on_seed_and_draw_alone():
    weights = [make(weighting="random").weights(draw) for draw in (4, 5, 4)]
    assert weights[0] == weights[2] != weights[1]
    assert make(weighting="random", seed=4).weights(4) != weights[0]
    for found in weights:
        assert sum(found.values()) == pytest.approx(1) and min(found.values()) > 0
    mean = [
        sum(make(weighting="random").weights(draw)[task] for draw in range(300)) / 300
        for task in TASKS
    ]
    assert mean == pytest.approx([1 / 3] * 3, abs=0.04)


@pytest.mark.parametrize(
    ("values", "where", "found"),
    [
        ({"weights": {"a": 1, "b": 1, "bb": 1}}, "loss.weights", "bb"),
        ({"weights": {"a": 1, "b": 1}}, "loss.weights", "a, b"),
        ({"weights": {"a": 1, "b": 1, "c": -0.1}}, "loss.weights.c", "-0.1"),
        ({"weights": {"a": 1, "b": float("inf"), "c": 1}}, "loss.weights.b", "inf"),
        ({"weights": {"a": float("nan"), "b": 1, "c": 1}}, "loss.weights.a", "nan"),
        ({"weights": {"a": 0, "b": 0, "c": 0}}, "loss.weights", "0 for every task"),
        ({"weights": {"a": 1, "b": 1, "c": 1}, "weighting": "dwa"}, "loss.weights", "'a': 1"),
        ({"weighting": "uncertain"}, "loss.weighting", "uncertain (nearest: uncertainty)"),
        ({"temperature": 0.0}, "loss.temperature", "0"),
        ({"lr": -1.0}, "loss.lr", "-1"),
    ],
)
def test_bad_settings_are_named(values, where, found):
    with pytest.raises(UserError) as caught:
        check_weighting(LossConfig(**values), TASKS)
    assert caught.value.where == where
    assert found in str(caught.value)
