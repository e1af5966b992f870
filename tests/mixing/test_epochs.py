"""How a training falls into epochs."""

import pytest

from mtl_sharing.mixing.epochs import Epochs, quotas


def test_epochs_are_equally_long_but_for_a_fraction_at_the_end():
    epochs = Epochs(draws=25, number=2.5)
    assert epochs.count == 3 and epochs.length == 10
    assert [epochs.of(draw) for draw in range(25)] == [0] * 10 + [1] * 10 + [2] * 5
    assert [epochs.place(draw) for draw in range(25)] == [*range(10), *range(10), *range(5)]


@pytest.mark.parametrize(
    ("draws", "number"), [(20, 10.0), (7, 3.0), (3, 5.0), (1, 1.0), (100, 0.4)]
)
def test_a_training_cut_short_still_runs_through_its_epochs(draws, number):
    epochs = Epochs(draws, number)
    found = [epochs.of(draw) for draw in range(draws)]
    assert found == sorted(found) and found[0] == 0 and found[-1] < epochs.count
    if draws >= number:
        assert sorted(set(found)) == list(range(epochs.count))
    assert all(0 <= epochs.place(draw) < max(1, -(-draws // number)) for draw in range(draws))


def test_nothing_fails_after_the_end_or_without_draws():
    assert Epochs(10, 2.0).of(99) == 1
    assert Epochs(0, 3.0).of(0) == 0 and Epochs(0, 3.0).place(0) == 0


@pytest.mark.parametrize("length", [0, 1, 7, 18, 19, 1000])
def test_quotas_add_up_and_go_with_the_batches(length):
    batches = {"a": 11, "b": 5, "c": 2}
    found = quotas(batches, length)
    assert list(found) == list(batches) and sum(found.values()) == length
    for task, count in found.items():
        assert abs(count - length * batches[task] / 18) <= 1
    assert quotas(batches, 18) == batches
