"""Progressive lanes against a recursion over the heads written out by hand, in float64."""

import math

import pytest
import torch
from torch import nn

from mtl_sharing.config import Config
from mtl_sharing.errors import UserError
from mtl_sharing.model.network import Network
from mtl_sharing.model.parts import FUSIONS, LaneShape, TaskHead
from mtl_sharing.regime import make_lanes
from mtl_sharing.score.cost import plan_cost
from support import architecture_of

TASKS = ("sst", "quora", "sts")
LENGTHS = (5, 1, 11, 5, 2, 3)
OUTPUTS = dict(zip(TASKS, (5, 2, 3), strict=True))
SINGLE = tuple(TaskHead(name, OUTPUTS[name], pooling="mean") for name in TASKS)
CHAIN = {"sst": (), "quora": ("sst",), "sts": ("sst", "quora")}
LINE = {"sst": (), "quora": ("sst",), "sts": ("quora",)}
MAPS = {
    "chain": CHAIN,
    "turned": {"sst": (), "quora": ("sst",), "sts": ("quora", "sst")},
    "line": LINE,
    "one": {"sst": (), "quora": (), "sts": ("sst",)},
    "backwards": {"sst": ("sts",), "quora": ("sts", "sst"), "sts": ()},
    "none": {"sst": (), "quora": (), "sts": ()},
}
FEATURES = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "absdiff": lambda u, v: abs(u - v),
    "product": lambda u, v: u * v,
}


def pairs(late, features=("absdiff", "u")):
    """Heads of the suite with pairs encoded separately, joined at the head's input or output."""
    quora = TaskHead("quora", 2, features, late, pooling="mean")
    return (SINGLE[0], quora, TaskHead("sts", 3, features, late, pooling="mean"))


@pytest.fixture
def describe(make_shape):
    """An architecture of three layers with lanes."""

    def make(plan="S3", upstream=CHAIN, fusion="concatenation", heads=SINGLE, rate=0.0, drop=0.0,
             **changes):  # fmt: skip
        lanes = LaneShape(upstream, fusion, rate, drop)
        return architecture_of(make_shape(), plan, heads, lanes=lanes, **changes)

    return make


@pytest.fixture
def build(describe, make_tower):
    """A network in float64 and evaluation mode whose every weight is its own."""

    def make(*words, **changes):
        architecture = describe(*words, **changes)
        network = Network(architecture, make_tower(architecture.encoder), seed=1).double().eval()
        torch.manual_seed(19)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.2)
        return network

    return make


@pytest.fixture
def batches(make_batch):
    return {
        task: make_batch(LENGTHS[:count], count)
        for task, count in zip(TASKS, (3, 4, 6), strict=True)
    }


def copy_of(stage, task):
    (found,) = [c for o, c in zip(stage.owners, stage.copies, strict=True) if task in o]
    return found


def linear(layer, rows):
    return rows @ layer.weight.T + layer.bias


def text_by_hand(network, task, batch):
    """What enters the lanes: the mean state of each text, normed."""
    states = network.encoder.hidden({task: batch})[task].split(batch.lengths)
    vectors = torch.stack([rows.sum(dim=0) / len(rows) for rows in states])
    norm, mean = copy_of(network.norm, task), vectors.mean(dim=1, keepdim=True)
    variance = ((vectors - mean) ** 2).mean(dim=1, keepdim=True)
    return (vectors - mean) / (variance + 1e-12).sqrt() * norm.weight + norm.bias


