"""Loads a run from three files, and names the reason where a folder holds none."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file

from mtl_sharing.errors import UserError
from mtl_sharing.predict.loading import load_run
from support import QUICK, rewrite

SMALL = ("encoder.layers=2", "sharing.plan=S1-I1")


@pytest.fixture
def folder(moved):
    """A run's three files, and no other, in another place."""
    return moved(*SMALL)


def test_three_files_are_enough(folder):
    run = load_run(str(folder), device="cpu")
    assert run.tasks == ("sst", "quora", "sts")
    assert run.folder == folder
    assert str(run.run_spec.plan) == "S1-I1"
    assert not run.network.training
    assert run.tokenizer.encode("the film").tokens[0] == "[CLS]"
    weights = load_file(folder / "model.safetensors")
    assert run.network.state_dict().keys() == weights.keys()
    for name, value in run.network.state_dict().items():
        assert torch.equal(value, weights[name]), name


def change(path, edit):
    record = json.loads(path.read_text())
    edit(record)
    rewrite(path, json.dumps(record))


def message(folder, **options):
    with pytest.raises(UserError) as error:
        load_run(folder, **options)
    return str(error.value)


def test_what_a_run_started_from_is_not_asked_for(folder):
    def move(record):
        record["settings"]["encoder"]["checkpoint"] = "/gone/away/folder"
        record["settings"]["encoder"]["tokenizer"] = "nobody/no-such-hub-id"
        record["settings"]["encoder"]["hidden"] = None
        record["settings"]["data_dir"] = "/gone/too"
        record["settings"]["trainer"]["device"] = "cuda:9"

    change(folder / "config.json", move)
    assert load_run(folder, device="cpu").run_spec.shape.hidden == 12


def test_packages_that_only_training_needs_are_not_asked_for(folder, monkeypatch):
    def upgrad(record):
        record["settings"]["loss"]["aggregation"] = "upgrad"
        record["settings"]["tracker"]["mlflow"]["enabled"] = True

    change(folder / "config.json", upgrad)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert load_run(folder, device="cpu").predict(["good"]).shape == (1, 7)


def test_damage_is_named(folder):
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    assert f"{weights}: found a damaged file" in message(folder)
    weights.write_bytes(b"")
    assert f"{weights}: found a damaged file" in message(folder)
    weights.write_bytes(whole)
    tokens = (folder / "tokenizer.json").read_text()
    (folder / "tokenizer.json").write_text(tokens[:100])
    assert f"{folder}/tokenizer.json: found a damaged tokenizer" in message(folder)
    (folder / "tokenizer.json").unlink()
    assert message(folder).startswith(f"{folder}: found no tokenizer.json; allowed: the folder of")
    (folder / "config.json").write_text("{")
    assert f"{folder / 'config.json'}: found a damaged file" in message(folder)
    (folder / "config.json").write_text("[]")
    assert "found JSON that is a list; allowed: a JSON object" in message(folder)


def test_weights_that_do_not_fit_are_named(folder):
    path = folder / "config.json"
    change(path, lambda record: record["settings"]["sharing"].update(plan="S2"))
    assert "weights that the network has no place for: encoder" in message(folder)
    change(path, lambda record: record["settings"]["sharing"].update(plan="I2"))
    assert "no weights for the network: encoder" in message(folder)
    change(path, lambda record: record["settings"]["sharing"].update(plan=None))
    change(path, lambda record: record["encoder"].update(intermediate=21))
    assert "of shape (20" in message(folder) and "as in the config" in message(folder)


def test_other_layouts_of_the_config_are_named(folder):
    path = folder / "config.json"
    change(path, lambda record: record["settings"].update(a_key_of_tomorrow=1))
    assert "settings that this version does not read" in message(folder)
    assert "a_key_of_tomorrow" in message(folder)
    change(path, lambda record: record["settings"].pop("a_key_of_tomorrow"))
    change(path, lambda record: record.pop("encoder"))
    assert "settings that this version does not read ('encoder')" in message(folder)
    change(path, lambda record: record.pop("settings"))
    assert "one of an earlier version's, without the run's settings" in message(folder)
    change(path, lambda record: record.update(model_type="bert"))
    assert "found an encoder's, without the run's settings" in message(folder)


def test_no_run_is_told(tmp_path):
    assert "found no such folder; allowed: the folder of a run" in message(tmp_path / "no")
    (tmp_path / "file").touch()
    assert "found a file; allowed: the folder of a run" in message(tmp_path / "file")
    assert "found a folder without config.json and model.safetensors" in message(tmp_path)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("running", "found a run that has not evaluated yet"),
        ("stopped", "that was stopped before its first evaluation; allowed: a run after its"),
        ("failed", "that failed before its first evaluation; allowed: the folder of a run"),
        ("pruned", "found a run that was pruned before its first evaluation"),
        ("finished", "found a run without model.safetensors"),
    ],
)
def test_a_run_without_weights_is_told(tmp_path, status, words):
    (tmp_path / "plan.json").write_text("{}")
    (tmp_path / "result.json").write_text(json.dumps({"status": status}))
    assert words in message(tmp_path)


def test_a_run_that_still_trains_has_its_best_weights_so_far(folder):
    (folder / "result.json").write_text(json.dumps({"status": "running"}))
    assert load_run(folder, device="cpu").tasks == ("sst", "quora", "sts")


def test_another_pipeline_of_tags_is_told(tagged_run, tmp_path, caplog):
    load_run(tagged_run, device="cpu")
    assert "tags may differ" not in caplog.text
    run = shutil.copytree(tagged_run, tmp_path / "run")
    pipeline = json.loads((run / "config.json").read_text())["settings"]["suite"]["tags"][
        "pipeline"
    ]
    change(run / "config.json", lambda record: record["parts"]["tags"].update(digest="other"))
    load_run(run, device="cpu")
    assert f"{pipeline} is not the pipeline that the run was trained with" in caplog.text


def test_a_dry_run_has_no_weights(mtl_train):
    done = mtl_train(*QUICK, "dry_run=true")
    assert "found a dry run, which has no weights" in message(done.folder)


def test_a_device_that_is_not_there_is_told(folder):
    assert "device: found gpu; allowed: auto, cpu" in message(folder, device="gpu")


def test_a_device_without_bf16_predicts_in_fp32(folder, monkeypatch):
    change(folder / "config.json", lambda record: record.update(precision="bf16"))
    for supported, precision in ((True, "bf16"), (False, "fp32")):
        monkeypatch.setattr(
            "mtl_sharing.predict.loading.has_bf16", lambda device, known=supported: known
        )
        assert load_run(folder, device="cpu").run_spec.runtime.precision == precision
