"""Loading is strict: every weight is placed, dropped by name, or refused by name."""

import os
import pickle
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.checkpoint import load_tower, read_weights
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder, read_config, weight_file
from mtl_sharing.model.encoder.initialization import random_tower

# Where a tower's weights stand in a checkpoint of BERT, written out by hand.
TABLES = {
    "word.weight": "word_embeddings.weight", "position.weight": "position_embeddings.weight",
    "token_type.weight": "token_type_embeddings.weight", "norm.weight": "LayerNorm.weight",
    "norm.bias": "LayerNorm.bias",
}  # fmt: skip
LAYER = {
    "attention_output": "attention.output.dense", "attention_norm": "attention.output.LayerNorm",
    "up": "intermediate.dense", "down": "output.dense", "output_norm": "output.LayerNorm",
}  # fmt: skip


def bert_names(tower):
    """A tower as a BERT checkpoint holds it."""
    weights = {}
    for stage, state in tower.items():
        for name, value in state.items():
            module, _, part = name.partition(".")
            root = f"bert.encoder.{stage}"
            if stage == "embeddings":
                weights[f"bert.embeddings.{TABLES[name]}"] = value
            elif stage == "pooler":
                weights[f"bert.pooler.{name}"] = value
            elif module == "qkv":
                for which, third in zip(("query", "key", "value"), value.chunk(3), strict=True):
                    weights[f"{root}.attention.self.{which}.{part}"] = third.contiguous()
            else:
                weights[f"{root}.{LAYER[module]}.{part}"] = value
    return weights


@pytest.fixture
def shape(make_shape):
    return make_shape(layers=2)


@pytest.fixture
def tower(shape, make_tower):
    state = make_tower(shape)
    return {stage: {k: v.float() for k, v in each.items()} for stage, each in state.items()}


@pytest.fixture
def weights(tower):
    return bert_names(tower)


@pytest.fixture(params=["model.safetensors", "pytorch_model.bin"])
def save(request, tmp_path):
    """Writes weights into a file of either kind."""

    def write(weights):
        path = tmp_path / request.param
        (save_file if path.suffix == ".safetensors" else torch.save)(weights, path)
        return path

    return write


def refusal(path, shape):
    """The message with which ``path`` is refused; it names the file."""
    with pytest.raises(UserError, match=re.escape(str(path))) as caught:
        load_tower(path, shape, 0)
    return str(caught.value)


def test_every_weight_finds_its_place(save, weights, tower, shape):
    loaded = load_tower(save(weights), shape, 0)
    assert loaded.tower.keys() == tower.keys()
    for stage, state in tower.items():
        assert loaded.tower[stage].keys() == state.keys()
        assert all(torch.equal(loaded.tower[stage][name], state[name]) for name in state)
    assert (loaded.ignored, loaded.random) == ((), ())


def test_old_names_half_precision_and_stored_positions_are_understood(save, weights, tower, shape):
    names = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}
    old = {
        re.sub(r"LayerNorm\.\w+", lambda found: names[found[0]], name): value.to(torch.bfloat16)
        for name, value in weights.items()
    }
    old["bert.embeddings.position_ids"] = torch.arange(17)[None]
    loaded = load_tower(save(old), shape, 0)
    assert loaded.ignored == ("embeddings.position_ids",)
    found, wanted = loaded.tower["layer.1"], tower["layer.1"]
    for name in ("output_norm.weight", "attention_norm.bias", "qkv.weight"):
        assert torch.equal(found[name], wanted[name].to(torch.bfloat16).float())


def test_names_without_the_prefix_are_understood(save, weights, tower, shape):
    loaded = load_tower(save({k.removeprefix("bert."): v for k, v in weights.items()}), shape, 0)
    assert torch.equal(loaded.tower["layer.0"]["qkv.bias"], tower["layer.0"]["qkv.bias"])