def features_of(head, vectors):
    u, v = vectors[: len(vectors) // 2], vectors[len(vectors) // 2 :]
    return torch.cat([FEATURES[name](u, v) for name in head.features], dim=1)


def is_pair(head):
    return bool(head.cosine or head.features)


def beside(reader, upstream, said, texts):
    """What the reader is told: of both texts of a pair, or of the pair at each of its texts."""
    half = texts // 2
    if reader.features and not reader.late and not is_pair(upstream):
        return torch.stack([torch.cat([said[e], said[e + half]]) for e in range(half)])
    if is_pair(upstream) and not (reader.features and not reader.late):
        return torch.stack([said[row % half] for row in range(texts)])
    return said


def attention(fusion, vectors, told):
    rows = []
    for n, x in enumerate(vectors):
        if len(told) == 1:
            (v,) = fusion.values
            rows.append(x + v.weight @ told[0][n] + v.bias)
            continue
        query = fusion.query.weight @ x + fusion.query.bias
        keys = [k.weight @ o[n] + k.bias for k, o in zip(fusion.keys, told, strict=True)]
        scores = [math.exp(float(query @ key) / math.sqrt(len(query))) for key in keys]
        values = [v.weight @ o[n] + v.bias for v, o in zip(fusion.values, told, strict=True)]
        mixed = [s / sum(scores) * value for s, value in zip(scores, values, strict=True)]
        rows.append(x + sum(mixed))
    return torch.stack(rows)


def said_by_hand(network, name, texts):
    """Raw outputs of the head ``name`` on these texts, heads upstream of it run on them too."""
    lanes, number = network.architecture.lanes, TASKS.index(name)
    head, vectors = network.architecture.heads[number], texts
    if head.features and not head.late:
        vectors = features_of(head, vectors)
    told = []
    for other in lanes.upstream[name]:
        upstream = network.architecture.heads[TASKS.index(other)]
        told.append(beside(head, upstream, said_by_hand(network, other, texts), len(texts)))
    if told and lanes.fusion == "concatenation":
        vectors = torch.cat([vectors, *told], dim=1)
    elif told:
        vectors = attention(network.heads.fusions[number], vectors, told)
    for stage in network.heads.hidden:
        vectors = linear(copy_of(stage, name).dense, vectors).clamp(min=0)
    if head.cosine:
        u, v = vectors.chunk(2)
        found = ((u * v).sum(dim=1) / (u.norm(dim=1) * v.norm(dim=1)))[:, None]
    else:
        vectors = features_of(head, vectors) if head.late else vectors
        found = linear(network.heads.outputs[number], vectors)
    # Predictions are in float32.
    return found.float().double()


def check(network, batches):
    found = network(batches)
    assert set(found) == set(batches)
    for task, batch in batches.items():
        with torch.no_grad():
            wanted = said_by_hand(network, task, text_by_hand(network, task, batch)).float()
        assert found[task].dtype == torch.float32
        torch.testing.assert_close(found[task], wanted, rtol=1e-5, atol=1e-5)
    return found


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("upstream", MAPS)
def test_the_output_is_the_one_by_hand(build, batches, upstream, fusion):
    found = check(build("S2-I1", MAPS[upstream], fusion, depth=1), batches)
    assert [tuple(raw.shape) for raw in found.values()] == [(3, 5), (4, 2), (6, 3)]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize(
    ("plan", "depth"),
    [("S3", 0), ("I3", 2), ("F3", 1), ("G3:quora+sts", 0), ("T3", 2), ("S3-PI", 0), ("S3-PF", 1)],
)
def test_plans_and_head_depths(build, batches, plan, depth, fusion):
    check(build(plan, fusion=fusion, depth=depth), batches)


def test_a_shared_head_layer_is_heard_as_the_upstream_head_has_it(build, batches):
    check(build("S3/I-S", fusion="concatenation", depth=2), batches)
    check(build("S3/S-I", fusion="attention", depth=2), batches)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("upstream", ["chain", "one"])
def test_pairs_encoded_separately(build, batches, upstream, late, depth, fusion):
    found = check(build("S2-I1", MAPS[upstream], fusion, pairs(late), depth=depth), batches)
    assert [len(raw) for raw in found.values()] == [3, 2, 3]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("late", [False, True])
def test_pairs_that_meet_at_unequal_places(build, batches, late, fusion):
    """One pair's features are taken before its head layers, the other's after."""
    heads = (SINGLE[0], pairs(late)[1], pairs(not late)[2])
    check(build("S3", CHAIN, fusion, heads, depth=1), batches)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("late", [False, True])
def test_cosine_heads_read_and_are_read(build, batches, late, depth, fusion):
    cosine = TaskHead("sts", 1, cosine=True, pooling="mean")
    heads = (*pairs(late)[:2], cosine)
    check(build("S3", CHAIN, fusion, heads, depth=depth), batches)
    turned = {"sst": (), "quora": ("sts", "sst"), "sts": ("sst",)}
    check(build("S3", turned, fusion, heads, depth=depth), batches)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_all_heads_may_read_a_lower_layer(build, batches, fusion):
    check(build("S2-I1", fusion=fusion, head_layers=dict.fromkeys(TASKS, 1)), batches)


def test_heads_on_unequal_layers_are_refused(describe):
    with pytest.raises(UserError, match="one layer for all heads"):
        describe(head_layers={"sst": 1})


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("heads", [SINGLE, pairs(False), pairs(True)])
def test_the_same_batch_object_gives_the_results_of_equal_ones(build, make_batch, heads, fusion):
    network = build("S2-G1:sst+sts", CHAIN, fusion, heads, depth=1)
    found = check(network, dict.fromkeys(TASKS, make_batch(LENGTHS)))
    wanted = network({task: make_batch(LENGTHS) for task in TASKS})
    for task in TASKS:
        torch.testing.assert_close(found[task], wanted[task])


def test_some_of_the_tasks_may_be_run(build, batches):
    network = build("S2-I1", depth=1)
    check(network, {"sts": batches["sts"]})
    check(network, {"sts": batches["sts"], "sst": batches["sst"]})


@pytest.mark.parametrize("upstream", MAPS)
def test_the_encoder_runs_once_a_batch(build, batches, upstream):
    network, seen = build("S3", MAPS[upstream]), []
    layers = [network.encoder.embeddings, *network.encoder.layers]
    for stage in layers:
        stage.copies[0].register_forward_hook(lambda _, args, __: seen.append(len(args[0])))
    network(batches)
    assert seen == [sum(len(batch.tokens) for batch in batches.values())] * 4


def test_a_network_without_lanes_has_no_norm(make_shape, make_tower, make_batch):
    shape = make_shape()
    plain = Network(architecture_of(shape, "S3", SINGLE), make_tower(shape), 1)
    assert plain.norm is None
    assert all(isinstance(fusion, nn.Identity) for fusion in plain.heads.fusions)


@pytest.mark.parametrize(
    ("plan", "owners", "tied"),
    [
        ("S3", [TASKS], False),
        ("I3", [("sst",), ("quora",), ("sts",)], False),
        ("F3", [TASKS], False),
        ("S3-PI", [("sst",), ("quora",), ("sts",)], False),
        ("I3-PF", [TASKS], False),
        ("S1-G2:sst+sts", [("sst", "sts"), ("quora",)], False),
        ("S1-T2", [("sst",), ("quora",), ("sts",)], True),
    ],
)
def test_the_norm_is_owned_as_the_pooler_is_and_always_trains(build, batches, plan, owners, tied):
    network = build(plan)
    assert list(network.norm.owners) == owners
    assert network.norm.tied == tied
    assert [(norm.eps, norm.normalized_shape) for norm in network.norm.copies] == [
        (1e-12, (21,))
    ] * len(owners)
    sum(raw.sum() for raw in network.train()(batches).values()).backward()
    assert all(p.requires_grad and p.grad.any() for p in network.norm.parameters())


def test_the_norm_starts_as_one_and_nothing(describe, make_tower):
    architecture = describe("I3")
    network = Network(architecture, make_tower(architecture.encoder))
    for norm in network.norm.copies:
        assert norm.weight.tolist() == [1.0] * 21
        assert norm.bias.tolist() == [0.0] * 21


def owned_by(network, task):
    """Names of the weights that belong to the head of ``task`` alone."""
    number = TASKS.index(task)
    parts = [f"outputs.{number}.", f"fusions.{number}."]
    parts += [f"hidden.{n}.copies.{number}." for n in range(len(network.heads.hidden))]
    return tuple(f"heads.{part}" for part in parts)


def gradients(network, batches, read):
    """The gradient of every weight of the loss of the tasks in ``read``."""
    raw = network({task: batches[task] for task in read})
    loss = sum((raw[task] ** 2).sum() for task in read)
    named = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {n: torch.zeros_like(p) if g is None else g for (n, p), g in
            zip(named.items(), found, strict=True)}  # fmt: skip


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("upstream", [CHAIN, LINE], ids=["chain", "line"])
@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_upstream_heads_take_their_share_of_a_reader_s_gradient(
    build, batches, rate, upstream, fusion
):
    """However long the lanes are between the two, and the text takes the whole gradient."""
    words = {"upstream": upstream, "fusion": fusion, "depth": 1}
    found = gradients(network := build(**words, rate=rate), batches, ["sts"])
    full = gradients(build(**words, rate=1.0), batches, ["sts"])
    above = (*owned_by(network, "sst"), *owned_by(network, "quora"))
    for name, gradient in found.items():
        if name.startswith(above):
            assert rate > 0 or not gradient.any(), name
            torch.testing.assert_close(gradient, rate * full[name], rtol=1e-5, atol=1e-7)
        else:
            torch.testing.assert_close(gradient, full[name], rtol=1e-6, atol=1e-8)
    for part in ("encoder.embeddings", "encoder.layers.0", "norm", "heads.outputs.2",
                 "heads.hidden.0.copies.2"):  # fmt: skip
        assert any(full[name].any() for name in full if name.startswith(part))
    for part in ("heads.outputs.0", "heads.hidden.0.copies.0", "heads.outputs.1"):
        assert all(full[name].any() for name in full if name.startswith(part))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_the_gradient_of_upstream_heads_is_that_of_small_steps(build, batches, fusion):
    network = build(fusion=fusion, depth=1, rate=1.0)
    found = gradients(network, batches, ["sts"])
    named, step = dict(network.named_parameters()), 1e-3
    for name in (
        "heads.outputs.0.weight",
        "heads.outputs.1.bias",
        "encoder.layers.2.copies.0.up.bias",
    ):
        direction = torch.randn_like(named[name])
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                named[name].add_(sign * step * direction)
                losses.append(float((network({"sts": batches["sts"]})["sts"].double() ** 2).sum()))
                named[name].sub_(sign * step * direction)
        slope = (losses[0] - losses[1]) / (2 * step)
        assert float((found[name] * direction).sum()) == pytest.approx(slope, rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_frozen_upstream_heads_learn_from_their_own_loss(build, batches, fusion):
    network = build(fusion=fusion, depth=1)
    both = gradients(network, batches, ["sst", "sts"])
    own = gradients(network, batches, ["sst"])
    mine = [name for name in own if name.startswith(owned_by(network, "sst"))]
    assert len(mine) == 4
    for name in mine:
        assert own[name].any()
        torch.testing.assert_close(both[name], own[name], rtol=1e-6, atol=1e-9)


def test_a_shared_head_layer_learns_from_its_readers_alone(build, batches):
    """Where sts reads sst through a layer both own, only the pass for sts itself trains it."""
    changes = {"upstream": MAPS["one"], "fusion": "attention", "depth": 1}
    shared, apart = build("S3/S", **changes), build("S3/I", **changes)
    state = shared.state_dict()
    with torch.no_grad():
        for stage in apart.heads.hidden:
            for copy in stage.copies:
                copy.load_state_dict(shared.heads.hidden[0].copies[0].state_dict())
    others = {n: v for n, v in state.items() if not n.startswith("heads.hidden.")}
    apart.load_state_dict(others, strict=False)
    found = gradients(shared, batches, ["sts"])["heads.hidden.0.copies.0.dense.weight"]
    wanted = gradients(apart, batches, ["sts"])["heads.hidden.0.copies.2.dense.weight"]
    assert wanted.any()
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-9)


def heard(network, batches):
    """What the fusion of sts is given of each upstream head."""
    found = []
    fusion = network.heads.fusions[2]
    hook = fusion.register_forward_pre_hook(lambda _, args: found.append(args[1]))
    network({"sts": batches["sts"]})
    hook.remove()
    (said,) = found
    return [each.detach() for each in said]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_task_dropout_drops_whole_outputs_in_training_alone(build, make_batch, fusion):
    upstream = {"sst": (), "quora": (), "sts": ("sst", "quora")}
    network = build("F3", upstream, fusion, drop=0.4, dropout=0.0)
    batches = {"sts": make_batch((1, 2) * 100)}
    whole = heard(network, batches)
    assert [each.shape for each in whole] == [(200, 5), (200, 2)]
    assert all(torch.equal(*each) for each in zip(whole, heard(network, batches), strict=True))
    torch.manual_seed(7)
    found = heard(network.train(), batches)
    dropped = []
    for said, full in zip(found, whole, strict=True):
        gone = (said == 0).all(dim=1)
        wanted = torch.where(gone[:, None], torch.zeros_like(full), full / 0.6)
        torch.testing.assert_close(said, wanted)
        assert 0.3 < gone.double().mean() < 0.5
        dropped.append(gone)
    assert not torch.equal(*dropped)
    again = heard(network, batches)
    assert not torch.equal(again[0], found[0])
    assert all(
        torch.equal(*each) for each in zip(whole, heard(network.eval(), batches), strict=True)
    )


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("upstream", ["chain", "line", "none"])
@pytest.mark.parametrize("depth", [0, 2])
def test_counts_are_those_of_the_built_network(build, batches, upstream, depth, fusion):
    for heads, plan in ((SINGLE, "S3"), (pairs(False), "S1-I2"), (pairs(True), "G3:sst+sts")):
        network = build(plan, MAPS[upstream], fusion, heads, depth=depth, rate=1.0)
        cost, named = plan_cost(network.architecture), dict(network.named_parameters())
        assert cost.total == cost.trainable == sum(p.numel() for p in named.values())
        for task in TASKS:
            raw = network({task: batches[task]})[task]
            network.zero_grad()
            raw.sum().backward()
            reached = [p.numel() for p in named.values() if p.grad is not None]
            assert cost.serving(task) == sum(reached)


def test_counts_of_a_frozen_plan(build):
    network = build("F3", fusion="attention", depth=1)
    cost = plan_cost(network.architecture)
    trains = [p.numel() for p in network.parameters() if p.requires_grad]
    assert cost.trainable == sum(trains) < cost.total


def test_fusions_start_from_the_seed_and_attention_adds_little(describe, make_tower):
    architecture = describe(fusion="attention")

    def draw(seed):
        return Network(architecture, make_tower(architecture.encoder), seed).heads.fusions[2]

    first, again, other = draw(3), draw(3), draw(4)
    for name, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[name])
        assert value.any() == name.endswith(".weight")
    assert not torch.equal(first.query.weight, other.query.weight)


