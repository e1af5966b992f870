"""Checkpoints in shards: read like one file, or refused by name; other kinds of weight files."""

import json
import re
from pathlib import Path

import huggingface_hub
import pytest
import torch
import transformers
from safetensors.torch import save_file

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.checkpoint import load_tower, read_weights
from mtl_sharing.model.encoder.checkpoint_files import (
    checkpoint_files,
    checkpoint_folder,
    read_config,
    weight_file,
    weight_paths,
)
from mtl_sharing.model.encoder.shape import checkpoint_shape
from mtl_sharing.utils.checkpoint_names import TokenizerFile

FORMS = {"model.safetensors": save_file, "pytorch_model.bin": torch.save}
WEIGHTS = {f"w{n}": torch.full((n + 1,), float(n)) for n in range(5)}
SHARDS = {"a": ("w0", "w1"), "b": ("w2",), "c": ("w3", "w4")}


@pytest.fixture(params=FORMS)
def index(request, tmp_path):
    """The index of a checkpoint in three shards, one of them in a folder of its own."""
    suffix, weight_map = Path(request.param).suffix, {}
    for shard, names in SHARDS.items():
        file = f"inner/{shard}{suffix}" if shard == "b" else f"{shard}{suffix}"
        (tmp_path / file).parent.mkdir(exist_ok=True)
        FORMS[request.param]({name: WEIGHTS[name] for name in names}, tmp_path / file)
        weight_map |= dict.fromkeys(names, file)
    return write(tmp_path / f"{request.param}.index.json", weight_map)


def write(path, weight_map):
    path.write_text(json.dumps({"metadata": {"total_size": 60}, "weight_map": weight_map}))
    return path


def shard_of(index, name):
    return json.loads(index.read_text())["weight_map"][name]


def refusal(index):
    with pytest.raises(UserError, match=re.escape(str(index.parent))) as caught:
        read_weights(index)
    return str(caught.value)


def test_shards_are_read_like_one_file(index):
    assert weight_file(index.parent) == index
    weights = read_weights(index)
    assert weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], WEIGHTS[name]) for name in WEIGHTS)
    files = [index.parent / shard_of(index, name) for name in ("w0", "w2", "w3")]
    assert weight_paths(index) == [index, *files]


def test_a_name_in_two_shards_is_the_one_that_the_index_names(index):
    form = index.name.removesuffix(".index.json")
    other = {"w2": WEIGHTS["w2"], "w0": torch.ones(1) * 9, "more": torch.ones(2)}
    FORMS[form](other, index.parent / shard_of(index, "w2"))
    weights = read_weights(index)
    assert torch.equal(weights["w0"], WEIGHTS["w0"])
    assert torch.equal(weights["more"], torch.ones(2))


def test_a_real_checkpoint_in_shards_gives_its_tower(tmp_path):
    config = transformers.BertConfig(vocab_size=53, hidden_size=20, num_hidden_layers=2,
                                     num_attention_heads=2, intermediate_size=31)  # fmt: skip
    model = transformers.BertModel(config)
    whole, shards = tmp_path / "whole", tmp_path / "shards"
    model.save_pretrained(whole)
    model.save_pretrained(shards, max_shard_size="12KB")
    assert weight_file(shards).name == "model.safetensors.index.json"
    shape = checkpoint_shape(read_config(shards))
    one, other = (load_tower(weight_file(folder), shape, 0) for folder in (whole, shards))
    assert other.random == one.random == ()
    for stage, state in one.tower.items():
        assert all(torch.equal(other.tower[stage][name], value) for name, value in state.items())


OUTSIDE = ["../x", "/etc/x", "inner/../../x", "..\\x", "", "x.json", "a/.."]


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_index_names_weight_files_of_its_folder_alone(index, name):
    suffix = Path(index.name.removesuffix(".index.json")).suffix
    name = f"{name}{suffix}" if name.endswith("x") else name
    write(index, {"w0": shard_of(index, "w0"), "w1": name})
    message = refusal(index)
    assert message.startswith(f"{index}: weight_map: found {name}; allowed: {suffix} files in")


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"weight_map": {}}', '{"weight_map": ["a.bin"]}', '{"weight_map": {"a": 3}}',
     '{"weight_map": {"a": null}}', "[" * 9000],
)  # fmt: skip
def test_a_damaged_index_is_named(index, content):
    index.write_text(content)
    assert str(index) in refusal(index)


