"""Embeddings of tags: nothing at the start, then a part of the sum, owned as the plan says."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from census import built, check_cost
from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.encoder.checkpoint import load_tower
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.network import Network
from mtl_sharing.model.planned_encoder import PlannedEncoder
from mtl_sharing.model.specs import TaskHead
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.score.parameters import plan_cost
from support import architecture_of

POS, ENTITIES = 7, 5
HEADS = (TaskHead("a", 3), TaskHead("b", 1, ("u", "v")))
FAMILIES = {
    "bert": {},
    "roberta": {"position_offset": 2, "token_types": 1},
    "electra": {"embedding": 13, "pooler": False},
    "distilbert": {"token_types": 0, "pooler": False},
}
KINDS = [(POS, ENTITIES), (POS, 0), (0, ENTITIES)]


@pytest.fixture
def tagged_batch(make_batch):
    def make(lengths=(5, 3, 2, 6), seed=3):
        text, random = make_batch(lengths, seed), torch.Generator().manual_seed(seed)
        columns = [torch.randint(n, (sum(lengths),), generator=random) for n in (POS, ENTITIES)]
        return replace(text, tags=torch.stack(columns, dim=1))

    return make


@pytest.fixture
def make_encoder(make_shape, make_tower):
    """An encoder of two tasks in double precision, with its tower; tags' numbers are not 0."""

    def make(plan="S3", rows=(POS, ENTITIES), **changes):
        shape = make_shape(pos_tags=rows[0], entity_types=rows[1], **changes)
        tower = make_tower(shape)
        plan = SharingPlan.parse(plan, ("a", "b"), shape.layers)
        return PlannedEncoder(shape, plan, tower).double().eval(), tower["embeddings"]

    return make


def by_hand(weights, text, shape):
    """The embeddings of each token, added up as BERT's are and with the tags'."""
    positions = torch.cat([torch.arange(n) for n in text.lengths]) + shape.position_offset
    numbers = {"word": text.tokens, "position": positions, "pos_tag": text.tags[:, 0],
               "entity_type": text.tags[:, 1]}  # fmt: skip
    if shape.token_types:
        numbers["token_type"] = text.token_types.clamp(max=shape.token_types - 1)
    rows = sum(weights[f"{name}.weight"][n] for name, n in numbers.items()
               if f"{name}.weight" in weights)  # fmt: skip
    rows = F.layer_norm(
        rows, (shape.embedding,), weights["norm.weight"], weights["norm.bias"], shape.epsilon
    )
    if shape.embedding != shape.hidden:
        rows = F.linear(rows, weights["projection.weight"], weights["projection.bias"])
    return rows


