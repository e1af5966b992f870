"""Which tasks a step takes."""

from collections import Counter
from itertools import pairwise

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.samplers import batches_of, epoch_draws, make_sampler
from mtl_sharing.sampling.settings import SamplerConfig

SIZES = {"a": 900, "b": 1600, "c": 100}
BATCHES = {"a": 9, "b": 16, "c": 1}
STEPS = 2000


def sampler(name, sizes=SIZES, batches=BATCHES, draws=STEPS, epochs=1.0, seed=7, **values):
    config = SamplerConfig(name, **values)
    return make_sampler(config, sizes, batches, Epochs(draws, epochs), seed)


def drawn(one, draws):
    return [task for draw in draws for task in one.tasks(draw)]


def test_unified_takes_every_task_in_every_step():
    assert [sampler("unified").tasks(step) for step in (0, 1, 99)] == [("a", "b", "c")] * 3


def test_round_robin_takes_turns_in_the_order_of_the_tasks():
    assert drawn(sampler("round_robin"), range(7)) == list("abcabca")


def test_round_robin_leaves_out_tasks_that_have_run_out_until_the_epoch_ends():
    one = sampler("round_robin", batches={"a": 2, "b": 4, "c": 1}, draws=14, epochs=2.0,
                  exhausted="stop")  # fmt: skip
    assert drawn(one, range(14)) == list("abcabbb" * 2)


def test_batch_sizes_of_their_own_let_tasks_run_out_together():
    sizes = {"sst": 8544, "quora": 68352, "sts": 8544}
    batches = batches_of(sizes, {"sst": 8, "quora": 64, "sts": 8})
    assert set(batches.values()) == {1068}
    one = sampler("round_robin", sizes, batches, draws=3 * 1068, exhausted="stop")
    assert drawn(one, range(3 * 1068)) == ["sst", "quora", "sts"] * 1068


def test_sequential_gives_an_epoch_of_each_task_in_turn():
    one = sampler("sequential", batches={"a": 2, "b": 4, "c": 1}, draws=14, epochs=2.0)
    assert drawn(one, range(14)) == list("aabbbbc" * 2)


def test_a_short_training_still_sees_tasks_in_proportion():
    one = sampler("sequential", draws=13, epochs=1.0)
    assert Counter(drawn(one, range(13))) == {"a": 4, "b": 8, "c": 1}


@pytest.mark.parametrize(
    ("alpha", "wanted"),
    [(0.0, [1 / 3, 1 / 3, 1 / 3]), (0.5, [3 / 8, 4 / 8, 1 / 8]), (1.0, [9 / 26, 16 / 26, 1 / 26])],
)
def test_probabilities_go_with_the_power_of_the_size(alpha, wanted):
    found = sampler("temperature", alpha=alpha).probabilities(0)
    assert found.tolist() == pytest.approx(wanted)


def check_binomial(one, draws):
    """Four standard deviations of a binomial count, for each task."""
    found = Counter(drawn(one, draws))
    assert found.total() == len(draws)
    for task, p in zip(SIZES, one.probabilities(draws[0]), strict=True):
        assert abs(found[task] - len(draws) * p) < 4 * (len(draws) * p * (1 - p)) ** 0.5


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_draws_follow_the_probabilities(alpha):
    check_binomial(sampler("temperature", alpha=alpha), range(STEPS))


def test_annealed_draws_follow_the_probabilities_of_their_epoch():
    one = sampler("annealed", draws=5 * STEPS, epochs=5.0)
    for epoch in range(5):
        draws = range(epoch * STEPS, (epoch + 1) * STEPS)
        assert [one.alpha(d) for d in (draws[0], draws[-1])] == pytest.approx([1 - 0.2 * epoch] * 2)
        check_binomial(one, draws)
    shares = [one.probabilities(epoch * STEPS)[1] for epoch in range(5)]
    assert all(later < earlier for earlier, later in pairwise(shares))


NAMES = ["unified", "round_robin", "sequential", "temperature", "annealed"]


@pytest.mark.parametrize("exhausted", ["recycle", "stop"])
@pytest.mark.parametrize("name", NAMES)
def test_a_draw_depends_on_its_number_alone(name, exhausted):
    values = {"draws": 50, "epochs": 3.0, "exhausted": exhausted}
    forwards = [sampler(name, **values).tasks(step) for step in range(50)]
    other = sampler(name, **values)
    backwards = [other.tasks(step) for step in reversed(range(50))]
    assert forwards == backwards[::-1]


def test_another_seed_draws_otherwise():
    one, two = (sampler("temperature", alpha=0.0, seed=seed) for seed in (1, 2))
    assert drawn(one, range(50)) != drawn(two, range(50))


def test_an_epoch_draws_as_many_examples_as_there_are():
    sizes, batches = {"a": 100, "b": 31, "c": 20}, {"a": 10, "b": 10, "c": 5}
    assert epoch_draws("unified", sizes, batches) == 6  # 151 / 25
    for name in NAMES[1:]:
        assert epoch_draws(name, sizes, batches) == 10 + 4 + 4
    assert epoch_draws("unified", {"a": 1}, {"a": 64}) == 1


@pytest.mark.parametrize(
    ("name", "values", "found"),
    [
        ("proportonal", {}, r"sampler\.name: found proportonal"),
        ("temprature", {}, r"nearest: temperature"),
        ("temperature", {"alpha": -0.5}, r"sampler\.alpha: found -0\.5"),
        ("temperature", {"alpha": 1.5}, r"sampler\.alpha: found 1\.5.*0 to 1"),
        ("temperature", {"alpha": float("nan")}, r"sampler\.alpha: found nan"),
        ("annealed", {"start": 2.0}, r"sampler\.start: found 2"),
        ("round_robin", {"exhausted": "recycl"}, r"sampler\.exhausted.*nearest: recycle"),
    ],
)
def test_what_no_sampler_can_be_is_refused(name, values, found):
    with pytest.raises(UserError, match=found):
        sampler(name, **values)
