"""The sharing group as values: shares of an encoder's depth and width, templates, parts."""

import logging
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl_sharing.errors import UserError
from mtl_sharing.job.description import describe_regime
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.network import Network
from mtl_sharing.plan.settings import DEFAULT_SPLIT, SharingConfig
from mtl_sharing.plan.template import make_plan, scaled_width
from support import load_config

TASKS = ("sst", "quora", "sts")
FSI = SharingConfig(
    template="F{frozen}-S{shared}-I{individual}",
    depths={"frozen": "4/12", "shared": "4/12", "individual": "4/12"},
)


def plan(sharing, layers, split="6/12"):
    return str(make_plan(sharing, split, TASKS, layers, 0))


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [(12, "F4-S4-I4"), (6, "F2-S2-I2"), (24, "F8-S8-I8"), (4, "F1-S2-I1"), (5, "F2-S1-I2")],
)
def test_shares_follow_the_encoder_and_fill_it(layers, wanted):
    assert plan(FSI, layers) == wanted


@given(
    st.lists(st.integers(0, 9), min_size=2, max_size=5).filter(any),
    st.integers(1, 30),
)
def test_shares_of_one_always_add_up(parts, layers):
    names = "abcde"[: len(parts)]
    letters = [("SI" * 3)[number] for number in range(len(parts))]
    template = "-".join(f"{letter}{{{name}}}" for letter, name in zip(letters, names, strict=True))
    shares = [f"{part}/{sum(parts)}" for part in parts]
    sharing = SharingConfig(template=template, depths=dict(zip(names, shares, strict=True)))
    found = make_plan(sharing, DEFAULT_SPLIT, TASKS, layers, 0)
    assert found.depth == layers
    for letter in "SI":
        share = sum(p for p, own in zip(parts, letters, strict=True) if own == letter) / sum(parts)
        count = sum(own.letter == letter for own in found.layers)
        assert abs(count - share * layers) <= len(parts)


def test_a_number_is_taken_as_it_is():
    assert plan(SharingConfig(), 6, split=6) == "S6"
    assert plan(SharingConfig(), 6) == "S3-I3"
    assert plan(SharingConfig(), 24, split=6) == "S6-I18"
    assert plan(SharingConfig(template="S{split}-I{split}"), 12) == "S6-I6"
    with pytest.raises(UserError, match=r"sharing\.depths: .*add up to 12 layers"):
        plan(replace(FSI, depths=FSI.depths | {"frozen": 2}), 12)


@pytest.mark.parametrize(
    ("value", "hidden", "multiple", "wanted"),
    [("204/768", 768, 12, 204), ("204/768", 384, 12, 108), ("204/768", 64, 4, 16), (17, 64, 4, 17),
     ("256/768", 768, 1, 256), ("1024/768", 384, 1, 512), ("1/1000", 64, 4, 4)],
)  # fmt: skip
def test_widths_come_out_in_proportion(value, hidden, multiple, wanted):
    assert scaled_width("head.width", value, hidden, multiple) == wanted


@pytest.mark.parametrize("value", ["0", "0/768", "1/0", "-3", "wide", "1.5", "", "2/"])
def test_what_is_no_width_is_refused(value):
    with pytest.raises(UserError, match=r"head\.width"):
        scaled_width("head.width", value, 64)


def test_the_log_says_what_a_share_became(caplog):
    caplog.set_level(logging.INFO)
    words = ["+experiment=pals_rr", "encoder=minilm_l6"]
    run_spec = resolve_spec(load_config(*words))
    assert run_spec.architecture.pals.size == 108
    assert "sharing.pals.size=204/768 is 108 of this encoder's 384" in caplog.text
    caplog.clear()
    assert resolve_spec(load_config(*words, "sharing.pals.size=24")).architecture.pals.size == 24
    assert resolve_spec(load_config("+experiment=pals_rr")).architecture.pals.size == 204
    assert not caplog.text


