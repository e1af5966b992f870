"""Penalties for unsteady answers, against formulas written out here."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.errors import UserError
from mtl_sharing.objectives.losses import make_objective
from mtl_sharing.objectives.regularizers import check_regularizer, make_regularizer
from mtl_sharing.objectives.settings import RegularizerConfig

WIDTH = 7
OBJECTIVES = {
    "sst": make_objective(None, "classes", "", 5, 0, 0),
    "quora": make_objective(None, "binary", "", 2, 0, 0),
    "sts": make_objective(None, "regression", "", 0, 0, 5),
}
LENGTHS = (2, 3, 1)


class Small(nn.Module):
    """Mean embedding of each text, then a nonlinear head for each task."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(11, WIDTH)
        self.heads = nn.ModuleDict(
            {task: nn.Sequential(nn.Tanh(), nn.Linear(WIDTH, o.outputs))
             for task, o in OBJECTIVES.items()}
        )  # fmt: skip

    def forward(self, texts):
        return {task: self.of(task, text.tokens, text.noise) for task, text in texts.items()}

    def of(self, task, tokens, noise=None):
        rows = self.words(tokens) if noise is None else self.words(tokens) + noise
        return self.heads[task](torch.stack([part.mean(0) for part in rows.split(LENGTHS)]))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return Small()


@pytest.fixture
def batches():
    torch.manual_seed(1)
    labels = {"sst": torch.tensor([0, 4, 2]), "quora": torch.tensor([0, 1, 1]),
              "sts": torch.tensor([0.5, 4.0, 2.5])}  # fmt: skip
    return {
        task: LabelledBatch(
            PackedBatch(torch.randint(11, (6,)), torch.zeros(6, dtype=torch.long), LENGTHS),
            labels[task],
        )
        for task in OBJECTIVES
    }


def texts(batches):
    return {task: batch.text for task, batch in batches.items()}


def loss_in(batches):
    return lambda task, raw: OBJECTIVES[task].loss(raw, batches[task].labels)


def make(network, **values):
    return make_regularizer(RegularizerConfig(**values), OBJECTIVES, WIDTH, network)


def divergence(task, one, other):
    """Symmetric Kullback-Leibler divergence by torch's function, or a squared error."""
    if task == "sts":
        return ((one - other) ** 2).mean()
    if task == "quora":
        one, other = (torch.cat([x, torch.zeros_like(x)], dim=1) for x in (one, other))
    p, q = one.log_softmax(1), other.log_softmax(1)
    return F.kl_div(p, q, reduction="batchmean", log_target=True) + F.kl_div(
        q, p, reduction="batchmean", log_target=True
    )


@pytest.mark.parametrize("task", OBJECTIVES)
def test_divergences_by_torch_s_own(task):
    torch.manual_seed(2)
    one, other = torch.randn(2, 4, OBJECTIVES[task].outputs) * 3
    found = OBJECTIVES[task].divergence(one, other)
    torch.testing.assert_close(found, divergence(task, one, other))
    torch.testing.assert_close(found, OBJECTIVES[task].divergence(other, one))
    assert OBJECTIVES[task].divergence(one, one).item() == pytest.approx(0, abs=1e-6)


def test_cosine_values_diverge_in_the_label_s_units():
    of = make_objective("scaled_cosine", "regression", "", 0, 0, 5)
    found = of.divergence(torch.tensor([[0.2]]), torch.tensor([[0.6]]))
    assert found.item() == pytest.approx((2.5 * 0.4) ** 2)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_smart_by_its_formula(network, batches, steps):
    values = {"weight": 0.3, "step_size": 0.7, "noise": 0.01, "epsilon": 1e-3}
    raw = network(texts(batches))
    torch.manual_seed(9)
    regularizer = make(network, name="smart", steps=steps, **values)
    found = regularizer.penalties(network, batches, raw, loss_in(batches))
    torch.manual_seed(9)
    starts = {task: torch.randn(6, WIDTH) * 0.01 for task in OBJECTIVES}
    for task in OBJECTIVES:
        noise = starts[task]
        for _ in range(steps):
            noise = noise.clone().requires_grad_()
            away = network.of(task, batches[task].text.tokens, noise)
            (slope,) = torch.autograd.grad(divergence(task, away, raw[task].detach()), noise)
            step = noise.detach() + 0.7 * slope
            noise = step / (step.abs().max(dim=1, keepdim=True).values + 1e-3)
        wanted = 0.3 * divergence(task, network.of(task, batches[task].text.tokens, noise),
                                  raw[task])  # fmt: skip
        torch.testing.assert_close(found[task], wanted)