@pytest.mark.parametrize("rows", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_sum_is_that_of_a_hand(make_encoder, tagged_batch, family, rows):
    encoder, weights = make_encoder(rows=rows, family=family, **FAMILIES[family])
    text, (stage,) = tagged_batch(), encoder.embeddings.copies
    ids = torch.cat([torch.stack([text.tokens, text.token_types], 1), text.tags], 1)
    seen = []
    stage.register_forward_hook(lambda _, given, out: seen.append((given[0], out)))
    encoder({"a": text})
    ((given, found),) = seen
    assert torch.equal(given, ids)
    torch.testing.assert_close(found, by_hand(weights, text, encoder.shape))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rows", KINDS)
def test_at_the_start_tags_change_nothing(make_shape, tagged_batch, family, rows):
    plain = make_shape(family=family, **FAMILIES[family])
    shape = replace(plain, pos_tags=rows[0], entity_types=rows[1])
    text, outputs = tagged_batch(), []
    for each in (plain, shape):
        network = Network(architecture_of(each, "S1-I2", HEADS), random_tower(each, 11), 11).eval()
        outputs.append(network({"a": text, "b": tagged_batch(seed=4)}))
    assert all(torch.equal(outputs[0][task], outputs[1][task]) for task in ("a", "b"))


def test_every_copy_has_its_own(make_encoder, tagged_batch):
    text = tagged_batch()
    for plan, alike in (("S3", True), ("EI-S3", False)):
        encoder, _ = make_encoder(plan)
        with torch.no_grad():
            encoder.embeddings.copies[-1].pos_tag.weight.add_(1 + torch.arange(21.0))
        found = encoder.hidden({"a": text, "b": replace(text)})
        assert torch.equal(found["a"], found["b"]) == alike


def test_text_without_tags_reads_those_of_no_word(make_encoder, tagged_batch):
    encoder, _ = make_encoder()
    text, other = tagged_batch(), tagged_batch(seed=4)
    zeros = replace(text, tags=torch.zeros_like(text.tags))
    bare = encoder.hidden({"a": replace(text, tags=None), "b": other})
    known = encoder.hidden({"a": zeros, "b": other})
    assert torch.equal(bare["a"], known["a"]) and torch.equal(bare["b"], known["b"])
    assert not torch.allclose(encoder.hidden({"a": text})["a"], known["a"])


def test_tags_that_nobody_reads_change_nothing(make_encoder, tagged_batch):
    encoder, _ = make_encoder(rows=(0, 0))
    text = tagged_batch()
    found = encoder.hidden({"a": text}), encoder.hidden({"a": replace(text, tags=None)})
    assert torch.equal(found[0]["a"], found[1]["a"])


def test_tags_learn_where_the_text_has_them(make_encoder, tagged_batch):
    encoder, _ = make_encoder()
    text = tagged_batch()
    text = replace(text, tags=text.tags.clamp(max=3))
    encoder.hidden({"a": text})["a"].pow(2).sum().backward()
    (stage,) = encoder.embeddings.copies
    for table, column in ((stage.pos_tag, 0), (stage.entity_type, 1)):
        read = table.weight.grad.any(dim=1).nonzero().flatten()
        assert read.tolist() == text.tags[:, column].unique().tolist()
        assert len(read) < len(table.weight)


# Every plan, family and kind of tags; slow are the other combinations.
COUNTED = [
    pytest.param(plan, family, rows, marks=[pytest.mark.slow] * ((i + j) % len(KINDS) != k))
    for i, plan in enumerate(["S3", "I3", "F1-S2", "EI-S3", "EF-S2-I1"])
    for j, family in enumerate(FAMILIES)
    for k, rows in enumerate(KINDS)
]


@pytest.mark.parametrize(("plan", "family", "rows"), COUNTED)
def test_they_are_counted(make_shape, plan, family, rows):
    plain = make_shape(family=family, **FAMILIES[family])
    shape = replace(plain, pos_tags=rows[0], entity_types=rows[1])
    architecture = architecture_of(shape, plan, HEADS, depth=1)
    check_cost(plan_cost(architecture), built(architecture))
    more = plan_cost(architecture).total - plan_cost(replace(architecture, encoder=plain)).total
    copies = len(SharingPlan.parse(plan, ("a", "b"), 3).embeddings.owners(("a", "b")))
    assert more == copies * sum(rows) * shape.embedding


def test_a_checkpoint_has_none_so_they_start_at_0(make_shape, tmp_path):
    from transformers import BertConfig, BertModel

    plain = make_shape()
    config = BertConfig(
        vocab_size=plain.vocabulary, hidden_size=plain.hidden, num_hidden_layers=plain.layers,
        num_attention_heads=plain.heads, intermediate_size=plain.intermediate,
        max_position_embeddings=plain.positions,
    )  # fmt: skip
    path = tmp_path / "model.safetensors"
    save_file({k: v.contiguous() for k, v in BertModel(config).state_dict().items()}, path)
    before = load_tower(path, plain, 0)
    loaded = load_tower(path, replace(plain, pos_tags=POS, entity_types=ENTITIES), 0)
    assert before.zeros == ()
    assert loaded.zeros == ("embeddings.pos_tag.weight", "embeddings.entity_type.weight")
    own = loaded.tower["embeddings"]
    assert own["pos_tag.weight"].shape == (POS, 21) and not own["pos_tag.weight"].any()
    assert own["entity_type.weight"].shape == (ENTITIES, 21)
    assert not own["entity_type.weight"].any()
    for stage, state in before.tower.items():
        assert all(torch.equal(loaded.tower[stage][name], value) for name, value in state.items())


def test_a_batch_moves_with_its_tags():
    text = PackedBatch(torch.arange(3), torch.zeros(3, dtype=torch.long), (3,),
                       tags=torch.ones(3, 2, dtype=torch.long))  # fmt: skip
    assert text.to(torch.device("meta")).tags.is_meta
