"""A loaded run of every kind predicts what its run said, and says clearly what it cannot."""

import numpy as np
import pandas as pd
import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.predict.loading import load_run

SMALL = ("encoder.layers=2",)
KINDS = {
    "shared": ("sharing.plan=S2",),
    "individual, pairs joined": ("sharing.plan=I2", "pairing=joined"),
    "frozen": ("sharing.plan=F1-S1",),
    "tied": ("sharing.plan=T1-I1",),
    "grouped": ("sharing.plan=S1-G1:quora+sts",),
    "late": ("sharing.plan=I1-S1", "pairing=joined", "head.pooling=cls"),
    "pals": ("sharing=pals", "sharing.pals.size=6", "sharing.plan=S1-I1"),
    "lanes": ("sharing=progressive", "sharing.plan=S2"),
    "lanes of joined pairs": ("sharing=progressive", "sharing.plan=S2", "pairing=joined"),
    "heads": ("sharing.plan=S1-I1/I-S", "head=mlp", "head.depth=2", "head.pooling=pooler",
              "pairing.place=output"),
    "cosine": ("sharing.plan=S2", "head=cosine"),
    "mixed pairs": ("sharing.plan=S2", "task.quora.pairing=joined", "task.sst.layer=0"),
    "clean": ("sharing.plan=S2", "suite.clean=[lower,letters,spaces]"),
    "classes": ("sharing.plan=S2", "task.sts.loss=expected_class", "task.quora.loss=mse"),
}  # fmt: skip


def check_against_its_run(folder):
    """The loaded run says of dev, each task alone and all on one text, what its run said."""
    run = load_run(folder, device="cpu")
    said = pd.read_parquet(folder / "predictions.parquet")
    for task, rows in said.groupby("task", sort=False):
        pairs = None if rows["text_pair"].isna().all() else rows["text_pair"].tolist()
        found = run.predict(rows["text"].tolist(), pairs, [task])
        compare(found, task, rows)
    pairs = said[said["task"] == "quora"]
    together = run.predict(pairs["text"].tolist(), pairs["text_pair"].tolist(), batch_size=7)
    compare(together, "quora", pairs)
    for task in run.tasks:
        second = pairs["text_pair"].tolist() if run.run_spec.specs[task].is_pair else None
        alone = run.predict(pairs["text"].tolist(), second, [task])
        np.testing.assert_allclose(together[task].astype(float), alone[task].astype(float),
                                   atol=1e-5)  # fmt: skip


def compare(found, task, rows):
    np.testing.assert_allclose(found[task].astype(float), rows["prediction"], atol=1e-5)
    if f"{task}_probability" in found:
        np.testing.assert_allclose(found[f"{task}_probability"], rows["probability"], atol=1e-5)
    else:
        assert rows["probability"].isna().all()


@pytest.mark.parametrize("words", KINDS.values(), ids=KINDS)
def test_a_loaded_run_says_what_its_run_said(quick_run, words):
    check_against_its_run(quick_run(*SMALL, *words))


def test_tags_are_read_as_in_training(tagged_run):
    check_against_its_run(tagged_run)


NAMED = ("sharing.plan=S1-I1", "task.sst.labels=[awful,bad,fair,good,great]",
         "task.sst.classes=null")  # fmt: skip


@pytest.fixture(scope="module")
def run(quick_run):
    return load_run(quick_run(*SMALL, "sharing.plan=S1-I1"), device="cpu")


def test_texts_without_pairs_go_to_the_tasks_of_single_texts(run):
    found = run.predict(["good", None, "  ", "bad"])
    each = [f"sst_probability_{number}" for number in range(5)]
    assert list(found.columns) == ["sst", "sst_probability", *each]
    assert found["sst"].isna().tolist() == [False, True, True, False]
    assert found["sst_probability"].isna().tolist() == [False, True, True, False]
    assert str(found["sst"].dtype) == "Int64"
    assert found[each].isna().all(axis=1).tolist() == [False, True, True, False]
    assert run.predict([]).shape == (0, 7)
    fewer = run.predict(["good", None, "  ", "bad"], class_probabilities=False)
    pd.testing.assert_frame_equal(fewer, found[["sst", "sst_probability"]])


def test_rows_that_lack_a_second_text_still_have_the_first(run):
    firsts, seconds = ["one thing", "another thing"], ["a thing", None]
    found = run.predict(firsts, seconds)
    assert found["sst"].isna().tolist() == [False, False]
    assert found["quora"].isna().tolist() == found["sts"].isna().tolist() == [False, True]
    whole = run.predict(firsts[:1], seconds[:1])
    assert found["sts"][0] == pytest.approx(whole["sts"][0], abs=1e-5)


def test_columns_of_a_table_are_read_in_their_order(run):
    table = pd.DataFrame({"a": ["good", "bad", None, "fine"], "b": ["x", "y", "z", np.nan]})
    table = table.loc[[3, 1, 0, 2]]
    found = run.predict(table["a"], table["b"])
    texts, pairs = ["fine", "bad", "good", None], [None, "y", "x", "z"]
    pd.testing.assert_frame_equal(found, run.predict(texts, pairs))
    assert found["sst"].isna().tolist() == [False, False, False, True]
    assert run.predict(pd.Series(["a", pd.NA], dtype="string"))["sst"].isna().tolist() == [0, 1]


def test_order_and_batches_change_nothing(run):
    texts = [f"{'very ' * (n % 13)}good film {n}" for n in range(50)]
    once = run.predict(texts, texts[::-1], batch_size=50)
    for size in (1, 7):
        found = run.predict(texts, texts[::-1], batch_size=size)
        np.testing.assert_allclose(found["sts"], once["sts"], atol=1e-5)
        np.testing.assert_allclose(found["sst_probability"], once["sst_probability"], atol=1e-5)


def test_predictions_leave_no_trace(run):
    before = {name: value.clone() for name, value in run.network.state_dict().items()}
    random = torch.get_rng_state()
    run.predict(["good"])
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((["a"], None, ["quara"]), "tasks: found quara (nearest: quora)"),
        ((["a"], None, ["quora"]), "text_pairs: found none; allowed: second texts, for task quora"),
        (("a",), "texts: found one text; allowed: a list of texts"),
        ((None,), "texts: found None; allowed: a list of texts"),
        ((["a", 5],), "texts[1]: found 5; allowed: a text, or None"),
        ((["a"], None, "sst"), "tasks: found sst; allowed: a list, as in ['sst']"),
        ((["a"], ["b", "c"]), "text_pairs: found 2 texts; allowed: 1, one for each text"),
        ((["a"], None, None, 0), "batch_size: found 0; allowed: 1 or more"),
    ],
)
def test_mistakes_are_told(run, arguments, words):
    with pytest.raises(UserError) as error:
        run.predict(*arguments)
    assert words in str(error.value)
