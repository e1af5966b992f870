"""Settings of progressive lanes: those of the config, and those that are refused."""

import pytest

from lanes_by_hand import CHAIN, MAPS, SINGLE, pairs
from mtl_sharing.config import Config
from mtl_sharing.errors import UserError
from mtl_sharing.job.network_parts import make_lanes
from mtl_sharing.model.specs import LaneShape, TaskHead


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


def test_heads_on_unequal_layers_are_refused(describe):
    with pytest.raises(UserError, match="one layer for all heads"):
        describe(head_layers={"sst": 1})


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
