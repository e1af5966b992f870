"""Projected attention layers against loops over sequences written out by hand, in float64."""

import math

import pytest
import torch
import torch.nn.functional as F

from mtl_sharing.errors import UserError
from mtl_sharing.model.network import Network
from mtl_sharing.model.pals import TaskPal
from mtl_sharing.model.parts import PAL_ACTIVATIONS, LaneShape, PalShape, TaskHead
from mtl_sharing.model.settings import PalsConfig
from mtl_sharing.plan import SharingPlan
from mtl_sharing.regime import make_pals
from mtl_sharing.run.optimizer import make_optimizer
from mtl_sharing.run.settings import OptimizerConfig
from mtl_sharing.score.cost import plan_cost
from support import architecture_of

TASKS = ("a", "b", "c")
LENGTHS = {"a": (5, 1, 11, 5), "b": (7, 7), "c": (1, 3)}
HEADS = tuple(TaskHead(name, n, pooling="mean") for name, n in zip(TASKS, (5, 1, 2), strict=True))
BY_HAND = {
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "relu": lambda x: x.clamp(min=0),
    "tanh": torch.tanh,
    "identity": lambda x: x,
}
PLANS = ["S3", "S1-I2", "G3:a+c", "F3"]
# Layers that have a PAL: `shared` are those that two tasks or more own together.
LAYERS = {
    "all": dict.fromkeys(PLANS, (0, 1, 2)),
    "top": dict.fromkeys(PLANS, (1, 2)),
    "bottom": dict.fromkeys(PLANS, (0,)),
    "shared": {"S3": (0, 1, 2), "S1-I2": (0,), "G3:a+c": (0, 1, 2), "F3": (0, 1, 2)},
}
FAMILIES = {
    "bert": {},
    "roberta": {"position_offset": 2, "token_types": 1, "positions": 19},
    "electra": {"embedding": 13, "pooler": False},
    "distilbert": {"token_types": 0, "pooler": False},
}
PAL = PalShape(6, 2, "attention", "gelu", "shared", (0, 1, 2))
CHAIN = {"a": (), "b": ("a",), "c": ("a", "b")}
REGIMES = {
    "pals": ("S3", PAL, None),
    "low rank": ("S3", PalShape(5, 3, "low_rank", "tanh", "own", (1, 2)), None),
    "concatenation": ("S3", None, LaneShape(CHAIN, "concatenation")),
    "attention": ("S3", None, LaneShape(CHAIN, "attention")),
    "pals and lanes": ("S2-I1", PAL, LaneShape(CHAIN, "attention")),
    "tied": ("T3", None, None),
    "fsi": ("F1-S1-I1", None, None),
    "grouped": ("S2-G1:b+c", None, None),
    "hybrid": ("S1-I2", None, None),
}


def config(layers="all", **changes):
    return PalsConfig(**{"size": 6, "heads": 2, "layers": layers} | changes)


def perturb(network):
    """Makes every copy's weights its own, and V_D anything but 0."""
    torch.manual_seed(19)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return network


@pytest.fixture
def build(make_shape, make_tower):
    """A network in float64 and evaluation mode with PALs as the config says."""

    def make(plan, pals, shape=None, head_layers=None):
        shape = shape or make_shape()
        parsed = SharingPlan.parse(plan, TASKS)
        if isinstance(pals, PalsConfig):
            pals = make_pals(pals, shape, parsed)
        described = architecture_of(shape, parsed, HEADS, pals=pals, head_layers=head_layers)
        return Network(described, make_tower(shape), seed=1).double().eval()

    return make


@pytest.fixture
def batches(make_batch):
    return {task: make_batch(LENGTHS[task], seed) for seed, task in enumerate(TASKS)}


def copy_of(stage, task):
    (found,) = [c for o, c in zip(stage.owners, stage.copies, strict=True) if task in o]
    return found


def linear(layer, rows):
    return rows @ layer.weight.T + layer.bias


def norm(layer, rows):
    mean = rows.mean(dim=1, keepdim=True)
    variance = ((rows - mean) ** 2).mean(dim=1, keepdim=True)
    return (rows - mean) / (variance + 1e-5).sqrt() * layer.weight + layer.bias


def attend(fused, rows, heads):
    """Attention of one sequence, head by head, with Q, K and V taken from the fused layer."""
    weights, biases = fused.weight.chunk(3), fused.bias.chunk(3)
    query, key, value = (rows @ w.T + b for w, b in zip(weights, biases, strict=True))
    width, found = query.shape[1] // heads, []
    for n in range(heads):
        span = slice(n * width, (n + 1) * width)
        scores = query[:, span] @ key[:, span].T / math.sqrt(width)
        weights = torch.exp(scores) / torch.exp(scores).sum(dim=1, keepdim=True)
        found.append(weights @ value[:, span])
    return torch.cat(found, dim=1)


