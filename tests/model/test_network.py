"""Heads over the planned encoder, against loops written out by hand."""

from dataclasses import replace

import pytest
import torch

from mtl_sharing.batch import PackedBatch
from mtl_sharing.errors import UserError
from mtl_sharing.model.heads import check_features, cosine, pair_features
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import HeadShape, TaskHead
from support import architecture_of, perturb

TASKS = ("a", "b", "c")
LENGTHS = (5, 1, 11, 5, 2, 3)
SINGLE = tuple(TaskHead(name, outputs) for name, outputs in zip(TASKS, (5, 1, 2), strict=True))
BY_HAND = {"relu": lambda x: x.clamp(min=0), "tanh": torch.tanh}


@pytest.fixture
def build(make_shape, make_tower):
    """A network in float64 and evaluation mode whose every weight is its own."""

    def make(plan, heads=SINGLE, depth=0, pooling="mean", activation="relu"):
        shape = make_shape()
        architecture = architecture_of(
            shape, plan, heads, depth, activation=activation, pooling=pooling
        )
        network = Network(architecture, make_tower(shape), seed=1).double().eval()
        return perturb(network)

    return make


def copy_of(stage, task):
    (found,) = [c for o, c in zip(stage.owners, stage.copies, strict=True) if task in o]
    return found


def pooled_by_hand(network, task, batch):
    """One vector for each sequence, from the encoder's states."""
    states = network.encoder.hidden({task: batch})[task].split(batch.lengths)
    pooling = network.architecture.head_of(task).pooling
    if pooling == "mean":
        return torch.stack([rows.sum(dim=0) / len(rows) for rows in states])
    first = torch.stack([rows[0] for rows in states])
    if pooling == "cls":
        return first
    dense = copy_of(network.encoder.pooler, task).dense
    return torch.tanh(first @ dense.weight.T + dense.bias)


def head_by_hand(network, number, vectors, activation="relu"):
    for stage in network.heads.hidden:
        dense = copy_of(stage, network.architecture.heads[number].name).dense
        vectors = BY_HAND[activation](vectors @ dense.weight.T + dense.bias)
    output = network.heads.outputs[number]
    return vectors @ output.weight.T + output.bias


def close(found, wanted):
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, wanted.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("pooling", ["cls", "mean", "pooler"])
@pytest.mark.parametrize("plan", ["S3", "S2-I1", "I1-G2:a+c", "S3-PI"])
def test_linear_heads_read_the_pooled_text(build, make_batch, plan, pooling):
    network = build(plan, pooling=pooling)
    batches = {task: make_batch(LENGTHS[n:], n) for n, task in enumerate(TASKS)}
    found = network(batches)
    assert list(found) == list(TASKS)
    for number, (task, batch) in enumerate(batches.items()):
        vectors = pooled_by_hand(network, task, batch)
        close(found[task], head_by_hand(network, number, vectors))
        assert found[task].shape == (batch.sequences, SINGLE[number].outputs)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
@pytest.mark.parametrize("plan", ["S3", "S3/S-I", "S2-I1/I-S", "S3/G:a+c-G:b+c", "S3/F-S",
                                  "S3/T-I", "S3/I-T", "S1-T2/T-T"])  # fmt: skip
def test_hidden_head_layers_follow_the_plan(build, make_batch, plan, activation):
    network = build(plan, depth=2, activation=activation)
    batches = {task: make_batch(LENGTHS[n:], n) for n, task in enumerate(TASKS)}
    found = network(batches)
    for number, (task, batch) in enumerate(batches.items()):
        vectors = pooled_by_hand(network, task, batch)
        close(found[task], head_by_hand(network, number, vectors, activation))
    denses = [[copy.dense for copy in stage.copies] for stage in network.heads.hidden]
    sizes = [{(d.in_features, d.out_features) for d in stage} for stage in denses]
    assert sizes == [{(21, 13)}, {(13, 13)}]


def test_copies_of_head_layers_are_as_many_as_the_plan_says(build):
    network = build("S2-I1/S-I", depth=2)
    assert [len(stage.copies) for stage in network.heads.hidden] == [1, 3]
    assert [len(stage.copies) for stage in network.encoder.layers] == [1, 1, 3]


def test_features_are_taken_in_the_order_named():
    u, v = torch.tensor([[1.0, -2.0], [3.0, 5.0]]), torch.tensor([[4.0, 6.0], [-1.0, 5.0]])
    both = torch.cat([u, v])
    assert pair_features(both, ["u", "v"]).tolist() == [[1, -2, 4, 6], [3, 5, -1, 5]]
    assert pair_features(both, ["v", "u"]).tolist() == [[4, 6, 1, -2], [-1, 5, 3, 5]]
    assert pair_features(both, ["product"]).tolist() == [[4, -12], [-3, 25]]
    assert pair_features(both, ["absdiff", "v"]).tolist() == [[3, 8, 4, 6], [4, 0, -1, 5]]