def test_a_missing_shard_is_named(index):
    lost = index.parent / shard_of(index, "w2")
    lost.unlink()
    assert refusal(index) == f"{lost}: found no file; allowed: every shard that {index.name} names"


def test_weights_that_no_shard_holds_are_named(index):
    weight_map = json.loads(index.read_text())["weight_map"]
    write(index, weight_map | {"w5": weight_map["w0"], "w2": weight_map["w0"]})
    message = refusal(index)
    assert message.startswith(f"{index}: found weights that are not in the shards it names: w2, w5")


def test_a_damaged_shard_is_named(index):
    path = index.parent / shard_of(index, "w3")
    path.write_bytes(path.read_bytes()[:40])
    assert refusal(index).startswith(f"{path}: found a damaged file")


class RunsCode:
    def __reduce__(self):
        return print, ("run",)


def test_a_shard_runs_no_code(tmp_path, capsys):
    torch.save({"a": RunsCode()}, tmp_path / "x.bin")
    index = write(tmp_path / "pytorch_model.bin.index.json", {"a": "x.bin"})
    assert "would run code" in refusal(index)
    assert capsys.readouterr().out == ""


def test_one_file_goes_before_shards(index):
    form = index.name.removesuffix(".index.json")
    FORMS[form](WEIGHTS, index.parent / form)
    assert weight_file(index.parent).name == form


@pytest.mark.parametrize(
    ("name", "hint"),
    [("tf_model.h5", "from_tf=True"), ("model.ckpt.index", "from_tf=True"),
     ("flax_model.msgpack", "from_flax=True"), ("model.fp16.safetensors", "model.safetensors"),
     ("model.onnx", "pytorch_model.bin"), ("model-00001-of-00002.safetensors", "index.json")],
)  # fmt: skip
def test_other_weight_files_are_named_with_what_to_do(name, hint, tmp_path):
    (tmp_path / name).touch()
    with pytest.raises(UserError) as caught:
        weight_file(tmp_path)
    assert caught.value.found == f"no weights but {name}"
    assert hint in caught.value.allowed


def hub(monkeypatch, tmp_path, source):
    """A hub whose repository has the files of ``source``; returns the patterns that were asked."""
    asked, cache = [], tmp_path / "cache"

    def download(name, allow_patterns):
        asked.append(list(allow_patterns))
        found = huggingface_hub.utils.filter_repo_objects(
            [str(p.relative_to(source)) for p in source.rglob("*") if p.is_file()],
            allow_patterns=allow_patterns,
        )
        for file in found:
            (cache / file).parent.mkdir(parents=True, exist_ok=True)
            (cache / file).write_bytes((source / file).read_bytes())
        cache.mkdir(exist_ok=True)
        return str(cache)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    return asked


def test_shards_are_downloaded(index, monkeypatch, tmp_path):
    source = index.parent.rename(tmp_path.with_name(f"{tmp_path.name}-hub"))
    for name in ("config.json", "tf_model.h5", *TokenizerFile):
        (source / name).write_text("{}")
    asked = hub(monkeypatch, tmp_path, source)
    folder = checkpoint_folder("owner/model", config_only=True)
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    folder = checkpoint_folder("owner/model")
    assert read_weights(weight_file(folder)).keys() == WEIGHTS.keys()
    names = [path.name for path in checkpoint_files(folder)]
    assert set(TokenizerFile) < set(names)
    assert not (folder / "tf_model.h5").exists()
    assert len(asked[-1]) == len(SHARDS)


def test_a_hub_index_outside_its_folder_is_refused(monkeypatch, tmp_path):
    source = tmp_path / "hub"
    source.mkdir()
    write(source / "model.safetensors.index.json", {"a": "../../secret.safetensors"})
    asked = hub(monkeypatch, tmp_path, source)
    with pytest.raises(UserError, match=r"\.\./\.\./secret\.safetensors"):
        checkpoint_folder("owner/model")
    assert not any("secret" in pattern for patterns in asked for pattern in patterns)
