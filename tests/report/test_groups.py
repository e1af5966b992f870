"""Which runs belong together, and what a group is called."""

import pytest

from mtl_sharing.report.inputs.groups import baseline_of, make_groups
from mtl_sharing.report.inputs.labels import common_settings
from mtl_sharing.report.inputs.runs import read_runs


def groups_in(folder):
    return make_groups(read_runs([folder]).runs)


def test_real_runs_fall_into_their_groups(real_runs):
    base, hybrid = groups_in(real_runs)
    assert (base.label, base.seeds, base.separate) == ("I4", (0,), True)
    assert (hybrid.label, hybrid.seeds, hybrid.separate) == ("S2-I2", (0, 1), False)
    assert hybrid.tasks == ("sst", "quora", "sts")
    assert [baseline_of(g, [base, hybrid]) for g in (base, hybrid)] == [base, base]


def test_seeds_and_places_part_no_group(make_run):
    make_run("a", seed=1)
    make_run("b", seed=0, settings={"trainer.device": "cuda", "data_dir": "/x", "score.pairs": 9})
    make_run("c", seed=2, settings={"sharing.name": "other", "cache.tokens": False, "split": 3,
                                    "tracker.tensorboard.enabled": True})  # fmt: skip
    [group] = groups_in(make_run.top)
    assert (group.label, group.seeds, [r.name for r in group.runs]) == (
        "I12", (0, 1, 2), ["b", "a", "c"])  # fmt: skip


def test_labels_tell_what_differs_and_no_more(make_run):
    slow = {"optimizer.lr": 0.0001, "scheduler.warmup": 0.3}
    make_run("a")
    make_run("b", settings=slow)
    make_run("c", "S6-I6", settings=slow)
    found = groups_in(make_run.top)
    # The warm-up changes with the rate, so that it need not be told; both are kept.
    assert [g.label for g in found] == [
        "I12", "I12  learning rate 0.001", "S6-I6"
    ]  # fmt: skip
    # What most have is said once, beside the table.
    assert common_settings([g.label for g in found], [g.differs for g in found]) == {
        "learning rate": "0.0001"
    }
    assert found[0].differs == {"optimizer.lr": "0.0001", "scheduler.warmup": "0.3"}
    assert [baseline_of(g, found) for g in found] == [found[0], found[1], found[0]]


def test_an_option_of_a_group_is_told_as_it_is_chosen(make_run):
    make_run("a")
    make_run("b", "S6-I6", settings={"sampler.name": "annealed"})
    found = groups_in(make_run.top)
    assert [g.label for g in found] == ["I12  sampler unified", "S6-I6  sampler annealed"]


def test_the_precision_that_was_taken_parts_groups(make_run):
    make_run("a", result={"machine.precision": "bf16"})
    make_run("b", seed=1, settings={"trainer.precision": "auto"})
    make_run("c", seed=2, settings={"trainer.precision": "fp32"})
    found = groups_in(make_run.top)
    assert [(g.label, g.seeds) for g in found] == [
        ("I12  precision bf16", (0,)), ("I12  precision fp32", (1, 2))
    ]  # fmt: skip


def test_parts_part_groups_and_have_no_baseline_among_other_text(make_run):
    pals = {"parts": {"pals": {"size": 4}}, "regime": "S12 + pals 4"}
    clean = {"parts": {"clean": {"steps": ["lower"]}}, "regime": "S12 + clean lower"}
    make_run("base")
    make_run("pals", "S12", result=pals)
    make_run("clean", "S12", result=clean, settings={"suite.clean": ["lower"]})
    found = {g.label: g for g in groups_in(make_run.top)}
    assert list(found) == ["I12", "S12 + clean lower", "S12 + pals 4"]
    known = list(found.values())
    assert baseline_of(found["S12 + pals 4"], known) is found["I12"]
    assert baseline_of(found["S12 + clean lower"], known) is None


def test_distilled_runs_are_held_against_separate_models_without_a_teacher(make_run):
    for name, plan in (("one", "I12"), ("two", "S12")):
        part = {"parts": {"distillation": {"weight": 1.0}}, "regime": f"{plan} + distilled 1"}
        make_run(name, plan, result=part, settings={"distillation.weight": 1.0})
    make_run("base")
    found = {g.label: g for g in groups_in(make_run.top)}
    assert {label for label, group in found.items() if group.separate} == {"I12"}
    assert all(baseline_of(g, found.values()) is found["I12"] for g in found.values())


def test_other_data_in_a_folder_of_the_same_name_parts_groups(make_run):
    make_run("old")
    make_run("new", seed=1, result={"tasks.sst.floor": 0.9})
    make_run("shared", "S12", result={"tasks.sst.floor": 0.9})
    old, new, shared = sorted(groups_in(make_run.top), key=lambda group: group.separate is False)
    assert new.label == "I12" and old.label.startswith("I12  sst floor 0.2")
    assert baseline_of(shared, [old, new, shared]) is new


def test_gradient_rules_do_not_matter_to_separate_models(make_run):
    make_run("base")
    make_run("pcgrad", "S6-I6", settings={"loss.aggregation": "pcgrad"})
    base, other = groups_in(make_run.top)
    assert other.label == "S6-I6  aggregation pcgrad"
    assert baseline_of(other, [base, other]) is base


def test_equal_seeds_are_kept_and_told(make_run):
    (make_run("a"), make_run("b"), make_run("c", seed=5))
    [group] = groups_in(make_run.top)
    assert (len(group.runs), group.seeds) == (3, (0, 5))
    assert group.by_seed()[0].name == "a"


@pytest.mark.parametrize("words", ["S6-I6", "S6-I6 with words that are the same"])
def test_labels_are_unique(make_run, words):
    one = {"parts": {"tie": {"strength": 1}}, "regime": words}
    make_run("a", "S6-I6", result=one)
    make_run("b", "S6-I6", result=one | {"parts": {"tie": {"strength": 2}}})
    lost = make_run("c", "S6-I6")
    (lost / "config.json").unlink()
    labels = [g.label for g in groups_in(make_run.top)]
    assert len(set(labels)) == 3
    assert any("(c)" in label for label in labels)


def test_a_setting_that_an_older_version_lacks_is_what_it_is_by_default(make_run):
    make_run("a")
    old = make_run("b", seed=1)
    text = (old / "config.json").read_text()
    assert '"eval_batch_size": 64, ' in text
    (old / "config.json").write_text(text.replace('"eval_batch_size": 64, ', ""))
    assert len(groups_in(make_run.top)) == 1


def test_only_finished_runs_are_grouped(make_run):
    make_run("a", result={"status": "failed"})
    assert groups_in(make_run.top) == []
