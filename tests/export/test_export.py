"""An export has the run's hidden states, ids and predictions, by the card's own code."""

import json
import os
import re
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file

from export_runs import DISTILBERT, ELECTRA, ROBERTA, texts_of
from mtl_sharing.batch import PackedBatch
from mtl_sharing.cli.export import main
from mtl_sharing.data.tokens.tokenizing import encode
from mtl_sharing.errors import UserError
from mtl_sharing.export.plain import plain_config
from mtl_sharing.export.write import export_run, new_folder, without_paths
from mtl_sharing.model.encoder.shape import checkpoint_shape
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.predict.loading import load_run
from mtl_sharing.run_folder.manifest import replace_listed_json
from spacy_pipelines import make_pipeline

# Words of a run, and the task that is exported of it.
CASES = {
    "bert, mean, separate pairs": ((), "quora"),
    "bert, pooler, joined pairs": (("pairing=joined", "head.pooling=pooler"), "quora"),
    "bert, one text, hidden layers": (("head=mlp", "head.depth=2", "head.activation=gelu"), "sst"),
    "bert, lower layer, own copies": (("task.sts.layer=1", "split=0", "head.pooling=null"), "sts"),
    "bert, lower layer, shared": (("head.layer=1", "head.pooling=cls", "split=4"), "quora"),
    "bert, cosine": (("head.regression=sigmoid_cosine", "head.depth=1"), "sts"),
    "bert, other loss, late pairs": (
        ("task.quora.loss=mse", "pairing.place=output", "head.depth=1",
         "pairing.features=[u,v,product]", "encoder.activation=gelu_new"), "quora"),
    "bert, classes of a pair": (("task.quora.loss=cross_entropy",), "quora"),
    "bert, expected class": (("head.regression=expected_class", "head.pooling=pooler"), "sts"),
    "roberta, cls, joined pairs": ((*ROBERTA, "pairing=joined", "head.pooling=cls"), "sts"),
    "roberta, pooler": ((*ROBERTA, "head.pooling=pooler", "split=0"), "sst"),
    "electra, groups": ((*ELECTRA, "sharing.plan=S1-G3:quora+sts"), "sts"),
    "electra, cls, joined pairs": (
        (*ELECTRA, "pairing=joined", "head.pooling=cls", "head.depth=1", "head.activation=tanh"),
        "quora"),
    "electra, a pooler of ours": (
        (*ELECTRA, "encoder.pooler=true", "head.pooling=pooler", "split=1"), "quora"),
    "distilbert, mean": ((*DISTILBERT, "head.regression=scaled_cosine"), "sts"),
    "distilbert, joined pairs": ((*DISTILBERT, "pairing=joined", "head.pooling=cls"), "quora"),
}  # fmt: skip
# Their head is that of a class of transformers; test_classifier.py predicts with these.
CLASSIFIERS = ("bert, pooler, joined pairs", "roberta, pooler", "distilbert, joined pairs")


@pytest.fixture(scope="module")
def exported(make_run, tmp_path_factory):
    """A case's run, loaded, and the folder of its export; made once."""
    done: dict[str, tuple[LoadedRun, Path]] = {}

    def make(case: str) -> tuple[LoadedRun, Path]:
        if case not in done:
            words, task = CASES[case]
            folder, out = make_run(*words), tmp_path_factory.mktemp("out") / "exported"
            export_run(folder, task, out)
            done[case] = load_run(folder, device="cpu"), out
        return done[case]

    return make


def code_of(folder: Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), flags=re.S)


def run_code(folder: Path, monkeypatch) -> dict:
    """The card's code as printed, in the folder."""
    monkeypatch.chdir(folder)
    names: dict = {}
    for block in code_of(folder):
        exec(block, names)
    return names


