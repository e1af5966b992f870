"""Counts of operations against torch's own counts on built networks."""

from dataclasses import dataclass, replace
from itertools import product

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from mtl_sharing.batch import PackedBatch
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import LaneShape, PalShape, TaskHead
from mtl_sharing.score.flops import prediction_flops, training_flops
from mtl_sharing.score.layer_flops import TextSize
from support import QUICK, ROOT, architecture_of, load_config

# Distinct primes where the heads allow, so that no two sizes stand for each other.
SHAPE = EncoderShape(
    family="bert", layers=3, hidden=21, heads=3, intermediate=31, vocabulary=53, positions=29,
    position_offset=0, token_types=2, embedding=21, activation="gelu", epsilon=1e-5, pooler=True,
)  # fmt: skip
ELECTRA = replace(SHAPE, family="electra", embedding=13, pooler=False)
TASKS = ("sst", "quora", "sts")
# Of each task equally long, since texts of a task are padded to the longest in attention.
LENGTHS = {"sst": (5,) * 4, "quora": (11,) * 2, "sts": (7,) * 6}
TEXT = (17,) * 2

SINGLE = (TaskHead("sst", 5), TaskHead("quora", 2), TaskHead("sts", 3))
PAIRS = (
    TaskHead("sst", 5),
    TaskHead("quora", 1, ("u", "v", "product")),
    TaskHead("sts", 1, ("u",)),
)
LATE = (TaskHead("sst", 5), TaskHead("quora", 2, ("v", "absdiff"), late=True),
        TaskHead("sts", 1, cosine=True))  # fmt: skip
HEADS = {"joined": SINGLE, "separate": PAIRS, "late and cosine": LATE}
POOLINGS = ("pooler", "cls", "mean")
CHAIN = {"sst": (), "quora": ("sst",), "sts": ("sst", "quora")}
PLANS = [
    "S3", "I3", "F3", "T3", "S1-I2", "I1-S2", "F1-S1-I1", "S1-F1-I1", "F1-T1-I1", "EF-S3",
    "EI-S3", "ES-I3", "S1-G2:quora+sts", "G1:sst+sts-S1-G1:quora+sts", "I1-F1-S1", "S3-PI",
    "S3-PF", "I3-PS", "F3-PS", "F2-S1", "EF-F1-I1-F1-PF",
]  # fmt: skip
FORMULAS = FlopCounterMode(display=False).flop_registry


@dataclass
class Counter(TorchDispatchMode):
    """Adds up torch's formulas, in half of the time that its counter needs with its tree."""

    total: int = 0

    def __post_init__(self):
        super().__init__()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        formula = FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=out)
        return out


def crossed(first, second, third):
    """All combinations; slow are those whose pairs of values the other combinations have, too."""
    cases = []
    for (i, one), (j, two), (k, three) in product(*map(enumerate, (first, second, third))):
        slow = (i + j) % len(third) != k
        cases.append(pytest.param(one, two, three, marks=[pytest.mark.slow] * slow))
    return cases


def packed(lengths):
    tokens = torch.arange(sum(lengths)) % 40 + 7
    return PackedBatch(tokens, torch.zeros_like(tokens), tuple(lengths))


def built(architecture):
    return Network(architecture, random_tower(architecture.encoder, 3))


def one_step(network, lengths):
    """Operations that torch counts in a forward and a backward pass."""
    with Counter() as counter:
        step(network, lengths)
    return counter.total


def step(network, lengths):
    raw = network.train()({task: packed(own) for task, own in lengths.items()})
    total = torch.stack([one.sum() for one in raw.values()]).sum()
    if total.requires_grad:
        total.backward()


def one_prediction(network, lengths):
    with torch.no_grad(), Counter() as counter:
        predict(network, lengths)
    return counter.total


def predict(network, lengths):
    network.eval()(dict.fromkeys(network.architecture.plan.tasks, packed(lengths)))


def sizes(lengths):
    return {task: TextSize.of(own) for task, own in lengths.items()}


def check(architecture, lengths=None, text=TEXT):
    """Holds both counts against torch's: all tasks at once, one by one, and on the same text."""
    lengths = lengths or LENGTHS
    network = built(architecture)
    found = training_flops(architecture, sizes(lengths), groups=[TASKS])
    assert sum(found.values()) == one_step(network, lengths)
    alone = {task: one_step(network, {task: own}) for task, own in lengths.items()}
    each = [(task,) for task in TASKS]
    assert training_flops(architecture, sizes(lengths), groups=each) == alone
    components = [{t: lengths[t] for t in own} for own in architecture.components()]
    by_component = sum(one_step(network, own) for own in components)
    assert sum(training_flops(architecture, sizes(lengths)).values()) == by_component
    found = prediction_flops(architecture, TextSize.of(text))
    assert found == one_prediction(network, text) > 0


