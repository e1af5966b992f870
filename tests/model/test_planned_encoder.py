"""Identities of the encoder that runs a plan, in float64."""

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.model.encoder.layers import make_stage, tower_stages
from mtl_sharing.model.planned_encoder import PlannedEncoder
from mtl_sharing.model.routing import PackedRows, Stream, values_by_task
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.training.optimizer import make_optimizer
from mtl_sharing.training.settings import OptimizerConfig

TASKS = ("a", "b", "c")
PLANS = [
    "S3", "I3", "F3", "S1-I2", "I2-S1", "F1-S1-I1", "S1-F1-I1", "G3:a+c", "I1-G1:b+c-S1",
    "G1:a+b-G1:b+c-G1:a+c", "EI-S3-PI", "EF-S1-G2:a+b-PS", "T3", "F1-T1-I1", "S2-T1-PS",
]  # fmt: skip
close = torch.testing.assert_close


def stages(encoder):
    return [encoder.embeddings, *encoder.layers, *([encoder.pooler] if encoder.pooler else [])]


def perturb(encoder):
    """Makes every copy's weights its own, so that a mixed-up copy cannot hide."""
    torch.manual_seed(17)
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)


def copy_of(stage, task):
    (found,) = [c for o, c in zip(stage.owners, stage.copies, strict=True) if task in o]
    return found


def alone(encoder, task, tower):
    """A single-task encoder that holds the weights that ``task`` has in ``encoder``."""
    plan = SharingPlan.parse(f"S{encoder.shape.layers}", [task])
    single = PlannedEncoder(encoder.shape, plan, tower, pooler=encoder.pooler is not None)
    for mine, stage in zip(stages(single), stages(encoder), strict=True):
        mine.copies[0].load_state_dict(copy_of(stage, task).state_dict())
    return single


def pooled(encoder, batches):
    return values_by_task(encoder.pooled(encoder(batches)), batches)


@pytest.fixture
def shape(make_shape):
    return make_shape()


@pytest.fixture
def tower(shape, make_tower):
    return make_tower(shape)


@pytest.fixture
def build(shape, tower):
    """A planned encoder with a pooler; dropout as the shape says."""

    def make(plan, tasks=TASKS, eval_mode=True):
        encoder = PlannedEncoder(shape, SharingPlan.parse(plan, tasks), tower, pooler=True)
        return encoder.eval() if eval_mode else encoder.train()

    return make


@pytest.fixture
def batches(make_batch):
    """Three tasks' texts: mixed lengths, equal lengths, and a single token."""
    lengths = {"a": (5, 1, 11, 5), "b": (7, 7), "c": (1,)}
    return {task: make_batch(each, seed) for seed, (task, each) in enumerate(lengths.items())}


def test_all_shared_is_the_plain_encoder(build, shape, tower, batches):
    encoder = build("S3")
    found, vectors = encoder.hidden(batches), pooled(encoder, batches)
    for task, batch in batches.items():
        ids = torch.stack([batch.tokens, batch.token_types], dim=1)
        for number, rows in enumerate(ids.split(batch.lengths)):
            layout = [SequenceLayout.of([len(rows)], rows.device)]
            for name in tower_stages(shape):
                stage = make_stage(name, shape).double().eval()
                stage.load_state_dict(tower[name])
                states, rows = rows, stage(rows if name != "pooler" else rows[:1], layout)
            close(found[task].split(batch.lengths)[number], states)
            close(vectors[task][number], rows[0])


@pytest.mark.parametrize("plan", PLANS)
def test_a_joined_pass_is_one_pass_for_each_task(build, tower, batches, plan):
    encoder = build(plan)
    perturb(encoder)
    hidden, vectors = encoder.hidden(batches), pooled(encoder, batches)
    for task, batch in batches.items():
        single = alone(encoder, task, tower).eval()
        close(hidden[task], single.hidden({task: batch})[task])
        close(vectors[task], pooled(single, {task: batch})[task])
        close(hidden[task], encoder.hidden({task: batch})[task])


def test_the_order_of_the_tasks_in_a_step_changes_nothing(build, batches):
    encoder = build("G1:b+c-I1-S1")
    perturb(encoder)
    forwards = encoder.hidden(batches)
    backwards = encoder.hidden(dict(reversed(batches.items())))
    for task in TASKS:
        close(forwards[task], backwards[task])