@pytest.mark.parametrize("case", CASES)
def test_hidden_states_are_the_runs_own(case, exported):
    run, out = exported(case)
    task = CASES[case][1]
    head = {h.name: h for h in run.run_spec.architecture.heads}[task]
    family = run.run_spec.shape.family
    pooler = head.pooling != "pooler" or (family, case in CLASSIFIERS) == ("roberta", True)
    options = {"add_pooling_layer": False} if pooler and family in ("bert", "roberta") else {}
    model, report = transformers.AutoModel.from_pretrained(out, output_loading_info=True, **options)
    assert not report["missing_keys"] and not report["mismatched_keys"]
    assert all("classifier" in name for name in report["unexpected_keys"])
    assert bool(report["unexpected_keys"]) == (case in CLASSIFIERS)
    (name,) = json.loads((out / "config.json").read_text())["architectures"]
    assert case in CLASSIFIERS or name == type(model).__name__
    layers = model.config.num_hidden_layers
    assert layers == (run.run_spec.shape.layers if head.layer is None else head.layer + 1)

    torch.manual_seed(2)
    lengths = (5, 24, 1, 9)
    types = 2 if run.run_spec.shape.token_types > 1 else 1
    tokens = torch.randint(5, 700, (sum(lengths),))
    kinds = torch.randint(0, types, (sum(lengths),))
    with torch.no_grad():
        ours = run.network.encoder.hidden({task: PackedBatch(tokens, kinds, lengths)})[task]
        for ids, kind, wanted in zip(*(x.split(lengths) for x in (tokens, kinds, ours)),
                                     strict=True):  # fmt: skip
            given = {"token_type_ids": kind[None]} if types > 1 else {}
            found = model.eval()(input_ids=ids[None], **given)
            torch.testing.assert_close(found.last_hidden_state[0], wanted, rtol=0, atol=1e-5)
    # A test that zeros would pass is none.
    assert ours.std() > 0.1


@pytest.mark.parametrize("case", sorted(CASES.keys() - {*CLASSIFIERS}))
def test_the_cards_code_predicts_what_the_run_predicts(case, exported, monkeypatch, capsys):
    run, out = exported(case)
    task = CASES[case][1]
    texts, pairs = texts_of(task)
    ours = run.predictor.predict(texts, pairs, [task], 4)[task]
    predict = run_code(out, monkeypatch)["predict"]
    found = predict(texts) if pairs is None else predict(texts, pairs)
    if ours.probability is None:
        assert found.shape == (len(texts),)
        assert np.abs(found.numpy() - ours.values).max() < 1e-5
    else:
        assert (found.argmax(1).numpy() == ours.values).all()
        assert np.abs(found.max(1).values.numpy() - ours.probability).max() < 1e-5
    assert len(set(np.round(ours.values if ours.probability is None else ours.probability, 4))) > 5


TOKENS = ("bert, pooler, joined pairs", "roberta, cls, joined pairs", "distilbert, joined pairs",
          "bert, one text, hidden layers")  # fmt: skip


@pytest.mark.parametrize("case", TOKENS)
def test_ids_and_types_are_the_runs_own(case, exported):
    run, out = exported(case)
    task = CASES[case][1]
    texts, pairs = texts_of(task)
    read = texts if pairs is None else list(zip(texts, pairs, strict=True))
    ours = encode(run.tokenizer, read, run.run_spec.config.suite.max_length)
    theirs = transformers.AutoTokenizer.from_pretrained(out)
    found = theirs(texts, pairs, truncation=True)
    wanted = np.split(ours.tokens, ours.offsets[1:-1])
    assert found["input_ids"] == [ids.tolist() for ids in wanted]
    assert max(map(len, found["input_ids"])) == 24
    if run.run_spec.shape.token_types > 1:
        kinds = np.split(ours.token_types, ours.offsets[1:-1])
        assert found["token_type_ids"] == [each.tolist() for each in kinds]
    else:
        assert "token_type_ids" not in found
    padded = theirs([*texts, "x"], None if pairs is None else [*pairs, "y"], padding=True)
    padding = json.loads((out / "config.json").read_text())["pad_token_id"]
    assert padded["input_ids"][-1][-1] == padding


@pytest.mark.parametrize("case", CASES)
def test_config_says_the_shape(case, exported):
    run, out = exported(case)
    shape = run.run_spec.shape
    found = checkpoint_shape(json.loads((out / "config.json").read_text()))
    same = ("family", "hidden", "heads", "intermediate", "vocabulary", "positions", "token_types",
            "position_offset", "embedding", "activation", "epsilon", "dropout")  # fmt: skip
    assert {n: getattr(found, n) for n in same} == {n: getattr(shape, n) for n in same}
    assert plain_config(shape, 3, 0)["pad_token_id"] == 0