@pytest.mark.parametrize(
    ("upstream", "where", "found"),
    [
        ({"sst": ("sts",), "quora": (), "sts": ("sst",)}, "", "cycle"),
        ({"sst": ("quora",), "quora": ("sts",), "sts": ("sst",)}, "", "cycle"),
        ({"sst": ("sst",), "quora": (), "sts": ()}, "", "cycle"),
        ({"sst": (), "quora": ("stss",), "sts": ()}, ".quora", "stss"),
        ({"sst": (), "quora": (), "sts": ("sst", "quora", "sst")}, ".sts", "sst"),
    ],
)
def test_impossible_lanes_are_named(upstream, where, found):
    with pytest.raises(UserError) as caught:
        LaneShape(upstream, "concatenation")
    assert caught.value.where == f"sharing.lanes.upstream{where}"
    assert found in str(caught.value.found)


@pytest.mark.parametrize("pair", [pairs(False)[1], pairs(True)[1],
                                  TaskHead("quora", 1, cosine=True, pooling="mean")])  # fmt: skip
def test_a_head_of_one_text_cannot_read_one_of_two(describe, pair):
    with pytest.raises(UserError) as caught:
        describe(upstream=CHAIN, heads=(SINGLE[0], pair, SINGLE[2]))
    assert caught.value.where == "sharing.lanes.upstream.sts"
    assert "quora" in caught.value.found


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        (("concat", 0.0, 0.0), "fusion"), (("attention", 1.01, 0.0), "upstream_rate"),
        (("attention", -0.1, 0.0), "upstream_rate"), (("attention", 0.0, 1.0), "task_dropout"),
        (("attention", 0.0, -0.1), "task_dropout"),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_named(changes, field):
    with pytest.raises(UserError) as caught:
        LaneShape(CHAIN, *changes)
    assert caught.value.where == f"sharing.lanes.{field}"


