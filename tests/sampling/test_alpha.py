"""The exponent of the sizes, epoch by epoch."""

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.sampling.samplers import SHAPES, AlphaSchedule, make_schedule
from mtl_sharing.sampling.settings import SamplerConfig


def course(epochs, **values):
    schedule = make_schedule(SamplerConfig("annealed", **values))
    return [schedule.alpha(epoch, epochs) for epoch in range(epochs)]


@pytest.mark.parametrize("epochs", [2, 3, 5, 10, 25])
def test_the_report_s_formula(epochs):
    wanted = [1 - 0.8 * (e - 1) / (epochs - 1) for e in range(1, epochs + 1)]
    assert course(epochs) == pytest.approx(wanted)


def test_values_of_every_shape():
    assert course(5, start=0.9, end=0.1) == pytest.approx([0.9, 0.7, 0.5, 0.3, 0.1])
    cosine = [0.9, 0.9 - 0.4 * (1 - 0.5**0.5), 0.5, 0.1 + 0.4 * (1 - 0.5**0.5), 0.1]
    assert course(5, start=0.9, end=0.1, shape="cosine") == pytest.approx(cosine)
    assert course(5, start=0.9, end=0.1, shape="step") == pytest.approx([0.9, 0.9, 0.1, 0.1, 0.1])
    assert course(4, start=0.0, end=1.0, shape="step") == pytest.approx([0, 0, 1, 1])


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_starts_and_ends_where_it_should(shape):
    found = course(7, start=0.3, end=0.8, shape=shape)
    assert found[0] == pytest.approx(0.3) and found[-1] == pytest.approx(0.8)
    assert found == sorted(found)


def test_a_single_epoch_stays_at_the_start():
    assert course(1, start=0.6, end=0.1) == [0.6]


def test_temperature_stands_still():
    assert make_schedule(SamplerConfig("temperature", alpha=0.4)) == AlphaSchedule(0.4, 0.4)


@pytest.mark.parametrize(
    ("values", "where", "found"),
    [
        ({"start": 1.1}, "sampler.start", "1.1"),
        ({"end": -0.1}, "sampler.end", "-0.1"),
        ({"end": float("nan")}, "sampler.end", "nan"),
        ({"shape": "line"}, "sampler.shape", "line"),
    ],
)
def test_bad_schedules_are_named(values, where, found):
    with pytest.raises(UserError) as caught:
        course(3, **values)
    assert caught.value.where == where and found in str(caught.value)
