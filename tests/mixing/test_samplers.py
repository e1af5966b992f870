"""Which tasks a step takes."""

from collections import Counter

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.mixing.samplers import epoch_steps, make_sampler
from mtl_sharing.mixing.settings import SamplerConfig

SIZES = {"a": 8544, "b": 283003, "c": 6040}
STEPS = 2000


def sampler(name, alpha=1.0, sizes=SIZES, seed=7):
    return make_sampler(SamplerConfig(name, alpha), sizes, seed)


def test_unified_takes_every_task_in_every_step():
    assert [sampler("unified").tasks(step) for step in (0, 1, 99)] == [("a", "b", "c")] * 3


def test_round_robin_takes_turns_in_the_order_of_the_tasks():
    order = [sampler("round_robin").tasks(step) for step in range(7)]
    assert order == [("a",), ("b",), ("c",), ("a",), ("b",), ("c",), ("a",)]


@pytest.mark.parametrize(
    ("alpha", "wanted"),
    [(0.0, [1 / 3, 1 / 3, 1 / 3]), (0.5, [3 / 8, 4 / 8, 1 / 8]), (1.0, [9 / 26, 16 / 26, 1 / 26])],
)
def test_probabilities_go_with_the_power_of_the_size(alpha, wanted):
    found = sampler("proportional", alpha, {"a": 900, "b": 1600, "c": 100}).probabilities()
    assert found.tolist() == pytest.approx(wanted)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_draws_follow_the_probabilities(alpha):
    one = sampler("proportional", alpha, {"a": 900, "b": 1600, "c": 100})
    drawn = Counter(task for step in range(STEPS) for task in one.tasks(step))
    assert drawn.total() == STEPS
    for task, p in zip("abc", one.probabilities(), strict=True):
        # Four standard deviations of a binomial count.
        assert abs(drawn[task] - STEPS * p) < 4 * (STEPS * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("name", ["unified", "round_robin", "proportional"])
def test_a_draw_depends_on_the_step_alone(name):
    sizes = {"a": 5, "b": 7, "c": 11}
    forwards = [sampler(name, 0.5, sizes).tasks(step) for step in range(50)]
    other = sampler(name, 0.5, sizes)
    backwards = [other.tasks(step) for step in reversed(range(50))]
    assert forwards == backwards[::-1]


def test_another_seed_draws_otherwise():
    one, two = (sampler("proportional", 0.0, seed=seed) for seed in (1, 2))
    assert [one.tasks(s) for s in range(50)] != [two.tasks(s) for s in range(50)]


def test_an_epoch_draws_as_many_examples_as_there_are():
    sizes, batches = {"a": 100, "b": 31, "c": 20}, {"a": 10, "b": 10, "c": 5}
    assert epoch_steps(sampler("unified"), sizes, batches) == 6  # 151 / 25
    for name in ("round_robin", "proportional"):
        assert epoch_steps(sampler(name), sizes, batches) == 10 + 4 + 4
    assert epoch_steps(sampler("unified"), {"a": 1}, {"a": 64}) == 1


def test_an_unknown_sampler_is_refused():
    with pytest.raises(UserError, match=r"sampler\.name: found proportonal \(nearest: proporti"):
        sampler("proportonal")