def test_cosine_by_hand():
    u, v = torch.tensor([[3.0, 4.0], [1.0, 0.0]]), torch.tensor([[4.0, 3.0], [0.0, -2.0]])
    torch.testing.assert_close(cosine(torch.cat([u, v])), torch.tensor([[24 / 25], [0.0]]))


@pytest.mark.parametrize("features", [("u", "v"), ("absdiff",), ("product", "u", "absdiff")])
@pytest.mark.parametrize("depth", [0, 2])
def test_separate_pairs_are_joined_by_their_features(build, make_batch, features, depth):
    heads = (TaskHead("a", 5), TaskHead("b", 3, features), TaskHead("c", 1, cosine=True))
    network = build("S2-I1", heads, depth=depth)
    batches = {task: make_batch(LENGTHS, n) for n, task in enumerate(TASKS)}
    found = network(batches)
    assert [len(found[task]) for task in TASKS] == [6, 3, 3]
    u, v = pooled_by_hand(network, "b", batches["b"]).split(3)
    by_name = {"u": u, "v": v, "absdiff": abs(u - v), "product": u * v}
    joined = torch.cat([by_name[name] for name in features], dim=1)
    close(found["b"], head_by_hand(network, 1, joined))
    vectors = pooled_by_hand(network, "c", batches["c"])
    for stage in network.heads.hidden:
        dense = copy_of(stage, "c").dense
        vectors = (vectors @ dense.weight.T + dense.bias).clamp(min=0)
    u, v = vectors.split(3)
    wanted = (u * v).sum(dim=1) / (u.norm(dim=1) * v.norm(dim=1))
    close(found["c"], wanted[:, None])


def test_tasks_with_the_same_batch_are_predicted_as_with_equal_ones(build, make_batch):
    heads = (*SINGLE[:2], TaskHead("c", 3, ("u", "v")))
    network = build("S1-I1-S1/I-I", heads, depth=2)
    same = make_batch(LENGTHS)
    found = network(dict.fromkeys(TASKS, same))
    wanted = network({task: make_batch(LENGTHS) for task in TASKS})
    for task in TASKS:
        torch.testing.assert_close(found[task], wanted[task])


MEETING = (
    TaskHead("a", 5),
    TaskHead("b", 1, features=("u", "v", "product")),
    TaskHead("c", 1, cosine=True),
)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
@pytest.mark.parametrize("plan", ["S3", "I3", "S1-I2", "I2-S1", "S1-G1:a+b-G1:b+c", "T3"])
def test_the_texts_of_pairs_may_be_two_batches_that_others_read(build, make_batch, plan, pooling):
    network = build(plan, MEETING, pooling=pooling)
    first, second = make_batch((5, 1, 11)), make_batch((5, 2, 3))
    tokens = torch.cat([first.tokens, second.tokens])
    types = torch.cat([first.token_types, second.token_types])
    both = PackedBatch(tokens, types, first.lengths + second.lengths)
    found = network({"a": (first,), "b": (first, second), "c": (first, second)})
    for task, text in (("a", first), ("b", both), ("c", both)):
        close(found[task], network({task: text})[task])


def test_noise_finds_its_text_among_several(build, make_batch):
    network = build("S3", MEETING)
    first, second = make_batch((5, 1, 11)), make_batch((5, 2, 3))
    wide = network.encoder.shape.hidden
    first = replace(first, noise=torch.randn(17, wide, dtype=torch.float64))
    second = replace(second, noise=torch.randn(10, wide, dtype=torch.float64))
    found = network({"a": first, "b": (first, second)})
    close(found["a"], network({"a": first})["a"])
    close(found["b"], network({"b": (first, second)})["b"])
    assert not torch.allclose(found["a"], network({"a": replace(first, noise=None)})["a"])


def test_some_of_the_tasks_may_be_run(build, make_batch):
    network = build("S1-I2/S-I", depth=2)
    text = make_batch(LENGTHS)
    found = network({"c": text})
    assert list(found) == ["c"]
    torch.testing.assert_close(found["c"], network({"a": text, "c": text})["c"])


@pytest.mark.parametrize("letter", ["S", "T"])
def test_unequal_widths_cannot_share_or_tie_a_first_head_layer(build, letter):
    heads = (TaskHead("a", 5), TaskHead("b", 3, ("u", "v")))
    match = rf"{letter} at head\.0 over .*'a': 21, 'b': 42.*equal widths"
    with pytest.raises(UserError, match=match):
        build(f"S3/{letter}-I", heads, depth=2)
    network = build(f"S3/I-{letter}", heads, depth=2)
    assert [copy.dense.in_features for copy in network.heads.hidden[0].copies] == [21, 42]


def test_unequal_widths_in_separate_groups_are_fine(build):
    heads = (TaskHead("a", 5), TaskHead("b", 3, ("u", "v")), TaskHead("c", 1))
    network = build("S3/G:a+c-S", heads, depth=2)
    assert [copy.dense.in_features for copy in network.heads.hidden[0].copies] == [21, 42]
    with pytest.raises(UserError, match=r"G:a\+b at head\.0 over .*'a': 21, 'b': 42"):
        build("S3/G:a+b-S", heads, depth=2)