@pytest.mark.parametrize("plan", PLANS)
def test_a_copy_gets_the_sum_of_its_owners_gradients(build, tower, batches, plan):
    encoder = build(plan)
    perturb(encoder)
    loss = {"a": 1.0, "b": 3.0, "c": 7.0}

    def backward(model, tasks):
        texts = {task: batches[task] for task in tasks}
        vectors = pooled(model, texts)
        total = sum(weight * vectors[t].sum() for t, weight in loss.items() if t in tasks)
        if total.requires_grad:
            total.backward()

    backward(encoder, TASKS)
    singles = {task: alone(encoder, task, tower).eval() for task in TASKS}
    for task, single in singles.items():
        backward(single, [task])
    for depth, stage in enumerate(stages(encoder)):
        for owners, copy in zip(stage.owners, stage.copies, strict=True):
            each = [dict(stages(singles[t])[depth].named_parameters()) for t in owners]
            for name, parameter in copy.named_parameters():
                if not stage.trains:
                    assert parameter.grad is None
                    continue
                wanted = sum(one[f"copies.0.{name}"].grad for one in each)
                assert wanted.abs().max() > 0
                close(parameter.grad, wanted)


@pytest.mark.parametrize(
    ("plan", "frozen"),
    [
        ("F1-S1-I1", {"embeddings", "layer.0"}),
        ("S1-F1-I1", {"layer.1"}),
        ("EF-I2-S1-PF", {"embeddings", "pooler"}),
        ("S1-I1-F1", {"layer.2", "pooler"}),
    ],
)
def test_a_frozen_stage_keeps_every_bit(build, batches, plan, frozen):
    encoder = build(plan, eval_mode=False)
    optimizer = make_optimizer(
        [(n, w) for n, w in encoder.named_parameters() if w.requires_grad],
        OptimizerConfig(lr=0.1, weight_decay=0.3),
    )
    before = [{k: v.clone() for k, v in s.state_dict().items()} for s in stages(encoder)]
    for _ in range(3):
        sum(vectors.sum() for vectors in pooled(encoder, batches).values()).backward()
        optimizer.step()
        optimizer.zero_grad()
    for stage, old in zip(stages(encoder), before, strict=True):
        same = [torch.equal(value, old[name]) for name, value in stage.state_dict().items()]
        assert all(same) if stage.name in frozen else not any(same)


@pytest.mark.parametrize("plan", ["F2-S1-I1", "S1-F2-I1"])
def test_only_frozen_stages_run_without_dropout(make_shape, make_tower, batches, plan):
    shape = make_shape(layers=4)
    encoder = PlannedEncoder(shape, SharingPlan.parse(plan, TASKS), make_tower(shape)).train()
    torch.manual_seed(0)
    rows = []
    for task, text in batches.items():
        layout = SequenceLayout.of(text.lengths, text.tokens.device)
        ids = torch.stack([text.tokens, text.token_types], dim=1)
        rows.append(PackedRows((Stream((task,), layout, len(ids)),), ids))
    for stage in stages(encoder):
        first, second = stage(rows), stage(rows)
        same = [torch.equal(x.values, y.values) for x, y in zip(first, second, strict=True)]
        assert same == [not stage.trains] * len(same)
        rows = first


def test_a_frozen_stage_does_not_stop_gradients_from_passing(build, batches):
    encoder = build("S1-F1-I1")
    pooled(encoder, batches)["a"].sum().backward()
    assert encoder.layers[0].copies[0].up.weight.grad.abs().sum() > 0
    assert encoder.layers[1].copies[0].up.weight.grad is None


def count_rows(encoder):
    """How many rows each copy of each stage is run on, filled in as the encoder runs."""
    seen = {}
    for stage in [encoder.embeddings, *encoder.layers]:
        for owners, copy in zip(stage.owners, stage.copies, strict=True):
            rows = seen.setdefault((stage.name, *owners), [])
            copy.register_forward_hook(lambda _, args, __, rows=rows: rows.append(len(args[0])))
    return seen