@pytest.mark.parametrize(
    ("gone", "named"),
    [
        ("embeddings.token_type_embeddings.weight", "embeddings: token_type.weight"),
        ("encoder.layer.1.attention.self.key.bias", "layer.1: qkv.bias"),
        ("encoder.layer.0.output.LayerNorm.weight", "layer.0: output_norm.weight"),
        ("pooler.dense.bias", "pooler: dense.bias"),
    ],
)
def test_a_missing_weight_is_named(save, weights, shape, gone, named):
    del weights[f"bert.{gone}"]
    assert f"no weights for {named}" in refusal(save(weights), shape)


@pytest.mark.parametrize(
    "surplus",
    [
        "encoder.layer.2.output.dense.weight",
        "encoder.layer.0.attention.self.distance_embedding.weight",
        "adapter.down.weight",
        "encoder.layer.0.classifier.weight",
    ],
)
def test_a_surplus_weight_is_named(save, weights, shape, surplus):
    weights[f"bert.{surplus}"] = torch.zeros(5)
    assert surplus in refusal(save(weights), shape)


def test_a_weight_of_a_table_that_the_config_lacks_is_named(save, weights, make_shape, shape):
    untyped = make_shape(layers=2, token_types=0)
    assert "token_type.weight" in refusal(save(weights), untyped)
    weights["bert.embeddings_project.weight"] = torch.zeros(21, 21)
    assert "projection.weight" in refusal(save(weights), shape)


def test_a_checkpoint_with_more_layers_is_refused(save, make_shape, make_tower, weights, shape):
    deeper = {k: v.float() for k, v in bert_names(make_tower(make_shape(layers=3))).items()}
    assert "encoder.layer.2." in refusal(save(deeper), shape)


@pytest.mark.parametrize(
    ("name", "size", "named"),
    [
        ("embeddings.word_embeddings.weight", (59, 21), r"embeddings.word.weight .*\(59, 21\)"),
        ("encoder.layer.1.intermediate.dense.weight", (21, 31), r"layer.1.up.weight .*\(21, 31\)"),
        ("encoder.layer.0.output.dense.bias", (31,), r"layer.0.down.bias .*\(31,\).*\(21,\)"),
    ],
)
def test_a_weight_of_another_size_is_named(save, weights, shape, name, size, named):
    weights[f"bert.{name}"] = torch.zeros(size)
    assert re.search(named, refusal(save(weights), shape))


@pytest.mark.parametrize("family", ["roberta", "electra", "distilbert"])
def test_weights_of_another_family_are_refused(save, weights, make_shape, family):
    kinds = 0 if family == "distilbert" else 2
    other = make_shape(family=family, layers=2, token_types=kinds, pooler=False)
    message = refusal(save(weights), other)
    assert "no weights for embeddings: norm.bias, norm.weight" in message
    assert f"a {family} checkpoint" in message


def test_names_of_another_family_are_refused(save, weights, make_shape):
    bare = {k.removeprefix("bert."): v for k, v in weights.items() if "token_type" not in k}
    other = make_shape(family="distilbert", layers=2, token_types=0, pooler=False)
    message = refusal(save(bare), other)
    assert "no weights for layer.0: attention_norm.bias, attention_norm.weight" in message


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_called_damaged(save, weights, shape, share):
    path = save(weights)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "damaged" in refusal(path, shape)


def test_an_empty_file_is_called_damaged(tmp_path, shape):
    for name in ("model.safetensors", "pytorch_model.bin"):
        (tmp_path / name).touch()
        assert "damaged file" in refusal(tmp_path / name, shape)


