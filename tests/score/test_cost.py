"""Parameter counts from plan and shape, against built networks and published figures."""

import pytest

from mtl_sharing.model.heads import HeadShape, TaskHead
from mtl_sharing.model.network import Network
from mtl_sharing.model.shape import EncoderShape
from mtl_sharing.plan import SharingPlan
from mtl_sharing.score.cost import HeadSize, plan_cost

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
PLANS = ["S3", "I3", "F3", "S1-I2", "F1-G1:a+c-I1", "EF-I1-S2", "EI-S3-PG:a+b", "S1-I2-PF"]
HEAD_WIDTH = 11


def shape_of(family):
    return EncoderShape(**BERT | {"family": family} | FAMILIES[family])


def cost_of(plan, shape, heads, depth, pooler):
    sizes = [HeadSize(h.name, h.input_width(shape.hidden), h.outputs, h.cosine) for h in heads]
    return plan_cost(plan, shape, sizes, depth, HEAD_WIDTH, pooler)


def built(plan, shape, heads, depth, pooling):
    return Network(shape, plan, None, heads, HeadShape(depth, HEAD_WIDTH, "relu", 0.1), pooling)


def count(modules, trains=None):
    numbers = [p for m in modules for p in m.parameters() if trains in (None, p.requires_grad)]
    return sum(p.numel() for p in numbers)


def served(network, number, task):
    """Parameters of the modules that a task's predictions go through."""
    encoder = network.encoder
    stages = [encoder.embeddings, *encoder.layers, *network.hidden]
    stages += [encoder.pooler] if encoder.pooler is not None else []
    pairs = [pair for stage in stages for pair in zip(stage.owners, stage.copies, strict=True)]
    return count([copy for owners, copy in pairs if task in owners] + [network.outputs[number]])


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("plan", PLANS)
@pytest.mark.parametrize(
    ("family", "pooling"),
    [("bert", "pooler"), ("bert", "mean"), ("roberta", "pooler"), ("electra", "cls"),
     ("distilbert", "mean")],
)  # fmt: skip
def test_counts_are_those_of_the_built_network(family, pooling, plan, depth):
    check(SharingPlan.parse(plan, TASKS, 3), shape_of(family), HEADS, depth, pooling)


@pytest.mark.parametrize("stack", ["S-S", "S-I", "I-S", "F-S", "G:a+c-S", "I-G:b+c"])
def test_counts_of_head_stacks_are_those_of_the_built_network(stack):
    heads = (TaskHead("a", 5), TaskHead("b", 1), TaskHead("c", 2))
    plan = SharingPlan.parse(f"S2-I1/{stack}", TASKS, 3, 2)
    check(plan, shape_of("bert"), heads, 2, "pooler")


def check(plan, shape, heads, depth, pooling):
    cost = cost_of(plan, shape, heads, depth, pooling == "pooler")
    network = built(plan, shape, heads, depth, pooling)
    assert cost.total == count([network])
    assert cost.trainable == count([network], trains=True)
    for number, task in enumerate(TASKS):
        assert cost.serving(task) == served(network, number, task)
    summary = cost.summary()
    assert summary["single_task_total"] == max(summary["per_task"].values())
    assert cost.model_bytes == 4 * cost.total


def test_stage_counts_add_up_and_name_their_owners():
    cost = cost_of(SharingPlan.parse("S1-I2", TASKS), shape_of("bert"), HEADS, 0, True)
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
        cost = cost_of(SharingPlan.parse(text, TASKS), shape, HEADS, 0, False)
        assert cost.shared == wanted


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
    shape, parsed = EncoderShape(**BASE), SharingPlan.parse(plan, tasks, 12)
    cost = plan_cost(parsed, shape, [], 0, 1, pooler=True)
    assert cost.total == wanted
    frozen = EMBEDDINGS + 4 * LAYER if "F4" in plan else 0
    assert cost.trainable == wanted - frozen
    assert EMBEDDINGS + 12 * LAYER + POOLER == 109_482_240