def test_head_json_and_weights(exported):
    _, out = exported("bert, one text, hidden layers")
    record, weights = (
        json.loads((out / "head.json").read_text()),
        load_file(out / "head.safetensors"),
    )
    assert {name: list(value.shape) for name, value in weights.items()} == record["weights"]
    assert set(weights) == {f"{layer}.{kind}" for layer in ("hidden.0", "hidden.1", "output")
                            for kind in ("weight", "bias")}  # fmt: skip
    assert record["task"] == "sst" and record["labels"] == [0, 1, 2, 3, 4]
    assert record["pooling"] == "mean" and record["activation"] == "gelu"
    _, cosine = exported("bert, cosine")
    assert json.loads((cosine / "head.json").read_text())["range"] == [0.0, 5.0]
    assert "hidden.0.weight" in load_file(cosine / "head.safetensors")


def test_the_card_has_the_runs_figures(trained, tmp_path, capsys):
    main([str(trained), "--task", "quora", "--out", str(tmp_path / "a" / "quora")])
    said = capsys.readouterr().out
    assert "quora as a plain BertModel of 4 layers" in said
    card = (tmp_path / "a" / "quora" / "README.md").read_text()
    figures = json.loads((trained / "result.json").read_text())["tasks"]["quora"]
    assert re.search(
        rf"\| quora \| accuracy \| {figures['value']:.4f} \| 0\.\d+ to \d\.\d+ \| "
        rf"{figures['floor']:.4f} \| 30 \|", card)  # fmt: skip

    assert "S2-I2" in card
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
    names = {"README.md", "config.json", "head.json", "head.safetensors", "model.safetensors",
             "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json"}  # fmt: skip
    assert {p.name for p in (tmp_path / "a" / "quora").iterdir()} == names


def test_names_of_others_are_no_markup_in_the_card(trained, tmp_path):
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    (folder / "manifest.json").unlink(missing_ok=True)
    config, result = (json.loads((folder / f"{n}.json").read_text()) for n in ("config", "result"))
    nasty = "<b>|x`y\n# [z](http://x.org)"
    settings = config["settings"]
    settings["task"]["sst"] |= {"classes": None, "labels": [f"{nasty}{n}" for n in range(5)]}
    settings["suite"]["name"] = nasty
    result["tasks"]["sst"] |= {"metric": nasty, "floor": None}
    result["versions"] = {"torch": nasty}
    replace_listed_json(folder, "config.json", config)
    replace_listed_json(folder, "result.json", result)
    export_run(folder, "sst", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    text = r"&lt;b>\|x\`y # [z]\(http:\//x.org)"
    assert f"| sst | {text} | {result['tasks']['sst']['value']:.4f} | ? | ? |" in card
    assert f"| 0 | {text}0 |\n| 1 | {text}1 |\n" in card
    assert f"classes {text}0, {text}1" in card and f"torch {text}." in card
    assert "suite ``<b>|x`y # [z](http://x.org)``;" in card
    assert not any(line.startswith("# [z]") for line in card.splitlines())


@pytest.mark.parametrize(("change", "reason"), [
    (lambda result: result.pop("plan"), "is not whole (no plan)"),
    (lambda result: result["tasks"]["sst"].update(value="0.5"),
     "is not whole (no metric and value of each task)"),
    (lambda result: result["tasks"]["sst"].update(floor="<b>"),
     "is not whole (no metric and value of each task)"),
    (lambda result: result["tasks"]["sst"].update(examples="many"), "has no figures of each task"),
    (lambda result: result["tasks"].pop("sst"), "has no figures of each task"),
    (lambda result: result.update({"<b>": 1e31}), r"is not whole (&lt;b> is 1e+31)"),
])  # fmt: skip
def test_figures_of_a_result_that_is_not_whole_are_not_known(trained, tmp_path, change, reason):
    folder = Path(shutil.copytree(trained, tmp_path / "run"))
    result = json.loads((folder / "result.json").read_text())
    change(result)
    replace_listed_json(folder, "result.json", result)
    export_run(folder, "sst", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert f"## On dev\n\nNot known: its result.json {reason}.\n" in card
    assert "?" not in card.partition("## Load")[0]


def test_of_two_exports_at_once_the_second_is_refused(tmp_path):
    out = tmp_path / "out"

    def late():
        with new_folder(out) as folder:
            (folder / "README.md").write_text("late")
            with new_folder(out) as early:
                (early / "README.md").write_text("early")

    with pytest.raises(UserError, match="out, which is not empty"):
        late()
    assert (out / "README.md").read_text() == "early"
    assert os.listdir(tmp_path) == ["out"]


def test_whoever_may_read_one_file_may_read_all(trained, tmp_path):
    old = os.umask(0o027)
    try:
        export_run(trained, "sst", tmp_path / "sst")
    finally:
        os.umask(old)
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "sst").iterdir()} == {0o640}
    modes = {(trained / name).stat().st_mode for name in ("model.safetensors", "config.json")}
    assert len(modes) == 1


