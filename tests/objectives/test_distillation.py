"""Losses that mix labels with a teacher's outputs, against numbers worked out by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.errors import UserError
from mtl_sharing.objectives.distillation import (
    Distillation,
    check_distillation,
    make_distillation,
    teacher_loss,
)
from mtl_sharing.objectives.losses import make_objective
from mtl_sharing.objectives.settings import DistillationConfig

LOG2, LOG3 = math.log(2), math.log(3)


def objective(kind, name=None, classes=3):
    return make_objective(name, kind, "", classes, 0.0, 5.0)


def batch_of(labels, teacher):
    none = torch.zeros(len(labels), dtype=torch.long)
    return LabelledBatch(PackedBatch(none, none, (1,) * len(labels)), labels, teacher)


def kl(p, q):
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))


def test_classes_by_hand():
    # At T = 2 the teacher has 1/2 1/4 1/4 and 1/3 1/3 1/3, the student 1/3 1/3 1/3 and 3/5 1/5 1/5.
    teacher = torch.tensor([[2 * LOG2, 0.0, 0.0], [1.0, 1.0, 1.0]])
    student = torch.tensor([[0.5, 0.5, 0.5], [2 * LOG3, 0.0, 0.0]])
    wanted = kl((0.5, 0.25, 0.25), (1 / 3,) * 3) + kl((1 / 3,) * 3, (0.6, 0.2, 0.2))
    found = teacher_loss(objective("classes"), student, teacher, 2.0)
    assert float(found) == pytest.approx(4 * wanted / 2)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_binary_logit_by_hand(sign):
    # Sigmoids at T = 2: the teacher's 3/4 (or 1/4), the student's 1/2.
    teacher, student = torch.tensor([[sign * 2 * LOG3]]), torch.tensor([[0.0]])
    found = teacher_loss(objective("binary"), student, teacher, 2.0)
    assert float(found) == pytest.approx(4 * kl((0.75, 0.25), (0.5, 0.5)))


def test_two_logits_of_a_binary_task_equal_one():
    torch.manual_seed(0)
    one, other = torch.randn(2, 5, 2)
    two = teacher_loss(objective("binary", "cross_entropy", 2), one, other, 3.0)
    single = [(raw[:, 1] - raw[:, 0])[:, None] for raw in (one, other)]
    torch.testing.assert_close(two, teacher_loss(objective("binary"), *single, 3.0))


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        ("regression", "mse", (0.5**2 + 1.0**2) / 2),
        ("binary", "mse", (0.5**2 + 1.0**2) / 2),
        # In the label's units, half of its range of 5 for a cosine.
        ("regression", "scaled_cosine", ((0.5 * 2.5) ** 2 + 2.5**2) / 2),
    ],
)
def test_values_have_the_squared_error_at_any_temperature(kind, name, wanted):
    student, teacher = torch.tensor([[0.5], [-0.5]]), torch.tensor([[0.0], [0.5]])
    for temperature in (1.0, 4.0):
        found = teacher_loss(objective(kind, name), student, teacher, temperature)
        assert float(found) == pytest.approx(wanted)


def test_expected_classes_by_torch_s_own():
    torch.manual_seed(1)
    student, teacher = torch.randn(2, 4, 6)
    found = teacher_loss(objective("regression", "expected_class"), student, teacher, 2.0)
    wanted = F.kl_div((student / 2).log_softmax(1), (teacher / 2).softmax(1), reduction="sum")
    torch.testing.assert_close(found, 4 * wanted / 4)


@pytest.mark.parametrize(("kind", "classes"), [("classes", 3), ("binary", 2)])
def test_a_certain_teacher_at_temperature_1_has_the_gradient_of_the_labels(kind, classes):
    torch.manual_seed(2)
    of, labels = objective(kind, classes=classes), torch.tensor([0, classes - 1, 1])
    certain = F.one_hot(labels, classes).float() * 1e4
    teacher = certain if of.outputs > 1 else certain[:, 1:] * 2 - 1e4
    raw = torch.randn(3, of.outputs, requires_grad=True)
    (wanted,) = torch.autograd.grad(of.loss(raw, labels), raw)
    (found,) = torch.autograd.grad(teacher_loss(of, raw, teacher, 1.0), raw)
    torch.testing.assert_close(found, wanted)


def test_the_gradient_hardly_depends_on_a_high_temperature():
    """T^2 makes up for gradients that shrink with 1 / T^2 (Hinton et al. 2015, equation 4)."""
    torch.manual_seed(3)
    raw, teacher = torch.randn(4, 3, dtype=torch.double, requires_grad=True), torch.randn(4, 3)
    gradients = [
        torch.autograd.grad(teacher_loss(objective("classes"), raw, teacher.double(), t), raw)[0]
        for t in (100.0, 200.0)
    ]
    # (z - mean z - v + mean v) / K, mean over examples.
    difference = raw.detach() - teacher
    limit = (difference - difference.mean(1, keepdim=True)) / 3 / 4
    torch.testing.assert_close(gradients[0], gradients[1], rtol=0.02, atol=1e-4)
    torch.testing.assert_close(gradients[1], limit, rtol=0.02, atol=1e-3)


def test_labels_and_teacher_are_mixed_by_the_weight():
    of, labels = objective("regression", "mse"), torch.tensor([1.0, 2.0])
    raw, teacher = torch.tensor([[2.0], [2.0]]), torch.tensor([[2.0], [4.0]])
    found = Distillation().loss(of, raw, batch_of(labels, teacher), 0.25)
    assert float(found) == 0.75 * 0.5 + 0.25 * 2.0


@pytest.mark.parametrize("teacher", [None, torch.full((2, 1), math.nan)])
def test_without_a_weight_or_a_teacher_the_labels_count_alone(teacher):
    of, labels, raw = objective("binary"), torch.tensor([1, 0]), torch.tensor([[0.3], [0.7]])
    weight = 1.0 if teacher is None else 0.0
    found = Distillation(temperature=2.0).loss(of, raw, batch_of(labels, teacher), weight)
    assert torch.equal(found, of.loss(raw, labels))


@pytest.mark.parametrize(
    ("config", "weights"),
    [
        (DistillationConfig(weight=0.5), [0.5, 0.5, 0.5]),
        (DistillationConfig(weight=1.0, end=0.0), [1.0, 0.5, 0.0]),
        (DistillationConfig(end=0.8), [0.0, 0.4, 0.8]),
        (DistillationConfig(weight=1.0, end=0.0), [1.0]),
    ],
)
def test_the_weight_moves_from_the_first_draw_to_the_last(config, weights):
    found = make_distillation(config)
    draws = len(weights)
    assert [found.weight(draw, draws) for draw in range(draws)] == pytest.approx(weights)
    assert config.enabled


def test_no_weight_is_no_distillation():
    assert not DistillationConfig().enabled and not DistillationConfig(end=0.0).enabled


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"weight": -0.1}, "weight"),
        ({"weight": 1.5}, "weight"),
        ({"end": math.nan}, "end"),
        ({"end": 2.0}, "end"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
    ],
)
def test_bad_settings_are_named(values, where):
    with pytest.raises(UserError) as caught:
        check_distillation(DistillationConfig(**values))
    assert caught.value.where == f"distillation.{where}"
