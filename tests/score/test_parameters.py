"""Parameter counts from plan and shape, against built networks and published figures."""

from dataclasses import replace

import pytest
import torch

from census import built, check_cost
from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import LaneShape, PalShape, TaskHead
from mtl_sharing.score.parameters import plan_cost
from support import architecture_of

BERT = {
    "family": "bert", "layers": 3, "hidden": 21, "heads": 3, "intermediate": 31, "vocabulary": 53,
    "positions": 17, "position_offset": 0, "token_types": 2, "embedding": 21, "activation": "gelu",
    "epsilon": 1e-5, "pooler": True,
}  # fmt: skip
FAMILIES = {
    "bert": {},
    "roberta": {"position_offset": 2, "token_types": 1},
    "electra": {"embedding": 13, "pooler": False},
    "distilbert": {"token_types": 0, "pooler": False},
}
BASE = BERT | {
    "layers": 12, "hidden": 768, "heads": 12, "intermediate": 3072, "vocabulary": 30522,
    "positions": 512, "embedding": 768,
}  # fmt: skip
EMBEDDINGS, LAYER, POOLER = 23_837_184, 7_087_872, 590_592
TASKS = ("a", "b", "c")
HEADS = (TaskHead("a", 5), TaskHead("b", 1, ("u", "v", "product")), TaskHead("c", 1, cosine=True))
SINGLE = (TaskHead("a", 5), TaskHead("b", 1), TaskHead("c", 2))
LATE = (TaskHead("a", 5), TaskHead("b", 1, ("v", "absdiff"), late=True), TaskHead("c", 2, ("u",)))
PLANS = ["S3", "I3", "F3", "S1-I2", "F1-G1:a+c-I1", "EF-I1-S2", "EI-S3-PG:a+b", "S1-I2-PF", "T3",
         "F1-T1-I1"]  # fmt: skip


def shape_of(family):
    return EncoderShape(**BERT | {"family": family} | FAMILIES[family])


def architecture(plan, shape=None, heads=HEADS, **parts):
    return architecture_of(shape or shape_of("bert"), plan, heads, head_width=11, **parts)


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("family", "pooling"),
    [("bert", "pooler"), ("bert", "mean"), ("roberta", "pooler"), ("electra", "cls"),
     ("distilbert", "mean")],
)  # fmt: skip
def test_counts_are_those_of_the_built_network(family, pooling, plan, depth):
    check(architecture(plan, shape_of(family), depth=depth, pooling=pooling))


@pytest.mark.parametrize("stack", ["S-S", "S-I", "I-S", "F-S", "G:a+c-S", "I-G:b+c", "T-T", "I-T"])
def test_counts_of_head_stacks_are_those_of_the_built_network(stack):
    check(architecture(f"S2-I1/{stack}", heads=SINGLE, depth=2, pooling="pooler"))


@pytest.mark.parametrize("kind", ["attention", "low_rank"])
@pytest.mark.parametrize("projections", ["shared", "own"])
@pytest.mark.parametrize("layers", [(0, 1, 2), (2,)])
def test_counts_with_pals(kind, projections, layers):
    pals = PalShape(6, 3, kind, "gelu", projections, layers)
    check(architecture("S2-G1:a+c", depth=1, pals=pals))


@pytest.mark.parametrize("fusion", ["concatenation", "attention"])
@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("upstream", [
    {"a": (), "b": ("a",), "c": ("a", "b")},
    {"a": (), "b": ("a",), "c": ("b",)},
    {"a": (), "b": ("a", "c"), "c": ()},
])  # fmt: skip
@pytest.mark.parametrize("heads", [HEADS, LATE])
def test_counts_with_lanes(fusion, depth, upstream, heads):
    lanes = LaneShape(upstream, fusion)
    check(architecture("S2-I1-PG:a+c", heads=heads, depth=depth, lanes=lanes, pooling="pooler"))


@pytest.mark.parametrize("layers", [{"a": 0}, {"a": 1, "b": 0}, {"a": 0, "b": 0, "c": 1}])
@pytest.mark.parametrize("plan", ["S3", "I3", "S1-G2:a+b"])
def test_counts_where_heads_read_lower_layers(layers, plan):
    check(architecture(plan, depth=1, head_layers=layers))