PARTS = {
    "pals": ("sharing=pals", "sharing.pals.size=6"),
    "lanes": ("sharing=progressive",),
}


@pytest.mark.parametrize("part", PARTS)
def test_parts_are_exported_as_a_run(part, make_run, tmp_path, monkeypatch, capsys):
    run_folder, out = make_run(*PARTS[part]), tmp_path / "whole"
    record = json.loads((run_folder / "config.json").read_text())
    record["settings"]["data_dir"] = "/home/somebody/data"
    record["settings"]["encoder"]["checkpoint"] = "/home/somebody/bert"
    record["settings"]["cache"]["folder"] = "/home/somebody/cache"
    record["settings"]["score"] |= {"reference": "/home/somebody/runs/1", "objective": "keep"}
    replace_listed_json(run_folder, "config.json", record)
    main([str(run_folder), "--out", str(out)])
    assert "load_run reads" in capsys.readouterr().out
    assert {p.name for p in out.iterdir()} == {"README.md", "config.json", "manifest.json",
                                               "model.safetensors", "tokenizer.json"}  # fmt: skip
    assert "somebody" not in (out / "config.json").read_text() + (out / "README.md").read_text()
    texts, pairs = texts_of("quora")
    wanted = load_run(_readable(run_folder), device="cpu").predict(texts, pairs)
    found = load_run(out, device="cpu").predict(texts, pairs)
    assert found.equals(wanted)
    run_code(out, monkeypatch)  # as printed
    assert capsys.readouterr().out.count("sst") >= 1
    monkeypatch.chdir(tmp_path)
    main([str(run_folder), "--task", "sts", "--out", "sts"])
    assert (tmp_path / "sts" / "README.md").read_text().count("- `sts`") == 1
    assert "- `sst`" not in (tmp_path / "sts" / "README.md").read_text()
    assert "tasks=['sts']" in code_of(tmp_path / "sts")[0]


def test_a_run_with_tags_is_exported_as_a_run(make_run, tmp_path):
    pipeline = make_pipeline(tmp_path / "tagger")
    run_folder, out = make_run(f"suite.tags.pipeline={pipeline}"), tmp_path / "out"
    assert export_run(run_folder, None, out).task is None
    assert str(tmp_path) not in (out / "config.json").read_text()
    assert "pipeline `tagger`, a folder that is not here" in (out / "README.md").read_text()
    record = json.loads((out / "config.json").read_text())
    record["settings"]["suite"]["tags"]["pipeline"] = str(pipeline)
    replace_listed_json(out, "config.json", record)
    texts, pairs = texts_of("quora")
    wanted = load_run(run_folder, device="cpu").predict(texts, pairs)
    assert load_run(out, device="cpu").predict(texts, pairs).equals(wanted)


def _readable(folder: Path) -> Path:
    """The run with settings that need no reference."""
    record = json.loads((folder / "config.json").read_text())
    record["settings"]["score"] |= {"reference": None, "objective": "weighted"}
    replace_listed_json(folder, "config.json", record)
    return folder


def test_no_place_of_a_machine_is_left():
    record = {
        "tasks": {"a": {"train": ["/data/a.csv", "b.csv"], "labels": ["/x/y", "z"]}},
        "settings": {
            "data_dir": "/d", "resume": "/r", "seed": 3,
            "encoder": {"checkpoint": "/c", "tokenizer": "/t", "hidden": 12},
            "suite": {"pretrained": "pkg://p", "lemmatizer": "/pipes/en_core", "clean": ["x/y"]},
            "cache": {"folder": "/k"}, "score": {"reference": "/r"},
            "tracker": {"mlflow": {"folder": "/m"}},
        },
    }  # fmt: skip
    assert without_paths(record) == {
        "tasks": {"a": {"train": ["a.csv", "b.csv"], "labels": ["/x/y", "z"]}},
        "settings": {
            "seed": 3,
            "encoder": {"hidden": 12},
            "suite": {"lemmatizer": "en_core", "clean": ["x/y"]},
        },
    }  # fmt: skip


