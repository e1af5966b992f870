"""Embeddings of pairs against the states of each text run alone."""

import pytest
import torch

from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.network import Network
from mtl_sharing.model.pretraining import PairEmbeddings
from mtl_sharing.model.specs import TaskHead
from mtl_sharing.objectives.pretraining import RankedPairs
from support import architecture_of, perturb

TASKS = ("a", "b", "c")
FIRST, SECOND = (5, 1, 7), (2, 6, 3)


@pytest.fixture
def build(make_shape, make_tower):
    def make(plan, tasks=TASKS, **settings):
        shape = make_shape(dropout=0.0, attention_dropout=0.0)
        heads = [TaskHead(task, 1, **settings) for task in tasks]
        network = Network(architecture_of(shape, plan, heads), make_tower(shape))
        return PairEmbeddings(perturb(network.double()))

    return make


def alone(model, task, text):
    """Each sequence's vector, of the sequence run by itself, (B, H)."""
    vectors = []
    parts = zip(text.tokens.split(text.lengths), text.token_types.split(text.lengths), strict=True)
    for tokens, types in parts:
        states = model.network.encoder.hidden({task: PackedBatch(tokens, types, (len(tokens),))})
        vectors.append(states[task].mean(dim=0))
    return torch.stack(vectors)


@pytest.mark.parametrize("plan", ["S3", "I3", "S1-I2", "F1-G2:a+b"])
@pytest.mark.parametrize("layer", [None, 1])
def test_first_and_second_text_stand_side_by_side(build, make_batch, plan, layer):
    model = build(plan, layer=layer)
    text = make_batch(FIRST + SECOND)
    with torch.no_grad():
        wanted = alone(model, "b", text)
        found = model({"b": text})["b"]
    assert (found.shape, found.dtype) == ((3, 42), torch.float32)
    torch.testing.assert_close(found, torch.cat([wanted[:3], wanted[3:]], dim=1).float())


def test_several_tasks_each_get_their_own(build, make_batch):
    model = build("S1-I2")
    texts = {"a": make_batch(FIRST + SECOND, 1), "c": make_batch((4, 2), 2)}
    with torch.no_grad():
        found = model(texts)
        for task, text in texts.items():
            torch.testing.assert_close(found[task], model({task: text})[task])
    assert found["c"].shape == (1, 42)


def test_ranking_trains_the_encoder_alone(build, make_batch):
    model = build("F1-S1-I1").train()
    RankedPairs(21).loss(model({"b": make_batch(FIRST + SECOND)})["b"], torch.arange(3)).backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None}
    wanted = ("network.encoder.layers.1.copies.0.", "network.encoder.layers.2.copies.1.")
    trained = {name for name, _ in model.named_parameters() if name.startswith(wanted)}
    assert reached == trained
    assert not model.network.encoder.layers[0].training
    assert model.network.encoder.layers[1].training


def test_training_brings_pairs_together(build):
    """Pairs that start with words of their own become each other's nearest."""
    model = build("S3", ("a",)).train()
    tokens = torch.arange(7, 31)
    text = PackedBatch(tokens, torch.zeros_like(tokens), (2,) * 12)
    objective, labels = RankedPairs(21, 20.0, normalized=True), torch.arange(6)
    optimizer = torch.optim.AdamW(model.network.encoder.parameters(), lr=1e-3)

    def ranks():
        with torch.no_grad():
            return objective.scores(model({"a": text})["a"]).argmax(dim=1).tolist()

    assert ranks() != labels.tolist()
    for _ in range(40):
        loss = objective.loss(model({"a": text})["a"], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert ranks() == labels.tolist()