@pytest.mark.parametrize(
    ("experiment", "encoder", "wanted"),
    [("hybrid", "bert_base", "S6-I6"), ("hybrid", "minilm_l6", "S3-I3"),
     ("mops_fsi", "distilbert", "F2-S2-I2"), ("soft_fsi", "minilm_l6", "F2-T2-I2"),
     ("economy_pair_layer", "distilbert", "S5-G1:quora+sts")],
)  # fmt: skip
def test_experiments_fit_every_encoder(experiment, encoder, wanted):
    found = resolve_spec(load_config(f"+experiment={experiment}", f"encoder={encoder}"))
    assert str(found.plan) == wanted


def test_parts_are_added_to_any_plan():
    words = ["+experiment=lanes", "sharing=hybrid", "sharing.pals.size=204/768"]
    found = resolve_spec(load_config(*words)).architecture
    assert (str(found.plan), found.pals.size) == ("S6-I6", 204)
    assert found.lanes.upstream == {"sst": (), "quora": ("sst",), "sts": ("sst", "quora")}
    assert load_config("sharing.lanes.upstream={sts:[sst]}").sharing.lanes.upstream == {
        "sts": ["sst"]
    }


def regime(*words):
    return describe_regime(resolve_spec(load_config(*words)))


def test_regimes_that_differ_are_told_apart():
    names = ["lanes", "lanes_sst_only", "lanes_quora_only", "lanes_soft_freeze", "lanes_attention",
             "lanes_baseline", "pals_rr", "soft_l2", "soft_fsi", "mops_fsi"]  # fmt: skip
    pals = [[], ["sharing.pals.layers=top"], ["sharing.pals.kind=low_rank"], ["task.sst.layer=3"]]
    found = [regime(f"+experiment={name}") for name in names]
    found += [regime("sharing=pals", *words) for words in pals]
    assert len(set(found)) == len(found)
    assert regime("sharing=soft") == "T12 + tie pairs 0.01"
    # The pooler is named, but heads that pool by the mean have none.
    assert regime("sharing.plan=S12-PT") == "S12-PT"


def test_stages_above_every_head_are_tied_to_nothing():
    run_spec = resolve_spec(load_config("sharing=soft", "head.layer=-2"))
    copies = {stage.name: len(stage.owners) for stage in run_spec.architecture.stages()}
    assert (copies["layer.10"], copies["layer.11"]) == (3, 0)
    with torch.device("meta"):
        network = Network(run_spec.architecture, None)
    layer = sum(1 for _ in network.encoder.layers[10].copies[0].parameters())
    embeddings = sum(1 for _ in network.encoder.embeddings.copies[0].parameters())
    assert [len(copy) for copy in network.tied()] == [embeddings + 11 * layer] * 3


def test_a_head_reads_what_it_can_of_those_before_it(caplog):
    caplog.set_level(logging.INFO)
    words = ["sharing=progressive", "pairing=separate", "suite.tasks=[sts,sst,quora]"]
    lanes = resolve_spec(load_config(*words)).architecture.lanes
    assert lanes.upstream == {"sts": (), "sst": (), "quora": ("sts", "sst")}
    assert "sst, a head of one text, does not read sts" in caplog.text
    alone = resolve_spec(load_config("sharing=progressive", "suite.tasks=[sst]"))
    assert alone.architecture.lanes is None


@pytest.mark.parametrize(
    ("words", "told"),
    [(["sharing=pals", "split=6"], "split=6"), (["sharing.plan=S12", "split=3"], "split=3"),
     (["sharing=hybrid", "split=3"], ""), (["sharing.tie.strength=1"], "sharing.tie"),
     (["sharing=soft", "sharing.tie.strength=1"], ""), (["sharing=shared"], "")],
)  # fmt: skip
def test_a_setting_that_changes_nothing_is_told(caplog, words, told):
    caplog.set_level(logging.WARNING)
    resolve_spec(load_config(*words))
    assert caplog.text == "" if not told else f"{told} changes nothing" in caplog.text
