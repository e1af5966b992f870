"""The objectives of pretraining against numbers worked out by hand and against torch."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtl_sharing.errors import UserError
from mtl_sharing.objectives.pretraining import MaskedTokens, RankedPairs, ranked_pairs

close = torch.testing.assert_close
# Two pairs in two dimensions: scores of first texts (rows) with second texts.
FIRST, SECOND = [[1.0, 2.0], [0.0, 3.0]], [[2.0, 1.0], [-1.0, 1.0]]
SCORES = [[4.0, 1.0], [3.0, 3.0]]
RAW = torch.tensor([a + b for a, b in zip(FIRST, SECOND, strict=True)])
APART = torch.tensor([7, 4])


def random_pairs(count, width=5, seed=3):
    return torch.randn(count, 2 * width, generator=torch.Generator().manual_seed(seed)).double()


def test_hidden_tokens_have_cross_entropy_over_the_vocabulary():
    raw = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, math.log(3), math.log(6)]])
    found = MaskedTokens(3)
    assert float(found.loss(raw, torch.tensor([0, 1]))) == pytest.approx(
        -(math.log(2 / 4) + math.log(3 / 10)) / 2
    )
    assert found.predict(raw).tolist() == [0, 2]
    assert float(found.divergence(raw, raw)) == 0


def test_nothing_hidden_costs_nothing():
    raw = torch.zeros(0, 3, requires_grad=True)
    loss = MaskedTokens(3).loss(raw, torch.zeros(0, dtype=torch.long))
    loss.backward()
    assert loss.item() == 0


def test_ranking_by_hand():
    found = RankedPairs(2)
    close(found.scores(RAW), torch.tensor(SCORES))
    forth = [math.log(1 + math.exp(1 - 4)), math.log(2)]
    assert float(found.loss(RAW, APART)) == pytest.approx(sum(forth) / 2)
    assert found.predict(RAW).tolist() == [4.0, 3.0]
    assert found.outputs == 4


@pytest.mark.parametrize("scale", [1.0, 20.0])
@pytest.mark.parametrize("normalized", [False, True])
def test_ranking_is_torchs_cross_entropy_of_the_scores(scale, normalized):
    raw = random_pairs(7)
    first, second = raw[:, :5], raw[:, 5:]
    scores = first @ second.T
    if normalized:
        scores = scores / first.norm(dim=1)[:, None] / second.norm(dim=1)
    own = torch.arange(7)
    wanted = F.cross_entropy(scale * scores, own)
    found = RankedPairs(5, scale, normalized)
    close(found.loss(raw, own), wanted)
    close(found.predict(raw), scale * scores.diagonal())


def test_texts_of_one_group_are_no_negatives():
    raw, labels = random_pairs(5).requires_grad_(), torch.tensor([3, 8, 3, 5, 3])
    found = RankedPairs(5)
    scores, terms = found.scores(raw), []
    for i in range(5):
        kept = [j for j in range(5) if j == i or labels[j] != labels[i]]
        terms.append(scores[i, kept].logsumexp(0) - scores[i, i])
    wanted = torch.stack(terms).mean()
    loss = found.loss(raw, labels)
    close(loss, wanted)
    slopes = [torch.autograd.grad(one, raw, retain_graph=True)[0] for one in (loss, wanted)]
    close(*slopes)
    assert loss < found.loss(raw, torch.arange(5))


def test_a_duplicate_of_a_pair_changes_no_other_term():
    raw = random_pairs(4)
    twice, labels = torch.cat([raw, raw[:1]]), torch.tensor([0, 1, 2, 3, 0])
    found = RankedPairs(5)
    masked = found.scores(twice).masked_fill((labels[:, None] == labels) & ~torch.eye(5).bool(),
                                             float("-inf"))  # fmt: skip
    each = F.cross_entropy(masked, torch.arange(5), reduction="none")
    close(found.loss(twice, labels), each.mean())
    alone = F.cross_entropy(found.scores(raw), torch.arange(4), reduction="none")
    close(each[[0, 4]], alone[[0, 0]])


def test_a_lone_pair_has_nothing_to_be_told_from():
    raw = random_pairs(1).requires_grad_()
    loss = RankedPairs(5).loss(raw, torch.tensor([2]))
    loss.backward()
    assert loss.item() == 0
    assert raw.grad.abs().max() == 0


def test_divergence_is_that_of_the_answers():
    one, other = random_pairs(4, seed=1), random_pairs(4, seed=2)
    found = RankedPairs(5, scale=0.5)
    p, q = found.scores(one).softmax(dim=1), found.scores(other).softmax(dim=1)
    wanted = ((p * (p / q).log()).sum(dim=1) + (q * (q / p).log()).sum(dim=1)).mean()
    close(found.divergence(one, other), wanted)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (("dot", None), RankedPairs(5)),
        (("cosine", None), RankedPairs(5, 20.0, normalized=True)),
        (("dot", 3.0), RankedPairs(5, 3.0)),
    ],
)
def test_the_config_is_read(settings, expected):
    assert ranked_pairs("phases.first", 5, *settings) == expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("cosin", None), r"phases.first.similarity: found cosin \(nearest: cosine\)"),
        (("dot", 0.0), "phases.first.scale: found 0.0; allowed: a finite number above 0"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(UserError, match=message):
        ranked_pairs("phases.first", 5, *settings)
