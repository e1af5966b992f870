"""Length, evaluation interval and sampler of a training, worked out by hand."""

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.sampling.settings import SamplerConfig
from mtl_sharing.training.schedule import make_schedule
from mtl_sharing.training.settings import TrainerConfig

# 3 batches of each task; the last of task a has 2 of 4 examples.
SIZES = {"a": 10, "b": 6}
BATCH_SIZES = {"a": 4, "b": 2}


def schedule(sampler="round_robin", sizes=SIZES, batch_sizes=BATCH_SIZES, limit=None, **trainer):
    return make_schedule(TrainerConfig(**trainer), SamplerConfig(sampler), sizes, batch_sizes, 5,
                         limit)  # fmt: skip


def drawn(made, draws):
    return [made.sampler.tasks(draw) for draw in range(draws)]


def test_an_epoch_of_single_tasks_has_the_batches_of_all():
    made = schedule(epochs=2)
    assert (made.steps, made.epoch_steps) == (12, 6)
    assert made.epochs.lengths == [6, 6]
    assert drawn(made, 4) == [("a",), ("b",), ("a",), ("b",)]
    made = schedule("sequential", epochs=2)
    assert drawn(made, 12) == [("a",)] * 3 + [("b",)] * 3 + [("a",)] * 3 + [("b",)] * 3


def test_an_epoch_of_all_tasks_at_once_has_as_many_examples():
    made = schedule("unified", epochs=2)
    # 16 examples, 6 a step: 2.67 steps.
    assert (made.steps, made.epoch_steps) == (6, 3)
    assert drawn(made, 2) == [("a", "b")] * 2


@pytest.mark.parametrize(("epochs", "steps"), [(0.5, 3), (2.5, 15), (0.01, 1)])
def test_epochs_may_be_fractions(epochs, steps):
    assert schedule(epochs=epochs).steps == steps


def test_several_batches_make_a_step():
    made = schedule(epochs=2, accumulation=4)
    assert (made.steps, made.epoch_steps) == (3, 1.5)
    assert made.epochs.draws == 12
    assert made.epochs.lengths == [6, 6]


def test_max_steps_cuts_every_epoch_short():
    made = schedule(epochs=3, max_steps=4)
    assert (made.steps, made.epoch_steps) == (4, 6)
    assert made.epochs.lengths == [2, 1, 1]
    # A longer training than its epochs is stretched.
    assert schedule(epochs=1, max_steps=9).epochs.lengths == [9]


def test_an_epoch_may_have_a_length_of_its_own():
    made = schedule(epochs=2, steps_per_epoch=7)
    assert (made.steps, made.epoch_steps) == (14, 7)
    # In updates, whatever they accumulate.
    assert schedule(epochs=2, steps_per_epoch=7, accumulation=3).steps == 14


def test_the_limit_of_a_phase_keeps_the_number_of_epochs():
    made = schedule("sequential", epochs=3, limit=4)
    assert made.steps == 4
    assert (made.epochs.number, made.epochs.lengths) == (3, [2, 1, 1])
    assert schedule(epochs=3, limit=99).steps == 18
    # Steps of the phase's own stand above it.
    assert schedule(epochs=3, max_steps=5, limit=4).steps == 5


def test_a_task_without_weight_takes_no_turn():
    made = schedule(sizes={"b": 6}, epochs=2)
    assert (made.steps, made.sizes) == (6, {"b": 6})
    assert made.batch_sizes == BATCH_SIZES
    assert drawn(made, 6) == [("b",)] * 6
    made = schedule("unified", sizes={"b": 6}, epochs=2)
    assert (made.steps, drawn(made, 1)) == (6, [("b",)])


@pytest.mark.parametrize(
    ("trainer", "every", "evaluations"),
    [
        ({"max_steps": 60}, 6, 10),
        ({"max_steps": 61}, 7, 9),
        ({"max_steps": 4}, 1, 4),
        ({"max_steps": 12, "eval_every": 5}, 5, 3),
        ({"max_steps": 10, "eval_every": 5}, 5, 2),
        ({"max_steps": 3, "eval_every": 5}, 5, 1),
        ({"max_steps": 0}, 1, 0),
    ],
)
def test_evaluations_are_a_tenth_apart_and_one_comes_last(trainer, every, evaluations):
    made = schedule(**trainer)
    assert (made.eval_every, made.evaluations) == (every, evaluations)


def test_a_bad_sampler_is_named():
    with pytest.raises(UserError, match="nearest: round_robin"):
        schedule("round_robbin")
