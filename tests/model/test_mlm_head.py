"""The masked-LM head: which table decodes which task, and what trains."""

from dataclasses import replace

import pytest
import torch

from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.network import Network
from mtl_sharing.model.pretraining import MaskedLanguageModel, random_mlm_head
from mtl_sharing.model.specs import TaskHead
from mtl_sharing.objectives.pretraining import MaskedTokens
from support import architecture_of, perturb

TASKS = ("a", "b", "c")
LENGTHS, PICKED = (5, 1, 7, 2, 6), [1, 3, 5, 9, 12, 20]
OUTPUTS = {"a": 5, "b": 1, "c": 1}


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


def heads(tasks, **settings):
    return [TaskHead(task, OUTPUTS[task], **settings) for task in tasks]


def text_of(seed, lengths=LENGTHS, picked=PICKED):
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(7, 53, (sum(lengths),), generator=random)
    return PackedBatch(tokens, torch.zeros_like(tokens), lengths, picked=torch.tensor(picked))


@pytest.fixture
def build(make_shape, make_tower):
    """A model in float64 without dropout whose every copy's weights are its own."""

    def make(plan, tasks=TASKS, **settings):
        shape = make_shape(dropout=0.0, attention_dropout=0.0)
        architecture = architecture_of(shape, plan, heads(tasks, **settings))
        model = MaskedLanguageModel(Network(architecture, make_tower(shape)), None, seed=2)
        return perturb(model.double())

    return make


def logits(model, texts):
    with torch.no_grad():
        return model(texts)


@pytest.mark.parametrize("plan", ["I3", "S3", "G3:a+b", "EI-S3", "F1-S1-I1", "T3", "S1-I2"])
def test_each_task_is_decoded_by_its_own_table(build, plan):
    model = build(plan)
    texts = {task: text_of(seed) for seed, task in enumerate(TASKS)}
    found = logits(model, texts)
    encoder = model.network.encoder
    for task in TASKS:
        (copy,) = [c for c, o in zip(encoder.embeddings.copies, encoder.embeddings.owners,
                                     strict=True) if task in o]  # fmt: skip
        states = encoder.hidden({task: texts[task]})[task][texts[task].picked]
        (head,) = [h for h, o in zip(model.heads, model.components, strict=True) if task in o]
        wanted = head(states, copy.word.weight).detach()
        close(found[task], wanted.float(), 1e-4)
    assert len(model.tables()) == len(encoder.embeddings.owners)


def test_the_table_of_another_task_has_no_say(build):
    model = build("I3")
    texts = {task: text_of(4) for task in TASKS}
    before = logits(model, texts)
    with torch.no_grad():
        model.tables()[1].mul_(2)  # of task b
    after = logits(model, texts)
    assert [torch.equal(before[t], after[t]) for t in TASKS] == [True, False, True]


def test_tasks_that_read_the_same_text_get_what_each_gets_alone(build):
    model, text = build("S1-I2"), text_of(6)
    together = logits(model, dict.fromkeys(TASKS, text))
    for task in TASKS:
        close(together[task], logits(model, {task: text})[task], 1e-4)


def test_a_task_is_read_at_its_heads_layer(build, make_shape, make_tower):
    model, text = build("S3", layer=1), text_of(6)
    shape = make_shape(layers=2, dropout=0.0, attention_dropout=0.0)
    lower = Network(architecture_of(shape, "S2", heads(TASKS)), make_tower(shape)).double()
    own = model.network.encoder.state_dict()
    kept = {n: w for n, w in own.items() if n in lower.encoder.state_dict()}
    lower.encoder.load_state_dict(kept)
    wanted = MaskedLanguageModel(lower, model.heads[0].state_dict()).double()
    assert torch.equal(logits(model, {"b": text})["b"], logits(wanted, {"b": text})["b"])