def test_smart_finds_a_worse_disturbance_than_chance(network, batches):
    raw = network(texts(batches))
    torch.manual_seed(4)
    found = make(network, name="smart", weight=1.0, step_size=1e4, noise=1e-3).penalties(
        network, batches, raw, loss_in(batches)
    )
    for task, batch in batches.items():
        # Of the same size in every token: its largest number is 1.
        chance = torch.randn(200, 6, WIDTH)
        chance = chance / chance.abs().amax(dim=2, keepdim=True)
        moved = [
            divergence(task, network.of(task, batch.text.tokens, n), raw[task]) for n in chance
        ]
        assert found[task] > torch.stack(moved).median()


def test_smart_leaves_no_gradient_behind_on_its_way(network, batches):
    raw = network(texts(batches))
    regularizer = make(network, name="smart", weight=0.1)
    penalties = regularizer.penalties(network, batches, raw, loss_in(batches))
    assert all(weight.grad is None for weight in network.parameters())
    torch.stack(list(penalties.values())).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


def test_the_follower_of_the_proximal_term(network, batches):
    regularizer = make(network, name="smart", weight=0.0, proximal=2.0, decay=0.75)
    start = [weight.clone() for weight in network.parameters()]
    raw = network(texts(batches))
    at_start = regularizer.penalties(network, batches, raw, loss_in(batches))
    assert all(p.item() == pytest.approx(0) for p in at_start.values())
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn_like(weight))
    regularizer.observe(network)
    for old, weight, follower in zip(
        start, network.parameters(), regularizer.follower.parameters(), strict=True
    ):
        torch.testing.assert_close(follower, 0.75 * old + 0.25 * weight.detach())
        assert not follower.requires_grad
    raw = network(texts(batches))
    found = regularizer.penalties(network, batches, raw, loss_in(batches))
    for task, before in regularizer.follower(texts(batches)).items():
        torch.testing.assert_close(found[task], 2.0 * divergence(task, raw[task], before))
    again = make(network, name="smart", proximal=2.0)
    again.load_state_dict(regularizer.state_dict())
    for one, other in zip(again.parameters(), regularizer.parameters(), strict=True):
        assert torch.equal(one, other)


def test_r_drop_by_its_formula(network, batches):
    raw = network(texts(batches))

    def second(given):
        return network({task: replace(text, noise=torch.full((6, WIDTH), 0.3))
                        for task, text in given.items()})  # fmt: skip

    regularizer = make(network, name="r_drop", weight=4.0)
    found = regularizer.penalties(second, batches, raw, loss_in(batches))
    for task, batch in batches.items():
        first_loss = OBJECTIVES[task].loss(raw[task], batch.labels)
        other = second(texts(batches))[task]
        whole = (first_loss + OBJECTIVES[task].loss(other, batch.labels)) / 2
        whole = whole + 4.0 / 2 * divergence(task, raw[task], other)
        torch.testing.assert_close(first_loss + found[task], whole)


def test_none_adds_nothing(network, batches):
    regularizer = make(network)
    raw = network(texts(batches))
    assert regularizer.penalties(network, batches, raw, loss_in(batches)) == {}
    assert regularizer.state_dict() == {}


@pytest.mark.parametrize(
    ("values", "where", "found"),
    [
        ({"name": "smrt"}, "regularizer.name", "smrt (nearest: smart)"),
        ({"weight": -0.1}, "regularizer.weight", "-0.1"),
        ({"steps": -1}, "regularizer.steps", "-1"),
        ({"epsilon": 0.0}, "regularizer.epsilon", "0"),
        ({"noise": float("nan")}, "regularizer.noise", "nan"),
        ({"decay": 1.5}, "regularizer.decay", "1.5"),
    ],
)
def test_bad_settings_are_named(values, where, found):
    with pytest.raises(UserError) as caught:
        check_regularizer(RegularizerConfig(**values))
    assert caught.value.where == where and found in str(caught.value)