def pal_by_hand(pal, number, rows, shape):
    """TS of a task's ``number``-th layer that has one."""
    act, pair = BY_HAND[shape.activation], number if shape.projections == "own" else 0
    encode, decode = pal.encode[pair], pal.decode[pair]
    if shape.kind == "low_rank":
        return linear(decode, act(linear(encode, rows)))
    return act(linear(decode, attend(pal.qkv[number], linear(encode, rows), shape.heads)))


def states_by_hand(network, task, ids, layers=3):
    """States of one sequence of ``task`` after ``layers`` layers."""
    encoder, shape = network.encoder, network.architecture.pals
    table = copy_of(encoder.embeddings, task)
    places = table.position.weight[: len(ids)]
    rows = table.word.weight[ids[:, 0]] + places + table.token_type.weight[ids[:, 1]]
    rows = norm(table.norm, rows)
    for depth in range(layers):
        layer = copy_of(encoder.layers[depth], task)
        mixed = linear(layer.attention_output, attend(layer.qkv, rows, 3))
        middle = norm(layer.attention_norm, rows + mixed)
        inner = middle + linear(layer.down, BY_HAND["gelu"](linear(layer.up, middle)))
        if depth in shape.layers:
            pal = encoder.pals.tasks[TASKS.index(task)]
            inner = inner + pal_by_hand(pal, shape.layers.index(depth), rows, shape)
        rows = norm(layer.output_norm, inner)
    return rows


def outputs_by_hand(network, task, batch, layers=3):
    ids = torch.stack([batch.tokens, batch.token_types], dim=1).split(batch.lengths)
    pooled = [states_by_hand(network, task, each, layers).mean(dim=0) for each in ids]
    return linear(network.heads.outputs[TASKS.index(task)], torch.stack(pooled))


