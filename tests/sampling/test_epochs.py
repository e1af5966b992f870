"""How a training falls into epochs."""

import pytest

from mtl_sharing.sampling.epochs import Epochs, epoch_quotas


def test_epochs_are_equally_long_but_for_a_fraction_at_the_end():
    epochs = Epochs(draws=25, number=2.5)
    assert epochs.count == 3 and epochs.lengths == [10, 10, 5]
    assert [epochs.of(draw) for draw in range(25)] == [0] * 10 + [1] * 10 + [2] * 5
    assert [epochs.position(draw) for draw in range(25)] == [*range(10), *range(10), *range(5)]


@pytest.mark.parametrize(
    ("draws", "number"), [(20, 10.0), (7, 3.0), (3, 5.0), (1, 1.0), (100, 0.4)]
)
def test_a_training_cut_short_still_runs_through_its_epochs(draws, number):
    epochs = Epochs(draws, number)
    drawn = [epochs.of(draw) for draw in range(draws)]
    assert drawn == sorted(drawn) and drawn[0] == 0 and drawn[-1] < epochs.count
    assert [drawn.count(epoch) for epoch in range(epochs.count)] == epochs.lengths
    assert all(0 <= epochs.position(d) < epochs.lengths[epochs.of(d)] for d in range(draws))


def test_nothing_fails_after_the_end_or_without_draws():
    assert Epochs(10, 2.0).of(99) == 1
    assert Epochs(0, 3.0).of(0) == 0 and Epochs(0, 3.0).position(0) == 0


@pytest.mark.parametrize(
    "lengths", [[0], [1], [7], [18, 19, 1000], [2] * 10, [7, 6, 7, 6], [18] * 4, [10, 10, 10, 3]]
)
def test_quotas_add_up_and_go_with_the_batches(lengths):
    batches = {"a": 11, "b": 5, "c": 2}
    found = epoch_quotas(batches, lengths)
    assert [sum(counts.values()) for counts in found] == lengths
    assert all(list(counts) == list(batches) for counts in found)
    assert min(count for counts in found for count in counts.values()) >= 0
    for task, size in batches.items():
        # Up to every epoch, not only at the end.
        for epoch in range(len(lengths)):
            so_far = sum(counts[task] for counts in found[: epoch + 1])
            assert abs(so_far - sum(lengths[: epoch + 1]) * size / 18) <= 1
    assert all(counts == batches for counts, length in zip(found, lengths, strict=True)
               if lengths == [18] * len(lengths))  # fmt: skip


@pytest.mark.parametrize("epochs", [1, 3, 10, 20])
def test_short_trainings_leave_no_task_out(epochs):
    """Twenty steps of a report's ten epochs, with tasks of very different size."""
    batches = {"sst": 961, "quora": 6981, "sts": 680}
    found = epoch_quotas(batches, Epochs(20, float(epochs)).lengths)
    for task in batches:
        assert sum(counts[task] for counts in found) >= 1