def test_the_formulas_add_up_to_what_torchs_counter_says():
    """With every kind of product: pairs, PALs, attending lanes, frozen and shared layers."""
    pals = PalShape(10, 2, "attention", "gelu", "own", (1, 2))
    lanes = LaneShape(CHAIN, "attention", 0.3)
    for parts in ({"pals": pals, "pooling": "mean"}, {"lanes": lanes, "pooling": "pooler"}):
        network = built(architecture_of(SHAPE, "F1-S1-I1", LATE, depth=2, **parts))
        with FlopCounterMode(display=False) as counter:
            step(network, LENGTHS)
        assert one_step(network, LENGTHS) == counter.get_total_flops() > 0
        with torch.inference_mode(), FlopCounterMode(display=False) as counter:
            predict(network, TEXT)
        assert one_prediction(network, TEXT) == counter.get_total_flops() > 0


@pytest.mark.parametrize("plan", PLANS)
def test_plans(plan):
    check(architecture_of(SHAPE, plan, SINGLE, depth=1, pooling="pooler"))


@pytest.mark.parametrize("heads", HEADS)
@pytest.mark.parametrize("plan", ["S3", "F3", "F1-S1-I1", "S1-G2:quora+sts"])
def test_pairs(plan, heads):
    check(architecture_of(SHAPE, plan, HEADS[heads], depth=1, pooling="pooler"))


@pytest.mark.parametrize(
    ("plan", "pooling", "depth"), crossed(["S3", "F3", "I1-S2"], POOLINGS, [0, 2])
)
def test_poolings(plan, pooling, depth):
    check(architecture_of(SHAPE, plan, PAIRS, depth=depth, pooling=pooling))


@pytest.mark.parametrize("plan", ["S3", "EF-S3", "F1-S1-I1", "I3"])
def test_embeddings_that_are_narrower_than_the_layers(plan):
    check(architecture_of(ELECTRA, plan, PAIRS, depth=1))


STACKS = ("S-S-S", "I-S-S", "S-I-S", "F-S-I", "G:sst+sts-F-F", "T-T-T")


@pytest.mark.parametrize(
    ("plan", "stack"),
    [pytest.param(plan, stack, marks=[pytest.mark.slow] * (number % 2 != k))
     for number, stack in enumerate(STACKS) for k, plan in enumerate(("S3", "F3"))],
)  # fmt: skip
def test_head_stacks(plan, stack):
    check(architecture_of(SHAPE, f"{plan}/{stack}", SINGLE, depth=3, pooling="pooler"))


@pytest.mark.parametrize(
    ("plan", "layers", "pooling"),
    crossed(["S3", "F1-S1-I1", "S1-G2:quora+sts", "I1-S2"],
            [{"sst": 0}, {"sst": 0, "quora": 1}, dict.fromkeys(TASKS, 1)], [None, "cls"]),
)  # fmt: skip
def test_heads_that_read_an_inner_layer(plan, layers, pooling):
    mixed = (replace(SINGLE[0], pooling="mean"), *PAIRS[1:])
    check(architecture_of(SHAPE, plan, mixed, depth=1, head_layers=layers, pooling=pooling))


def test_a_shared_head_layer_over_vectors_of_which_some_take_a_gradient():
    """The head of sst reads a frozen layer; its rows stand beside those of the others."""
    check(architecture_of(SHAPE, "F2-S1/S-F", SINGLE, depth=2, head_layers={"sst": 1}))


def test_a_layer_that_some_heads_read_whole():
    heads = (replace(SINGLE[0], pooling="pooler"), replace(SINGLE[1], pooling="mean"), SINGLE[2])
    architecture = architecture_of(SHAPE, "S3", heads)
    check(architecture)
    # Beside a head that reads all tokens, the others' last layer is computed whole as well.
    together, alone = (
        training_flops(architecture, sizes(LENGTHS), groups)
        for groups in ([TASKS], [(task,) for task in TASKS])
    )
    assert {task: together[task] > alone[task] for task in TASKS} == {
        "sst": True, "quora": False, "sts": True
    }  # fmt: skip


@pytest.mark.parametrize(
    ("plan", "layers_projections", "kind"),
    crossed(["S3", "F3", "S1-I2"], [((0, 1, 2), "shared"), ((0, 1), "own"), ((2,), "shared")],
            ["attention", "low_rank"]),
)  # fmt: skip
def test_pals(plan, layers_projections, kind):
    layers, projections = layers_projections
    pals = PalShape(10, 2, kind, "gelu", projections, layers)
    check(architecture_of(SHAPE, plan, PAIRS, depth=1, pals=pals, pooling="pooler"))


