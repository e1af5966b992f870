"""Progressive lanes against a recursion over the heads written out by hand, in float64."""

import pytest
import torch

from lanes_by_hand import CHAIN, LENGTHS, MAPS, SINGLE, TASKS, check, pairs
from mtl_sharing.model.specs import FUSIONS, TaskHead


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


def test_a_shared_head_layer_runs_as_the_upstream_head_has_it(build, batches):
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