def check(network, batches, head_layers=None):
    states, found = network.encoder.hidden(batches), network(batches)
    for task, batch in batches.items():
        ids = torch.stack([batch.tokens, batch.token_types], dim=1).split(batch.lengths)
        depth = 1 + (head_layers or {}).get(task, 2)
        wanted = torch.cat([states_by_hand(network, task, each, depth) for each in ids])
        torch.testing.assert_close(states[task], wanted, rtol=1e-9, atol=1e-10)
        outputs = outputs_by_hand(network, task, batch, depth)
        torch.testing.assert_close(found[task], outputs.float(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("layers", LAYERS)
@pytest.mark.parametrize("plan", PLANS)
def test_the_output_is_the_one_by_hand(build, batches, plan, layers):
    network = build(plan, config(layers=layers))
    assert network.architecture.pals.layers == LAYERS[layers][plan]
    check(perturb(network), batches)


@pytest.mark.parametrize("projections", ["shared", "own"])
@pytest.mark.parametrize("kind", ["attention", "low_rank"])
@pytest.mark.parametrize(("plan", "layers"), [("S1-I2", "all"), ("G3:a+c", "top"), ("F3", "all")])
def test_kinds_and_projections(build, batches, plan, layers, kind, projections):
    check(perturb(build(plan, config(layers, kind=kind, projections=projections))), batches)


ACTIVATIONS = [
    (kind, name)
    for kind in ("attention", "low_rank")
    for name in PAL_ACTIVATIONS
    if (kind, name) != ("attention", "relu")
]


@pytest.mark.parametrize(("kind", "activation"), ACTIVATIONS)
def test_activations(build, batches, activation, kind):
    check(perturb(build("S3", config(kind=kind, activation=activation))), batches)


@pytest.mark.parametrize(("size", "heads"), [(9, 1), (9, 9), (35, 7)])
def test_widths_and_heads_of_its_own(build, batches, size, heads):
    check(perturb(build("S2-I1", config(size=size, heads=heads))), batches)


def test_tasks_may_read_lower_layers(build, batches):
    layers = {"a": 0, "c": 1}
    check(perturb(build("S3", config(), head_layers=layers)), batches, layers)


@pytest.mark.parametrize(
    ("plan", "kind", "activation"),
    [*((plan, "attention", "gelu") for plan in PLANS), *(("S1-I2", *each) for each in ACTIVATIONS)],
)
def test_a_fresh_network_is_the_one_without_pals(build, batches, plan, activation, kind):
    network = build(plan, config(kind=kind, activation=activation))
    for pal in network.encoder.pals.tasks:
        for decode in pal.decode:
            assert not decode.weight.any() and not decode.bias.any()
        assert all(encode.weight.abs().min() > 0 for encode in pal.encode)
    found, wanted = network(batches), build(plan, None)(batches)
    assert all(torch.equal(found[task], wanted[task]) for task in TASKS)


def test_tasks_start_from_equal_pals_of_the_seed(make_shape, make_tower):
    def draw(seed):
        shape = make_shape()
        described = architecture_of(shape, "S3", HEADS, pals=PAL)
        return Network(described, make_tower(shape), seed).encoder.pals.tasks

    first, again, other = draw(3), draw(3), draw(4)
    for name, value in first[0].state_dict().items():
        assert all(torch.equal(value, pal.state_dict()[name]) for pal in (*first, *again))
        assert len({pal.state_dict()[name].data_ptr() for pal in first}) == 3
    assert not torch.equal(first[0].encode[0].weight, other[0].encode[0].weight)
    assert first[0].encode[0].weight.std().item() == pytest.approx(0.02, rel=0.3)


@pytest.mark.parametrize("projections", ["shared", "own"])
@pytest.mark.parametrize("kind", ["attention", "low_rank"])
@pytest.mark.parametrize("layers", [(0, 1, 2), (2,), (1, 2)])
def test_counts_are_those_of_the_module(make_shape, kind, projections, layers):
    encoder, shape = make_shape(), PalShape(6, 2, kind, "gelu", projections, layers)
    sizes = {True: 0, False: 0}
    for name, parameter in TaskPal(shape, encoder).named_parameters():
        sizes[name.endswith(".bias")] += parameter.numel()
    assert (shape.weights(21), shape.biases(21)) == (sizes[False], sizes[True])


def test_the_published_size():
    """Stickland and Murray 2019 for s = 204; the report's 1.05 times BERT base of three tasks."""
    pal = PalShape(204, 12, "attention", "gelu", "shared", tuple(range(12)))
    found = pal.weights(768)
    assert found == 2 * 204 * 768 + 12 * 3 * 204**2 == 1_811_520
    assert round(found / 1e6, 2) == 1.81
    assert round(1 + 3 * found / 109_482_240, 2) == 1.05
    # And 1.13 times for the eight tasks of the paper.
    assert round(1 + 8 * found / 109_482_240, 2) == 1.13


@pytest.mark.parametrize("head_layers", [{}, {"a": 0, "c": 1}], ids=["last", "lower"])
@pytest.mark.parametrize("kind", ["attention", "low_rank"])
@pytest.mark.parametrize("plan", ["S3", "S1-I2"])
def test_the_cost_is_that_of_the_built_network(build, batches, plan, kind, head_layers):
    network = perturb(build(plan, config(kind=kind), head_layers=head_layers))
    cost, weights = plan_cost(network.architecture), list(network.parameters())
    assert cost.total == cost.trainable == sum(p.numel() for p in weights)
    for task in TASKS:
        network.zero_grad()
        network({task: batches[task]})[task].sum().backward()
        reached = [p.numel() for p in weights if p.grad is not None]
        assert cost.serving(task) == sum(reached), task


def count_rows(modules):
    seen = [[] for _ in modules]
    for module, rows in zip(modules, seen, strict=True):
        module.register_forward_hook(lambda _, args, __, rows=rows: rows.append(args[0].shape))
    return seen


def test_the_shared_layers_run_once_over_all_tasks(build, batches):
    network = build("S2-I1", config())
    seen = count_rows([c for stage in network.encoder.layers for c in stage.copies])
    network(batches)
    each = [sum(LENGTHS[task]) for task in TASKS]
    assert seen == [[(sum(each), 21)]] * 2 + [[(rows, 21)] for rows in each]


def test_a_batch_that_all_read_is_repeated_from_the_first_pal_on(build, make_batch):
    network = build("S3", config(layers="top"))
    seen = count_rows([stage.copies[0] for stage in network.encoder.layers])
    network(dict.fromkeys(TASKS, make_batch((5, 1, 7))))
    assert seen == [[(13, 21)], [(39, 21)], [(39, 21)]]


@pytest.mark.parametrize("layers", ["all", "top", "bottom"])
@pytest.mark.parametrize("plan", ["S3", "S1-I2", "G3:a+c"])
def test_the_same_batch_object_gives_the_results_of_equal_ones(build, make_batch, plan, layers):
    network, lengths = perturb(build(plan, config(layers=layers))), (5, 1, 7)
    found = network(dict.fromkeys(TASKS, make_batch(lengths)))
    wanted = network({task: make_batch(lengths) for task in TASKS})
    for task in TASKS:
        torch.testing.assert_close(found[task], wanted[task])
        by_hand = outputs_by_hand(network, task, make_batch(lengths))
        torch.testing.assert_close(found[task], by_hand.float(), rtol=1e-5, atol=1e-6)


def test_some_of_the_tasks_with_the_same_batch(build, make_batch):
    network, text, other = perturb(build("S3", config())), make_batch((5, 1, 7)), make_batch((3,))
    found = network({"a": text, "b": other, "c": text})
    for task, batch in {"a": text, "b": other, "c": text}.items():
        by_hand = outputs_by_hand(network, task, batch)
        torch.testing.assert_close(found[task], by_hand.float(), rtol=1e-5, atol=1e-6)


def train_step(network, batches):
    """One update on all tasks; gives the loss and every weight's gradient."""
    optimizer = make_optimizer(network.train(), OptimizerConfig(lr=0.1))
    loss = sum(F.mse_loss(raw, torch.ones_like(raw)) for raw in network(batches).values())
    loss.backward()
    gradients = {name: p.grad for name, p in network.named_parameters()}
    optimizer.step()
    return float(loss.detach()), gradients


@pytest.mark.parametrize("regime", REGIMES)
@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_reach_every_weight_that_trains(make_shape, make_tower, batches, family, regime):
    shape = make_shape(family=family, **FAMILIES[family])
    plan, pals, lanes = REGIMES[regime]
    pooling = "pooler" if shape.pooler else "cls"
    described = architecture_of(shape, plan, HEADS, 1, pals, lanes, dropout=0.1, pooling=pooling,
                                activation="tanh")  # fmt: skip
    network = perturb(Network(described, make_tower(shape), seed=1).float())
    trains = {name for name, p in network.named_parameters() if p.requires_grad}
    before = {name: value.clone() for name, value in network.state_dict().items()}
    loss, gradients = train_step(network, batches)
    assert math.isfinite(loss)
    for name, value in network.state_dict().items():
        gradient = gradients[name]
        assert (gradient is not None) == (name in trains), name
        assert torch.equal(value, before[name]) == (name not in trains), name
        assert gradient is None or (gradient.isfinite().all() and gradient.any()), name
    assert any(name.startswith("encoder.layers.2.") for name in trains)


def test_beside_a_frozen_encoder_the_pals_train_alone(make_shape, make_tower, batches):
    shape = make_shape()
    network = Network(architecture_of(shape, "F3", HEADS, pals=PAL), make_tower(shape), 1).float()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    for step in range(2):
        _, gradients = train_step(network, batches)
        mine = {n: g for n, g in gradients.items() if g is not None}
        assert mine and all(n.startswith(("encoder.pals.", "heads.")) for n in mine)
        # Through a V_D of 0 nothing reaches what stands before it.
        inner = [g for n, g in mine.items() if "pals" in n and ".decode." not in n]
        assert inner and all(bool(g.any()) == (step > 0) for g in inner)
        network.zero_grad()
    for name, value in network.state_dict().items():
        trains = name.startswith(("encoder.pals.", "heads."))
        assert torch.equal(value, before[name]) != trains, name


def test_attention_dropout_is_off_only_in_evaluation(build, batches):
    network = perturb(build("F3", config()))
    hidden = network.encoder.hidden
    assert torch.equal(hidden(batches)["a"], hidden(batches)["a"])
    network.train()
    assert not torch.equal(hidden(batches)["a"], hidden(batches)["a"])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"size": 0}, "size"), ({"size": 7}, "size"), ({"heads": 0}, "heads"),
        ({"kind": "atention"}, "kind"), ({"activation": "silu"}, "activation"),
        ({"projections": "owned"}, "projections"), ({"activation": "relu"}, "activation"),
    ],
)  # fmt: skip
def test_impossible_shapes_are_refused(changes, field):
    fields = {"size": 6, "heads": 2, "kind": "attention", "activation": "gelu",
              "projections": "shared", "layers": (0,)}  # fmt: skip
    PalShape(**fields)
    with pytest.raises(UserError) as caught:
        PalShape(**fields | changes)
    assert caught.value.where == f"sharing.pals.{field}"


@pytest.mark.parametrize(("plan", "layers"), [("I3", "shared"), ("I3", "upper")])
def test_impossible_layers_are_refused(make_shape, plan, layers):
    with pytest.raises(UserError) as caught:
        make_pals(config(layers=layers), make_shape(), SharingPlan.parse(plan, TASKS))
    assert caught.value.where == "sharing.pals.layers"


def test_low_rank_needs_no_multiple_of_the_heads(build, batches):
    network = build("S3", config(size=5, heads=2, kind="low_rank"))
    assert network.architecture.pals.projections == "own"
    assert not network.encoder.pals.tasks[0].qkv
    check(perturb(network), batches)
