"""Sharing plans: notation, canonical form, partitions and error messages."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mtl_sharing.errors import UserError
from mtl_sharing.plan.ownership import Ownership
from mtl_sharing.plan.plan import SharingPlan

MOPS = ("sst", "quora", "sts")
LETTERS = "FSITG"
FOUR = ("a", "b", "c", "d")
HEAD_LAYERS = 2


# Random plans, first as meanings (letter, groups), then written down in one of many ways.
@st.composite
def owns(draw, tasks):
    """A letter and, for G, groups of tasks: any that the grammar allows for so many tasks."""
    letters = LETTERS if len(tasks) > 1 else LETTERS.replace("T", "")
    if (letter := draw(st.sampled_from(letters))) != "G":
        return letter, ""
    order = draw(st.permutations(tasks))[: draw(st.integers(1, len(tasks)))]
    seps = [draw(st.sampled_from("+.")) for _ in order[1:]]
    return letter, ":" + "".join(t + s for t, s in zip(order, [*seps, ""], strict=True))


def meaning(own, tasks):
    """What a letter says, worked out without the code under test."""
    letter, groups = own
    named = [frozenset(g.split("+")) for g in groups[1:].split(".") if g]
    if letter in "FS":
        named = [frozenset(tasks)]
    single = [frozenset([t]) for t in tasks if not any(t in g for g in named)]
    return frozenset([*named, *single]), letter != "F", letter == "T"


def reading(plan):
    """What a plan says of every stage."""
    stages = plan.stages(HEAD_LAYERS)
    return [(frozenset(map(frozenset, s.owners)), s.trains, s.ownership.tied) for s in stages]


@st.composite
def written(draw, tasks=()):
    """Tasks, the text of a random plan, and what it says of every stage."""
    tasks = tasks or draw(st.lists(st.sampled_from(FOUR), min_size=1, unique=True))
    blocks = draw(st.lists(st.tuples(owns(tasks), st.integers(0, 3)), min_size=1, max_size=4))
    blocks.insert(draw(st.integers(0, len(blocks))), (draw(owns(tasks)), 1))
    first, last = draw(st.none() | owns(tasks)), draw(st.none() | owns(tasks))
    head = draw(st.just([]) | st.lists(owns(tasks), min_size=HEAD_LAYERS, max_size=HEAD_LAYERS))
    body = [letter + str(depth) + groups for (letter, groups), depth in blocks]
    body = ["E" + "".join(own) for own in [first] if own] + body
    body += ["P" + "".join(own) for own in [last] if own]
    text = "-".join(body) + "/" * bool(head) + "-".join("".join(own) for own in head)
    encoder = [own for own, depth in blocks for _ in range(depth)]
    all_owns = [first or encoder[0], *encoder, last or encoder[-1]]
    all_owns += head or [("I", "")] * HEAD_LAYERS
    return tuple(tasks), text, [meaning(own, tasks) for own in all_owns]


@st.composite
def same_said_twice(draw):
    """One plan as runs of layers, and two texts for it."""
    tasks = draw(st.lists(st.sampled_from(FOUR), min_size=1, unique=True))
    runs = draw(st.lists(owns(tasks), min_size=1, max_size=4))
    return tuple(tasks), [draw(rewritten(tasks, runs)) for _ in range(2)]


@st.composite
def rewritten(draw, tasks, runs):
    """The runs with zero-depth blocks, groups in another order, and E and P said or left out."""
    body = []
    for own in runs:
        body += [f"{letter}0{groups}" for letter, groups in draw(st.lists(owns(tasks), max_size=1))]
        letter, groups = shuffled(draw, own)
        body.append(f"{letter}01{groups}")
    ends = ["E" + "".join(shuffled(draw, runs[0]))], ["P" + "".join(shuffled(draw, runs[-1]))]
    text = "-".join(ends[0] * draw(st.booleans()) + body + ends[1] * draw(st.booleans()))
    return text + "/I-I" * draw(st.booleans())


def shuffled(draw, own):
    groups = [draw(st.permutations(g.split("+"))) for g in own[1][1:].split(".") if g]
    if not groups:
        return own
    return own[0], ":" + ".".join("+".join(g) for g in draw(st.permutations(groups)))


@given(written())
def test_a_plan_says_what_its_text_says(case):
    tasks, text, expected = case
    assert reading(SharingPlan.parse(text, tasks)) == expected


@given(written())
def test_text_round_trips_and_is_canonical(case):
    tasks, text, _ = case
    plan = SharingPlan.parse(text, tasks)
    again = SharingPlan.parse(str(plan), tasks, plan.depth, HEAD_LAYERS)
    assert again == plan
    assert hash(again) == hash(plan)
    assert str(again) == str(plan)


@given(written())
def test_canonical_text_has_no_needless_part(case):
    tasks, text, _ = case
    body = str(SharingPlan.parse(text, tasks)).partition("/")[0].split("-")
    blocks = [re.sub("[0-9]+", "", part) for part in body if part[0] in LETTERS]
    assert all(a != b for a, b in pairwise(blocks))
    assert f"E{blocks[0]}" != body[0]
    assert f"P{blocks[-1]}" != body[-1]
    assert len(tasks) > 1 or not set("STG") & set("".join(blocks))


@given(st.data(), written())
def test_plans_are_equal_exactly_if_they_say_the_same(data, case):
    tasks, text, _ = case
    _, other, _ = data.draw(written(tasks))
    one, two = SharingPlan.parse(text, tasks), SharingPlan.parse(other, tasks)
    assert (one == two) is (reading(one) == reading(two)) is (str(one) == str(two))


@given(same_said_twice())
def test_two_ways_to_say_the_same_are_one_plan(case):
    tasks, (text, other) = case
    one, two = SharingPlan.parse(text, tasks), SharingPlan.parse(other, tasks)
    assert one == two
    assert str(one) == str(two)


@st.composite
def small(draw):
    """One or two layers of two or three tasks, so that equal plans are frequent."""
    tasks = FOUR[: draw(st.integers(2, 3))]
    pair = [draw(st.lists(owns(tasks), min_size=2, max_size=2)) for _ in range(2)]
    return tasks, ["-".join(f"{a}1{g}" for a, g in runs) for runs in pair]


@given(small())
def test_small_plans_are_equal_exactly_if_they_say_the_same(case):
    tasks, texts = case
    one, two = (SharingPlan.parse(text, tasks) for text in texts)
    assert (one == two) is (reading(one) == reading(two)) is (str(one) == str(two))


@given(written())
def test_every_task_owns_every_stage_once_and_in_order(case):
    tasks, text, _ = case
    plan = SharingPlan.parse(text, tasks)
    for stage in plan.stages(HEAD_LAYERS):
        assert sorted(t for group in stage.owners for t in group) == sorted(tasks)
        assert all(list(g) == sorted(g, key=tasks.index) for g in stage.owners)
        assert list(stage.owners) == sorted(stage.owners, key=lambda g: tasks.index(g[0]))
        assert stage.owners == plan.owners(stage.name)


ALL, EACH = (MOPS,), (("sst",), ("quora",), ("sts",))
SST_STS = (("sst", "sts"), ("quora",))
QUORA_STS = (("sst",), ("quora", "sts"))


@pytest.mark.parametrize(
    ("text", "canonical", "owners"),
    [
        ("S6-I6", "S6-I6", {"embeddings": ALL, "layer.5": ALL, "layer.6": EACH, "pooler": EACH}),
        ("F4-S4-I4", "F4-S4-I4", {"embeddings": ALL, "layer.4": ALL, "layer.8": EACH}),
        ("I6-S6", "I6-S6", {"embeddings": EACH, "layer.5": EACH, "layer.6": ALL, "pooler": ALL}),
        ("EF-S6-I6", "EF-S6-I6", {"embeddings": ALL, "layer.0": ALL, "head.7": EACH}),
        ("ES-S6-I6-PI", "S6-I6", {"pooler": EACH}),
        ("S12-PI", "S12-PI", {"layer.11": ALL, "pooler": EACH}),
        ("S12/I-S-S", "S12/I-S-S", {"head.0": EACH, "head.1": ALL, "head.2": ALL}),
        ("S12/I-I-I", "S12", {"head.0": EACH, "head.2": EACH}),
        (
            "S12/I-G:sst+sts-G:sts+sst",
            "S12/I-G:sst+sts-G:sst+sts",
            {"head.0": EACH, "head.1": SST_STS, "head.2": SST_STS},
        ),
        ("S10-G2:sts+quora", "S10-G2:quora+sts", {"layer.9": ALL, "layer.10": QUORA_STS}),
        ("G12:quora+sts.sst", "G12:quora+sts", {"pooler": QUORA_STS}),
        ("G12:sts+quora+sst", "S12", {"layer.0": ALL}),
        ("G6:sts.quora-I6", "I12", {"layer.0": EACH}),
        ("T12", "T12", {"layer.0": EACH}),
        ("F0-S03-S9-I0-T0", "S12", {"embeddings": ALL, "pooler": ALL}),
    ],
)
def test_examples(text, canonical, owners):
    plan = SharingPlan.parse(text, MOPS, layers=12)
    assert str(plan) == canonical
    assert {stage: plan.owners(stage) for stage in owners} == owners


def test_several_groups():
    plan = SharingPlan.parse("G6:d+c.b+a", FOUR)
    assert str(plan) == "G6:a+b.c+d"
    assert plan.owners("layer.5") == (("a", "b"), ("c", "d"))


def test_groups_are_sorted_in_text_and_follow_the_tasks_in_partitions():
    plan = SharingPlan.parse("G1:c+d.a+b", FOUR[::-1])
    assert str(plan) == "G1:a+b.c+d"
    assert plan.owners("layer.0") == (("d", "c"), ("b", "a"))


def test_one_task_knows_only_frozen_and_individual():
    text = "ES-F1-S2-I3-G4:sst-PS/S-G:sst"
    assert str(SharingPlan.parse(text, ["sst"])) == "EI-F1-I9"


def letters_of(plan):
    return {own.letter for own in (plan.embeddings, *plan.layers, plan.pooler, *plan.head)}


@pytest.mark.parametrize("text", ["T2", "I1-T1", "ET-I2", "I2-PT", "I2/I-T"])
def test_one_task_has_nothing_to_be_tied_to(text):
    message = "sharing.plan: found T with one task (sst); allowed: two tasks or more for tied"
    with pytest.raises(UserError, match=re.escape(message)):
        SharingPlan.parse(text, ["sst"])
    assert "T" in letters_of(SharingPlan.parse(text, ["sst", "sts"]))


def test_a_plan_made_by_hand_is_canonical():
    together = Ownership("G", (("sts", "sst"), ("quora",)))
    plan = SharingPlan(MOPS, together, (together,), Ownership("G", (MOPS,)), (Ownership("I"),))
    assert plan == SharingPlan.parse("G1:sst+sts-PS", MOPS)


def test_stages_go_from_the_embeddings_to_the_head():
    plan = SharingPlan.parse("F1-T1/S", MOPS)
    stages = plan.stages(head_layers=1)
    assert [s.name for s in stages] == ["embeddings", "layer.0", "layer.1", "pooler", "head.0"]
    assert [len(s.owners) for s in stages] == [1, 1, 3, 3, 1]
    assert [s.trains for s in stages] == [False, False, True, True, True]
    assert [s.ownership.tied for s in stages] == [False, False, True, True, False]


def test_stages_without_a_pooler():
    names = [s.name for s in SharingPlan.parse("S1", MOPS).stages(pooler=False)]
    assert names == ["embeddings", "layer.0"]


def test_every_part_has_its_letter():
    plan = SharingPlan.parse("EF-S3-I2-S7-PT/G:sst+sts", MOPS)
    assert plan.depth == 12
    assert "".join(own.letter for own in plan.layers) == "SSSIISSSSSSS"
    assert letters_of(plan) == {"F", "S", "I", "T", "G"}


@pytest.mark.parametrize(
    ("text", "found", "allowed"),
    [
        ("", 'an empty text ""', "a plan like S6-I6"),
        ("Q12", '"Q12"', "F (frozen), S (shared), I (individual), T (tied), G (grouped)"),
        ("S6-Q6", '"Q6" in "S6-Q6"', "S (shared)"),
        ("s12", '"s12"', "S (shared)"),
        (" S12", '" S12"', "S (shared)"),
        ("12", '"12"', "S (shared)"),
        ("S-I6", '"S" in "S-I6"', "a depth of 0, 1, 2, ..."),
        ("S+12", '"S+12"', "a depth of 0, 1, 2, ..."),
        ("S\u0661\u0662", '"S\u0661\u0662"', "a depth of 0, 1, 2, ..."),
        ("S12\n", '"S12\n"', "a depth of 0, 1, 2, ..."),
        ("S6 -I6", '"S6 " in "S6 -I6"', "a depth of 0, 1, 2, ..."),
        ("S99999", '"S99999"', "at most 4 digits"),
        ("S6--I6", 'an empty part in "S6--I6"', "one letter out of"),
        ("S12-", 'an empty part in "S12-"', "one letter out of"),
        ("-S12", 'an empty part in "-S12"', "one letter out of"),
        ("S6-EF-I6", '"EF" in "S6-EF-I6"', "an E part only first"),
        ("EF-EF-S12", '"EF" in "EF-EF-S12"', "an E part only first"),
        ("PI-S12", '"PI" in "PI-S12"', "a P part only last"),
        ("EF6-S12", '"EF6" in "EF6-S12"', "without a depth"),
        ("E-S12", '"E" in "E-S12"', "one letter out of"),
        ("S12-PQ", '"PQ" in "S12-PQ"', "one letter out of"),
        ("S12/I-S-S/I", '"S12/I-S-S/I"', 'at most one "/"'),
        ("S12/", 'an empty part in "S12/"', "one letter out of"),
        ("S12/I--S", 'an empty part in "S12/I--S"', "one letter out of"),
        ("S12/I-S2-S", '"S2" in "S12/I-S2-S"', "without a depth"),
        ("S12/I-S", '"S12/I-S" (2 head layers)', "as head.depth has layers (3)"),
        ("G12", '"G12"', "groups of tasks after G"),
        ("G12:", '"G12:"', "groups of tasks after G"),
        ("S12:sst+sts", '"S12:sst+sts"', "after no other letter"),
        ("S12:", '"S12:"', "after no other letter"),
        ("EG-S12", '"EG" in "EG-S12"', "groups of tasks after G"),
        ("G12:sst+", 'task "" in "G12:sst+"', "the tasks sst, quora, sts"),
        ("G12:sst+qora", 'task "qora"', "the tasks sst, quora, sts (nearest: quora)"),
        ("G12:sst+sst", 'task "sst" twice in "G12:sst+sst"', "sst, quora, sts at most once"),
        ("G12:sst+sts.quora+sst", 'task "sst" twice', "sst, quora, sts at most once"),
        ("S6-I5", '"S6-I5" (11 layers)', "depths that add up to 12 layers"),
        ("EF-PI", '"EF-PI" (0 layers)', "depths that add up to 12 layers"),
    ],
)
def test_bad_text(text, found, allowed):
    with pytest.raises(UserError) as caught:
        SharingPlan.parse(text, MOPS, layers=12, head_layers=3, where="my.plan")
    message = str(caught.value)
    assert message.startswith("my.plan: found " + found)
    assert allowed in message.partition("; allowed: ")[2]


@pytest.mark.parametrize("text", ["S0", "EF", "PF", "EF-I0-PS/S"])
def test_a_plan_has_layers(text):
    with pytest.raises(UserError, match=r"\(0 layers\); allowed: at least one encoder layer"):
        SharingPlan.parse(text, MOPS)


def test_a_plan_made_by_hand_has_layers():
    with pytest.raises(UserError, match="at least one encoder layer"):
        SharingPlan(MOPS, Ownership("S"), (), Ownership("S"))


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ((), "task: found no tasks; allowed: at least one"),
        (("sst", "sst"), 'task: found "sst" twice in sst, sst; allowed: each name only once'),
        (("SST",), 'task: found "SST"; allowed: lower-case letters, digits and underscores'),
        (("sst", ""), 'task: found ""; allowed: lower-case letters'),
        (("sst\n",), 'task: found "sst\n"; allowed: lower-case letters'),
    ],
)
def test_bad_tasks(tasks, message):
    with pytest.raises(UserError, match=re.escape(message)):
        SharingPlan.parse("S12", tasks)


@pytest.mark.parametrize("name", ["layer.12", "layer.00", "layer", "head.3", "heads", "", "Pooler"])
def test_unknown_stage(name):
    plan = SharingPlan.parse("S12/I-S-S", MOPS)
    allowed = "embeddings, layer.0 to layer.11, pooler, head.0 to head.2"
    with pytest.raises(UserError, match=re.escape(f'stage: found "{name}"; allowed: {allowed}')):
        plan.owners(name)


def test_stages_need_the_length_of_the_head_stack():
    plan = SharingPlan.parse("S12/I-S-S", MOPS)
    with pytest.raises(UserError, match=r'"S12/I-S-S" \(3 head layers\); .* layers \(2\)'):
        plan.stages(head_layers=2)


@pytest.mark.parametrize("args", [("Q",), ("G",), ("S", (("a",),))])
def test_bad_ownership(args):
    with pytest.raises(UserError, match=rf'sharing.plan: found .*"{args[0]}'):
        Ownership(*args)


def test_ownership_of_an_unknown_task():
    with pytest.raises(UserError, match=r'task "b" in "G:a[+]b"; allowed: the tasks a, c'):
        Ownership("G", (("b", "a"),)).owners(("a", "c"))