def test_the_pooler_serves_the_tasks_that_read_it():
    heads = (replace(SINGLE[0], pooling="pooler"), *SINGLE[1:])
    found = architecture("S3", heads=heads)
    check(found)
    cost, pooler = plan_cost(found), shape_of("bert").stage_parameters("pooler")
    assert cost.serving("a") - cost.serving("b") == pooler + 4 * (21 + 1)


def check(architecture: Architecture):
    check_cost(plan_cost(architecture), built(architecture))


PALS = PalShape(6, 3, "attention", "gelu", "own", (1, 2))
CHAIN = {"a": (), "b": ("a",), "c": ("b",)}
PARTS = {
    "plan alone": {"plan": "S1-G1:a+c-I1/G:b+c", "heads": LATE, "depth": 1, "pooling": "pooler"},
    "pairs": {"plan": "S2-I1", "depth": 2, "pooling": "cls"},
    "PALs": {"plan": "S2-I1", "pals": PALS},
    "joined lanes": {"plan": "S2-I1-PI", "lanes": LaneShape(CHAIN, "concatenation", 1.0),
                     "depth": 1, "pooling": "pooler"},
    "attending lanes": {"plan": "I3/T", "heads": LATE, "depth": 1,
                        "lanes": LaneShape(CHAIN, "attention", 1.0)},
    "lower layers": {"plan": "S1-I1-S1", "head_layers": {"a": 0, "b": 1}},
}  # fmt: skip


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("parts", PARTS.values(), ids=PARTS)
def test_a_task_is_served_by_the_weights_that_its_output_depends_on(parts, task):
    """By a backward pass: a weight that the output does not go through gets no gradient."""
    found = architecture(**parts)
    network = Network(found, random_tower(found.encoder, 0)).eval().requires_grad_()
    batch = PackedBatch(torch.arange(7, 19), torch.zeros(12, dtype=torch.long), (5, 3, 2, 2))
    network({task: batch})[task].sum().backward()
    reached = sum(p.numel() for p in network.parameters() if p.grad is not None)
    assert plan_cost(found).serving(task) == reached


def test_stage_counts_add_up_and_name_their_owners():
    cost = plan_cost(architecture("S1-I2", pooling="pooler"))
    assert sum(stage.total for stage in cost.stages) == cost.total
    by_name = {stage.stage: stage for stage in cost.stages}
    assert by_name["layer.0"].owners == (TASKS,)
    assert by_name["layer.1"].owners == by_name["output"].owners == (("a",), ("b",), ("c",))
    assert by_name["output"].parameters == ((21 + 1) * 5, 3 * 21 + 1, 0)


def test_shared_are_the_weights_with_two_owners_or_more():
    shape = shape_of("bert")
    embeddings, layer = shape.stage_parameters("embeddings"), shape.stage_parameters("layer.0")
    for text, wanted in {
        "S2-I1": embeddings + 2 * layer,
        "I3": 0,
        "EI-G2:a+c-S1": 3 * layer,
    }.items():
        assert plan_cost(architecture(text, shape)).shared == wanted


@pytest.mark.parametrize(
    ("plan", "tasks", "wanted"),
    [
        ("S12", ("a",), 109_482_240),
        ("S12", TASKS, 109_482_240),
        ("I12", TASKS, 3 * 109_482_240),
        ("S6-I6", TASKS, EMBEDDINGS + 24 * LAYER + POOLER * 3),
        ("F4-S4-I4", TASKS, EMBEDDINGS + 20 * LAYER + POOLER * 3),
    ],
)
def test_bert_base(plan, tasks, wanted):
    # Heads without weights, so that the sums are of the encoder alone.
    heads = [TaskHead(task, 1, cosine=True, pooling="pooler") for task in tasks]
    cost = plan_cost(architecture_of(EncoderShape(**BASE), plan, heads))
    assert cost.total == wanted
    frozen = EMBEDDINGS + 4 * LAYER if "F4" in plan else 0
    assert cost.trainable == wanted - frozen
    assert EMBEDDINGS + 12 * LAYER + POOLER == 109_482_240