@pytest.mark.parametrize("plan", ["T3/I-I", "S3/T-I", "S3/I-T", "S1-I2-PT/S-S", "ET-I3/I-I"])
def test_a_tied_stage_predicts_as_an_individual_one(build, make_batch, plan):
    tied = build(plan, depth=2, pooling="pooler")
    individual = build(plan.replace("T", "I"), depth=2, pooling="pooler")
    individual.load_state_dict(tied.state_dict())
    batches = {task: make_batch(LENGTHS[n:], n) for n, task in enumerate(TASKS)}
    found, wanted = tied(batches), individual(batches)
    for task in TASKS:
        assert torch.equal(found[task], wanted[task])


@pytest.mark.parametrize(
    ("plan", "names"),
    [
        ("S2-T1-PI", ["encoder.layers.2"]),
        ("S3-PT", ["encoder.pooler"]),
        ("F1-T1-I1/T-S", ["encoder.layers.1", "heads.hidden.0"]),
        ("S3/I-T", ["heads.hidden.1"]),
        ("ET-S3", ["encoder.embeddings"]),
        ("S2-I1/S-I", []),
    ],
)
def test_tied_weights_are_listed_for_each_task_in_one_order(build, plan, names):
    network = build(plan, depth=2, pooling="pooler")
    owned = {id(weight): name for name, weight in network.named_parameters()}
    found = [[owned[id(weight)] for weight in mine] for mine in network.tied()]
    wanted = [[name for name in owned.values() if name.startswith(tuple(f"{stage}.copies.{number}."
               for stage in names))] for number in range(3)]  # fmt: skip
    assert found == (wanted if names else [])
    assert all(wanted) is bool(names)


def test_dropout_of_heads_is_off_only_in_evaluation(build, make_batch):
    network = build("F3", depth=1)
    batches = {"a": make_batch(LENGTHS)}
    assert torch.equal(network(batches)["a"], network(batches)["a"])
    network.train()
    assert not torch.equal(network(batches)["a"], network(batches)["a"])


@pytest.mark.parametrize(("plan", "refused"), [("T3", "layer.1"), ("S2-T1", "layer.2")])
def test_a_tied_stage_that_not_every_task_reads_is_refused(make_shape, plan, refused):
    with pytest.raises(UserError, match=rf"T at {refused}, which not every task reads"):
        architecture_of(make_shape(), plan, SINGLE, head_layers={"b": 0})
    architecture_of(make_shape(), "T1-S2", SINGLE, head_layers={"b": 0})


def test_the_output_bias_starts_where_the_objective_says(make_shape, make_tower):
    shape, heads = make_shape(), (TaskHead("a", 1, bias=2.5), TaskHead("b", 3))
    network = Network(architecture_of(shape, "S3", heads, dropout=0.0), make_tower(shape))
    biases = [output.bias.tolist() for output in network.heads.outputs]
    assert biases == [[2.5], [0.0, 0.0, 0.0]]


def test_a_pooler_that_the_encoder_lacks_is_refused(make_shape):
    shape = make_shape(pooler=False)
    with pytest.raises(UserError, match=r"head\.pooling.*bert lacks; allowed: cls, mean"):
        architecture_of(shape, "S3", SINGLE[:1], pooling="pooler")


def test_every_head_is_pooled_in_its_own_way(build, make_batch):
    kinds = ("mean", "pooler", "cls")
    heads = [replace(head, pooling=kind) for head, kind in zip(SINGLE, kinds, strict=True)]
    network = build("S2-I1-PG:a+b", heads, pooling=None)
    batches = {task: make_batch(LENGTHS[n:], n) for n, task in enumerate(TASKS)}
    found = network(batches)
    assert list(found) == list(TASKS)
    for number, (task, batch) in enumerate(batches.items()):
        close(found[task], head_by_hand(network, number, pooled_by_hand(network, task, batch)))


def test_a_network_without_a_head_that_reads_it_has_no_pooler(build):
    assert build("S3", pooling="cls").encoder.pooler is None
    assert build("S3", pooling="pooler").encoder.pooler is not None


@pytest.mark.parametrize(
    ("depth", "width", "activation", "dropout", "field"),
    [
        (-1, 13, "relu", 0.1, "head.depth"), (1, 0, "relu", 0.1, "head.width"),
        (1, 13, "rellu", 0.1, "head.activation"), (1, 13, "relu", 1.0, "head.dropout"),
    ],
)  # fmt: skip
def test_impossible_head_shapes_are_refused(depth, width, activation, dropout, field):
    with pytest.raises(UserError) as caught:
        HeadShape(depth, width, activation, dropout)
    assert field in caught.value.where


@pytest.mark.parametrize("features", [[], ["u", "absdif"]])
def test_unknown_or_no_features_are_refused(features):
    with pytest.raises(UserError, match=r"pairing\.features"):
        check_features(features)