def test_pals_above_a_layer_that_a_head_reads():
    pals = PalShape(10, 2, "attention", "gelu", "own", (1, 2))
    lower = {"sst": 0, "quora": 1}
    check(architecture_of(SHAPE, "F3", PAIRS, depth=1, pals=pals, head_layers=lower))


@pytest.mark.parametrize(
    ("plan_rate", "heads", "fusion"),
    crossed([("S3", 0.0), ("F3", 0.3), ("I1-S2", 1.0)], HEADS, ["concatenation", "attention"]),
)
def test_lanes(plan_rate, heads, fusion):
    plan, rate = plan_rate
    lanes = LaneShape(CHAIN, fusion, rate)
    parts = {"depth": 2, "lanes": lanes, "pooling": "pooler"}
    check(architecture_of(SHAPE, plan, HEADS[heads], **parts))


@pytest.mark.parametrize("stack", ["S-S", "F-I"])
@pytest.mark.parametrize("fusion", ["concatenation", "attention"])
def test_lanes_over_a_head_stack_that_is_shared(stack, fusion):
    upstream = {"sst": (), "quora": ("sst",), "sts": ("quora",)}
    heads = [TaskHead(task, 3) for task in TASKS]
    if fusion == "concatenation":
        stack = stack.replace("S", "I", 1).replace("F", "I")
    parts = {"depth": 2, "lanes": LaneShape(upstream, fusion), "pooling": "cls"}
    check(architecture_of(SHAPE, f"F1-S2/{stack}", heads, **parts))


OPTIONS = sorted(path.stem for path in (ROOT / "conf" / "sharing").glob("*.yaml"))


PAIRINGS = ("joined", "separate")


@pytest.mark.parametrize(
    ("option", "pairing"),
    [pytest.param(option, pairing, marks=[pytest.mark.slow] * (number % 2 != k))
     for number, option in enumerate(OPTIONS) for k, pairing in enumerate(PAIRINGS)],
)  # fmt: skip
def test_every_option_of_sharing(option, pairing):
    words = ["sharing.plan=F1-G1:quora+sts"] if option == "plan" else []
    words += [f"sharing={option}", f"pairing={pairing}", "encoder.layers=2", "split=1"]
    run_spec = resolve_spec(load_config(*QUICK, *words))
    check(run_spec.architecture)


def test_the_baseline_of_a_regime_with_parts():
    words = ("sharing=pals", "encoder.layers=2")
    check(resolve_spec(load_config(*QUICK, *words)).baseline)


def test_no_option_is_forgotten():
    assert len(OPTIONS) == 11


UNEVEN = {"sst": (5, 1, 11, 3), "quora": (2, 13), "sts": (7, 7, 3, 2, 5, 23)}


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_a_machine_that_pads_attention_does_as_much_as_for_texts_all_as_long(pooling):
    architecture = architecture_of(SHAPE, "S1-I2", SINGLE, depth=1, pooling=pooling)
    least = sum(training_flops(architecture, sizes(UNEVEN)).values())
    padded = {
        task: TextSize(len(own), sum(own), len(own) * max(own) ** 2) for task, own in UNEVEN.items()
    }
    most = sum(training_flops(architecture, padded).values())
    found = one_step(built(architecture), UNEVEN)
    if pooling == "mean":
        assert least < found == most
    else:
        # The last layer asks for first tokens alone; a count of those pairs has no padding either.
        cells = sum(len(own) * max(own) - sum(own) for own in UNEVEN.values())
        assert least < found == most + 3 * 2 * 2 * cells * SHAPE.hidden


def test_counts_grow_with_the_text_as_its_size_says():
    """Twice the texts is twice the work, so a mean example is the whole set over its number."""
    architecture = architecture_of(SHAPE, "S1-I2", PAIRS, depth=1, pooling="pooler")
    once = training_flops(architecture, sizes(LENGTHS))
    twice = training_flops(architecture, {t: TextSize.of(own * 2) for t, own in LENGTHS.items()})
    assert twice == {task: 2 * count for task, count in once.items()}


def test_a_plan_that_shares_more_takes_no_more_to_predict():
    deep = replace(SHAPE, layers=12)
    counts = [
        prediction_flops(architecture_of(deep, f"S{n}-I{12 - n}", SINGLE), TextSize.of(TEXT))
        for n in range(13)
    ]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == 13
    # Once its rows have parted, a layer that tasks share has as many to run over as separate ones.
    late = prediction_flops(architecture_of(deep, "I6-S6", SINGLE), TextSize.of(TEXT))
    assert late == counts[0]