@pytest.mark.parametrize("plan", PLANS)
def test_the_same_batch_object_gives_the_results_of_equal_ones(build, make_batch, plan):
    encoder = build(plan)
    perturb(encoder)
    same = make_batch((5, 1, 7))
    together = dict.fromkeys(TASKS, same)
    apart = {task: make_batch((5, 1, 7)) for task in TASKS}
    found, wanted = encoder.hidden(together), encoder.hidden(apart)
    vectors, wanted_vectors = pooled(encoder, together), pooled(encoder, apart)
    for task in TASKS:
        close(found[task], wanted[task])
        close(vectors[task], wanted_vectors[task])


def test_shared_stages_run_once_on_the_same_batch(build, make_batch):
    encoder = build("S1-G1:a+c-I1")
    seen = count_rows(encoder)
    encoder.hidden(dict.fromkeys(TASKS, make_batch((5, 1, 7))))
    assert seen == {
        ("embeddings", "a", "b", "c"): [13],
        ("layer.0", "a", "b", "c"): [13],
        ("layer.1", "a", "c"): [13],
        ("layer.1", "b"): [13],
        ("layer.2", "a"): [13],
        ("layer.2", "b"): [13],
        ("layer.2", "c"): [13],
    }


def test_two_of_three_tasks_with_the_same_batch(build, make_batch):
    encoder = build("S1-I1-S1")
    perturb(encoder)
    seen, text, other = count_rows(encoder), make_batch((5, 1, 7), 0), make_batch((3,), 1)
    found = encoder.hidden({"a": text, "b": other, "c": text})
    assert seen["layer.0", "a", "b", "c"] == [13 + 3]
    assert [seen["layer.1", task] for task in TASKS] == [[13], [3], [13]]
    assert seen["layer.2", "a", "b", "c"] == [13 + 3 + 13]
    close(found["b"], encoder.hidden({"b": other})["b"])
    close(found["c"], encoder.hidden({"c": text})["c"])


def test_equal_texts_in_separate_objects_are_not_merged(build, make_batch):
    encoder = build("S3")
    seen = count_rows(encoder)
    encoder.hidden({"a": make_batch((5, 1)), "b": make_batch((5, 1))})
    assert seen["layer.0", "a", "b", "c"] == [12]


def test_late_sharing_reads_both_tasks_rows_of_the_same_batch(make_shape, make_tower, make_batch):
    shape = make_shape(layers=4)
    tower = make_tower(shape)
    encoder = PlannedEncoder(shape, SharingPlan.parse("I2-S2", ["a", "b"]), tower).eval()
    perturb(encoder)
    seen, text = count_rows(encoder), make_batch((5, 1, 7))
    found = encoder.hidden({"a": text, "b": text})
    assert seen["layer.1", "a"] == seen["layer.1", "b"] == [13]
    assert seen["layer.2", "a", "b"] == seen["layer.3", "a", "b"] == [26]
    for task in "ab":
        close(found[task], alone(encoder, task, tower).eval().hidden({task: text})[task])
    assert not torch.allclose(found["a"], found["b"])


def test_copies_start_equal_and_are_not_the_same_memory(build, tower):
    encoder = build("I3")
    for stage in stages(encoder):
        weights = [copy.state_dict() for copy in stage.copies]
        for name, value in tower[stage.name].items():
            assert all(torch.equal(state[name], value) for state in weights)
            assert len({state[name].data_ptr() for state in weights} | {value.data_ptr()}) == 4


@pytest.mark.parametrize(
    ("plan", "tied"),
    [
        ("T3", {"embeddings", "layer.0", "layer.1", "layer.2", "pooler"}),
        ("S1-T2", {"layer.1", "layer.2", "pooler"}),
        ("S3-PT", {"pooler"}),
        ("S2-I1", set()),
    ],
)
def test_tied_stages_are_marked_and_have_a_copy_for_each_task(build, plan, tied):
    found = [stage for stage in stages(build(plan)) if stage.tied]
    assert {stage.name for stage in found} == tied
    assert all(stage.owners == (("a",), ("b",), ("c",)) and stage.trains for stage in found)


def test_a_plan_of_another_depth_is_refused(build):
    with pytest.raises(UserError, match=r"S5 \(5 layers\).*add up to 3 layers"):
        build("S5")


def test_an_encoder_without_a_pooler_says_so(shape, tower, batches):
    encoder = PlannedEncoder(shape, SharingPlan.parse("S3", TASKS), tower)
    with pytest.raises(ValueError, match="without a pooler"):
        encoder.pooled(encoder(batches))