class RunsCode:
    """A pickle of this makes a folder when it is read by an unguarded reader."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("write", [torch.save, lambda x, p: p.write_bytes(pickle.dumps(x, 2))])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, shape, weights, write):
    trap, path = tmp_path / "trap", tmp_path / "pytorch_model.bin"
    write({**weights, "bert.trap": RunsCode(trap)}, path)
    assert "run code" in refusal(path, shape)
    assert not trap.exists()
    torch.load(path, weights_only=False) if write is torch.save else pickle.loads(path.read_bytes())
    assert trap.exists()  # the trap itself works


@pytest.mark.parametrize("content", [[torch.zeros(3)], {"step": 3}, torch.zeros(3), {}])
def test_a_bin_that_is_no_state_dict_is_refused(tmp_path, shape, content):
    torch.save(content, tmp_path / "pytorch_model.bin")
    message = refusal(tmp_path / "pytorch_model.bin", shape)
    assert ("state dict" if content != {} else "embeddings: norm.bias") in message


def test_both_kinds_of_file_read_the_same(tmp_path, weights):
    save_file(weights, tmp_path / "model.safetensors")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    first, second = load_file(weight_file(tmp_path)), read_weights(tmp_path / "pytorch_model.bin")
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_random_towers_are_drawn_as_bert_s(make_shape):
    shape = make_shape(vocabulary=1009)
    tower = random_tower(shape, 3)
    assert abs(float(tower["embeddings"]["word.weight"].std()) - 0.02) < 0.001
    assert torch.equal(tower["layer.1"]["output_norm.weight"], torch.ones(21))
    assert torch.equal(tower["layer.1"]["qkv.bias"], torch.zeros(63))
    again, other = random_tower(shape, 3), random_tower(shape, 4)
    key = ("layer.2", "up.weight")
    assert torch.equal(tower[key[0]][key[1]], again[key[0]][key[1]])
    assert not torch.equal(tower[key[0]][key[1]], other[key[0]][key[1]])
    assert not torch.equal(tower["layer.1"]["up.weight"], tower["layer.2"]["up.weight"])


def source_refusal(source, **options):
    with pytest.raises(UserError) as caught:
        checkpoint_folder(source, **options)
    return caught.value


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("pkg://no_such_package_9/model", "pip install no-such-package-9"),
        ("pkg://json.decoder/model", "an installed package"),
        ("pkg://mtl_sharing/no_such_folder", "a folder inside the package mtl_sharing"),
        ("./no/such/folder", "an existing folder"),
        ("/no/such/folder", "an existing folder"),
        ("a/b/c", "an existing folder"),
    ],
)
def test_a_missing_source_is_named(source, allowed):
    error = source_refusal(source, where="encoder.tokenizer")
    assert (error.where, error.found) == ("encoder.tokenizer", source)
    assert allowed in error.allowed


def test_a_package_folder_is_found():
    assert (checkpoint_folder("pkg://mtl_sharing/model/encoder") / "shape.py").is_file()


@pytest.mark.parametrize(("config_only", "weights"), [(True, False), (False, True)])
def test_a_description_downloads_the_config_alone(monkeypatch, tmp_path, config_only, weights):
    import huggingface_hub

    patterns = []

    def download(source, allow_patterns):
        patterns.extend(allow_patterns)
        (tmp_path / "model.safetensors").touch()
        return str(tmp_path)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert checkpoint_folder("owner/model", config_only=config_only) == tmp_path
    assert "config.json" in patterns
    assert ("model.safetensors" in patterns) is weights


def test_a_hub_id_without_network_says_what_to_do(monkeypatch, tmp_path):
    from huggingface_hub import constants

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # The library reads the variable once, when it is imported.
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    error = source_refusal("no-such-owner/no-such-model")
    assert error.where == "encoder.checkpoint"
    assert "no-such-owner/no-such-model" in str(error)
    assert "network" in error.allowed


def test_folders_without_their_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"config\.json: found no file"):
        read_config(tmp_path)
    with pytest.raises(UserError, match=r"no weights.*model\.safetensors"):
        weight_file(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "3"])
def test_a_config_that_is_no_json_object_is_refused(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"config\.json.*a JSON object"):
        read_config(tmp_path)
