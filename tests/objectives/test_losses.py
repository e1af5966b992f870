"""Losses and predictions against numbers worked out by hand."""

import math

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.objectives.losses import make_objective


def objective(name, kind, classes=3, low=0.0, high=5.0):
    return make_objective(name, kind, "task.x.loss", classes, low, high)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_cross_entropy():
    found = objective(None, "classes")
    raw = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, math.log(3), math.log(6)]])
    # softmax: 2/4 1/4 1/4 and 1/10 3/10 6/10
    assert float(found.loss(raw, torch.tensor([0, 1]))) == pytest.approx(
        -(math.log(2 / 4) + math.log(3 / 10)) / 2
    )
    assert found.predict(raw).tolist() == [0, 2]
    assert (found.outputs, found.cosine) == (3, False)


def test_binary_cross_entropy():
    found = objective(None, "binary", classes=2)
    raw = torch.tensor([[1.5], [-0.5], [2.0]])
    wanted = -(math.log(sigmoid(1.5)) + math.log(1 - sigmoid(-0.5)) + math.log(1 - sigmoid(2)))
    assert float(found.loss(raw, torch.tensor([1, 0, 0]))) == pytest.approx(wanted / 3)
    assert found.predict(raw).tolist() == [1, 0, 1]
    assert found.outputs == 1


def test_squared_error_of_a_score():
    found = objective(None, "regression", low=1.0)
    raw = torch.tensor([[1.5], [7.0]])
    assert float(found.loss(raw, torch.tensor([2.0, 4.0]))) == pytest.approx((0.25 + 9) / 2)
    assert found.predict(raw).tolist() == [1.5, 7.0]
    assert (found.outputs, found.bias) == (1, 3.0)


def test_squared_error_of_a_binary_label():
    found = objective("mse", "binary", classes=2)
    raw = torch.tensor([[0.75], [-3.0], [0.25]])
    assert float(found.loss(raw, torch.tensor([1, 0, 1]))) == pytest.approx(
        (0.0625 + 9 + 0.5625) / 3
    )
    assert found.predict(raw).tolist() == [1, 0, 0]
    assert found.bias == 0.5


def test_cross_entropy_of_a_binary_label_has_two_outputs():
    found = objective("cross_entropy", "binary", classes=2)
    assert found.outputs == 2
    assert found.predict(torch.tensor([[0.1, 0.3], [2.0, -2.0]])).tolist() == [1, 0]


@pytest.mark.parametrize(
    ("name", "value"),
    [("scaled_cosine", lambda c: (c + 1) * 2.5), ("sigmoid_cosine", lambda c: sigmoid(c) * 5)],
)
def test_cosines_brought_to_the_range(name, value):
    found = objective(name, "regression")
    raw = torch.tensor([[-1.0], [0.25], [1.0]])
    wanted = [value(c) for c in (-1.0, 0.25, 1.0)]
    assert found.predict(raw).tolist() == pytest.approx(wanted)
    squares = [(w - label) ** 2 for w, label in zip(wanted, (0.0, 2.0, 5.0), strict=True)]
    labels = torch.tensor([0.0, 2.0, 5.0])
    assert float(found.loss(raw, labels)) == pytest.approx(sum(squares) / 3)
    assert found.cosine


def test_cosines_know_another_range():
    assert objective("scaled_cosine", "regression", low=1.0, high=3.0).predict(
        torch.tensor([[-1.0], [0.0], [1.0]])
    ).tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "kind", "allowed"),
    [
        ("mse", "classes", "cross_entropy"),
        ("bce", "classes", "cross_entropy"),
        ("scaled_cosine", "binary", "bce, cross_entropy, mse"),
        ("cross_entropy", "regression", "mse, scaled_cosine, sigmoid_cosine, expected_class"),
        ("", "regression", "mse, scaled_cosine, sigmoid_cosine, expected_class"),
    ],
)
def test_a_loss_that_does_not_fit_the_kind_is_refused(name, kind, allowed):
    with pytest.raises(UserError) as caught:
        objective(name, kind)
    assert caught.value.where == "task.x.loss"
    assert caught.value.allowed == allowed


def test_a_score_as_classes_predicts_their_mean():
    found = objective("expected_class", "regression", low=1.0, high=3.0)
    raw = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, math.log(3), math.log(6)]])
    # softmax: 2/4 1/4 1/4 and 1/10 3/10 6/10, of the values 1, 2 and 3.
    assert found.predict(raw).tolist() == pytest.approx([1.75, 2.5])
    loss = found.loss(raw, torch.tensor([1.4, 2.5]))  # the classes 1 and 3
    assert float(loss) == pytest.approx(-(math.log(2 / 4) + math.log(6 / 10)) / 2)
    assert objective("expected_class", "regression").outputs == 6


@pytest.mark.parametrize("label", [0.0, 0.49, 0.5, 2.5, 3.5, 4.9, 5.0])
def test_a_score_counts_as_its_nearest_class(label):
    raw = torch.randn(1, 6)
    wanted = -raw.log_softmax(1)[0, math.floor(label + 0.5)]
    found = objective("expected_class", "regression").loss(raw, torch.tensor([label]))
    torch.testing.assert_close(found, wanted)


def test_classes_of_a_score_need_whole_ends():
    with pytest.raises(UserError, match=r"labels 0 to 4\.5; allowed: whole numbers"):
        objective("expected_class", "regression", high=4.5)


def probabilities(found, raw):
    return [[round(float(p), 6) for p in row] for row in found.probabilities(torch.tensor(raw))]


def test_probabilities_of_classes():
    classes = objective("cross_entropy", "classes")
    assert probabilities(classes, [[math.log(2), 0.0, 0.0]]) == [[0.5, 0.25, 0.25]]
    binary = objective("bce", "binary", classes=2)
    upper = round(sigmoid(1.5), 6)
    assert probabilities(binary, [[1.5]]) == [[pytest.approx(1 - upper, abs=1e-6), upper]]
    # A squared error's raw number is its probability, as far as it can be one.
    squared = objective("mse", "binary", classes=2)
    assert probabilities(squared, [[0.75], [-3.0], [4.0]]) == [[0.25, 0.75], [1, 0], [0, 1]]


@pytest.mark.parametrize("name", ["mse", "scaled_cosine", "sigmoid_cosine", "expected_class"])
def test_values_have_no_probabilities(name):
    found = objective(name, "regression")
    assert found.probabilities(torch.zeros(2, found.outputs)) is None