def test_unequal_widths_cannot_share_a_first_head_layer(describe):
    with pytest.raises(UserError, match=r"S at head\.0 over .*'sst': 21, 'quora': 26, 'sts': 28"):
        describe("S3/S", depth=1)
    describe("S3/S", fusion="attention", depth=1)


def lanes_of(**changes):
    config = Config()
    for name, value in changes.items():
        setattr(config.sharing.lanes, name, value)
    return make_lanes(config, SINGLE)


def test_the_config_says_which_lanes_there_are():
    assert lanes_of() is None
    every = lanes_of(fusion="attention", upstream_rate=0.2, task_dropout=0.1)
    assert (every.upstream, every.fusion) == (CHAIN, "attention")
    assert (every.upstream_rate, every.task_dropout) == (0.2, 0.1)
    assert lanes_of(fusion="concatenation", upstream={"sts": ["sst"]}).upstream == MAPS["one"]
    with pytest.raises(UserError, match=r"sharing\.lanes\.upstream.*qora.*quora"):
        lanes_of(fusion="concatenation", upstream={"qora": ["sst"]})
    with pytest.raises(UserError, match=r"sharing\.lanes\.upstream\.sts.*qora.*quora"):
        lanes_of(fusion="concatenation", upstream={"sts": ["qora"]})