def test_picked_tokens_decide_alone_and_may_be_none(build):
    model, text = build("S3"), text_of(6)
    every = logits(model, {"a": replace(text, picked=torch.arange(sum(LENGTHS)))})["a"]
    assert torch.equal(logits(model, {"a": text})["a"], every[text.picked])
    nothing = replace(text, picked=torch.zeros(0, dtype=torch.long))
    assert logits(model, {"a": nothing})["a"].shape == (0, 53)
    with pytest.raises(ValueError, match="a text of a without picked tokens"):
        model({"a": replace(text, picked=None)})


def test_what_the_plan_freezes_stays_frozen(build):
    model = build("F1-S1-I1").train()
    frozen = model.network.encoder.layers[0]
    assert (frozen.training, model.network.encoder.layers[1].training) == (False, True)
    model(dict.fromkeys(TASKS, text_of(1)))["b"].sum().backward()
    assert model.tables()[0].grad is None
    assert all(w.grad is not None for w in model.network.encoder.layers[1].parameters())
    assert not model.eval().network.encoder.layers[1].training


def test_encoder_and_head_are_trained_and_nothing_else(build):
    model = build("S3", pooling="pooler")
    model(dict.fromkeys(TASKS, text_of(1)))["a"].sum().backward()
    reached = {name for name, weight in model.named_parameters() if weight.grad is not None}
    stages = ("network.encoder.embeddings.", "network.encoder.layers.", "heads.")
    assert reached == {name for name, _ in model.named_parameters() if name.startswith(stages)}


def test_training_learns_hidden_tokens(make_shape, make_tower):
    """Each token is hidden beside its only neighbour, which says what it was."""
    shape = make_shape(dropout=0.0, attention_dropout=0.0)
    network = Network(architecture_of(shape, "S3", heads("a")), make_tower(shape))
    model = MaskedLanguageModel(network.double(), None, seed=1).double().train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    neighbours = torch.arange(7, 17)
    tokens = torch.stack([torch.full_like(neighbours, 4), neighbours], dim=1).flatten()
    places = torch.arange(0, 20, 2)
    text = PackedBatch(tokens, torch.zeros_like(tokens), (2,) * 10, picked=places)
    labels, objective = neighbours + 20, MaskedTokens(53)
    for _ in range(60):
        loss = objective.loss(model({"a": text})["a"], labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert objective.predict(model({"a": text})["a"]).tolist() == labels.tolist()


def test_a_fresh_head_depends_on_the_seed_alone(make_shape):
    shape = make_shape(embedding=13)
    state, again, other = (random_mlm_head(shape, seed) for seed in (3, 3, 4))
    assert all(torch.equal(state[name], again[name]) for name in state)
    assert not torch.equal(state["dense.weight"], other["dense.weight"])
    assert state["dense.weight"].shape == (13, 21)
    assert abs(float(state["dense.weight"].std()) - 0.02) < 0.004
    assert {name: sorted(set(value.tolist())) for name, value in state.items() if value.dim() == 1
            } == {"dense.bias": [0], "norm.weight": [1], "norm.bias": [0], "bias": [0]}  # fmt: skip


def test_the_weights_handed_in_stay_as_they_are(make_shape, make_tower):
    shape = make_shape()
    state = random_mlm_head(shape, 3)
    network = Network(architecture_of(shape, "S3", heads("a")), make_tower(shape))
    model = MaskedLanguageModel(network, state)
    with torch.no_grad():
        model.heads[0].bias.add_(1)
    assert state["bias"].abs().max() == 0
    assert all(weight.requires_grad for weight in model.heads.parameters())


def test_a_batch_moves_with_its_picked_tokens():
    text = replace(text_of(1), noise=torch.ones(sum(LENGTHS), 21))
    moved = text.to(torch.device("meta"))
    assert {one.device.type for one in (moved.tokens, moved.picked, moved.noise)} == {"meta"}
    assert text_of(1).to(torch.device("cpu")).picked.tolist() == PICKED