def test_cleaning_is_in_the_card_and_needed(make_run, tmp_path, monkeypatch, capsys):
    from mtl_sharing.data.text.cleaning import Cleaning

    run_folder, out = make_run("suite.clean=[letters,lower]"), tmp_path / "clean"
    export_run(run_folder, "sst", out)
    assert "`letters`, `lower`" in (out / "README.md").read_text()
    texts, _ = texts_of("sst")
    ours = load_run(run_folder, device="cpu").predictor.predict(texts, None, ["sst"], 4)["sst"]
    found = run_code(out, monkeypatch)["predict"](Cleaning(("letters", "lower")).texts(texts)[0])
    assert np.abs(found.max(1).values.numpy() - ours.probability).max() < 1e-5


def refused(*words: str) -> str:
    """The message of a command that ends with exit code 2."""
    with pytest.raises(SystemExit) as stop:
        main([str(word) for word in words])
    assert stop.value.code == 2
    return ""


def test_mistakes_are_told(make_run, trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("full").mkdir()
    Path("full/kept").write_text("mine")
    Path("file").write_text("mine")
    Path("empty").mkdir()
    cases = [
        ((trained, "--task", "qora", "--out", "x"), "qora (nearest: quora)"),
        ((trained, "--out", "x"), "--task: found none; allowed: one of the run's tasks: sst"),
        ((trained, "--task", "sst", "--out", "full"), "full, which is not empty"),
        ((trained, "--task", "sst", "--out", "file"), "file, which is no folder"),
        ((trained, "--task", "sst", "--out", "file/below"), "file"),
        (("nowhere", "--task", "sst", "--out", "x"), "nowhere: found no such folder"),
        (("empty", "--task", "sst", "--out", "x"), "model.safetensors"),
    ]
    for words, message in cases:
        refused(*words)
        said = capsys.readouterr().err
        assert said.startswith("mtl-export: ") and message in said, said
        assert "Traceback" not in said
    assert sorted(p.name for p in tmp_path.iterdir()) == ["empty", "file", "full"]
    main([str(trained), "--task", "sst", "--out", "empty"])
    assert (tmp_path / "empty" / "head.json").is_file()


@pytest.mark.parametrize(("words", "field"), [
    (("encoder.family=roberta", "encoder.position_offset=2"), "encoder.position_offset"),
    (("encoder.family=roberta",), "encoder.position_offset"),
    (("encoder.position_offset=3",), "encoder.position_offset"),
    (("encoder.embedding=7",), "encoder.embedding"),
    (("encoder.token_types=0",), "encoder.token_types"),
    (("encoder.family=distilbert",), "encoder.token_types"),
    ((*DISTILBERT, "encoder.epsilon=1e-5"), "encoder.epsilon"),
])  # fmt: skip
def test_an_encoder_that_no_plain_model_can_be_is_refused(words, field, make_run, tmp_path):
    with pytest.raises(UserError) as error:
        export_run(make_run(*words), "sst", tmp_path / "x")
    assert error.value.where == field
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing(trained, tmp_path, monkeypatch, capsys):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "x")

    monkeypatch.setattr("mtl_sharing.export.write.save_file", full)
    refused(trained, "--task", "sst", "--out", tmp_path / "x")
    assert "No space left" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_leaves_nothing(number, trained, tmp_path, monkeypatch, capsys):
    def stop(*_, **__):
        os.kill(os.getpid(), number)

    monkeypatch.setattr("mtl_sharing.export.write.save_file", stop)
    with pytest.raises(SystemExit) as stopped:
        main([str(trained), "--task", "sst", "--out", str(tmp_path / "x")])
    assert stopped.value.code == 130
    assert capsys.readouterr().err == "mtl-export: stopped; no file is left half written\n"
    assert not list(tmp_path.iterdir())


def test_a_run_of_one_task_needs_no_name(make_run, tmp_path):
    run_folder = make_run("suite.tasks=[sts]", "sharing=individual")
    assert export_run(run_folder, None, tmp_path / "x").task == "sts"
    card = tmp_path / "x" / "README.md"
    assert "Not known: the run came without its result.json." in card.read_text()
    replace_listed_json(run_folder, "result.json", {"status": "stopped"})
    export_run(run_folder, None, tmp_path / "y")
    assert "Not known: the run had not finished." in (tmp_path / "y" / "README.md").read_text()
    (run_folder / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"result\.json: found a damaged file"):
        export_run(run_folder, None, tmp_path / "z")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x", "y"]


def test_help_loads_no_torch():
    import subprocess

    code = (
        "import sys\nfrom mtl_sharing.cli.export import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "assert not {'torch', 'hydra', 'safetensors'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          env=os.environ)  # fmt: skip
    assert done.returncode == 0, done.stderr
