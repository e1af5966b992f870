"""Weights written under the names of transformers, read back by us and by transformers."""

import json

import pytest
import torch
from safetensors.torch import save_file

from mtl_sharing.model.encoder.checkpoint import checkpoint_weights, load_tower
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.model.encoder.shape import EncoderShape

SHAPE = {
    "layers": 2, "hidden": 12, "heads": 3, "intermediate": 19, "vocabulary": 29, "positions": 17,
    "position_offset": 0, "token_types": 2, "embedding": 12, "activation": "gelu",
    "epsilon": 1e-12, "pooler": True, "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip


def shape_of(family):
    own = {"distilbert": {"token_types": 0, "pooler": False}, "roberta": {"position_offset": 2},
           "electra": {"embedding": 7, "pooler": False}}  # fmt: skip
    return EncoderShape(family=family, **SHAPE | own.get(family, {}))


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_what_is_written_is_read_back(family, tmp_path):
    shape = shape_of(family)
    tower = random_tower(shape, seed=3, deviation=1.0)
    path = tmp_path / "model.safetensors"
    save_file(checkpoint_weights(tower, family), path)
    found = load_tower(path, shape, seed=0)
    assert (found.ignored, found.random) == ((), ())
    assert found.tower.keys() == tower.keys()
    for stage, state in tower.items():
        assert found.tower[stage].keys() == state.keys()
        assert all(torch.equal(found.tower[stage][name], state[name]) for name in state)


def test_transformers_reads_it_without_a_missing_weight(tmp_path):
    transformers = pytest.importorskip("transformers")
    shape = shape_of("bert")
    names = {"vocabulary": "vocab_size", "hidden": "hidden_size", "layers": "num_hidden_layers",
             "heads": "num_attention_heads", "intermediate": "intermediate_size",
             "positions": "max_position_embeddings"}  # fmt: skip
    config = {theirs: getattr(shape, ours) for ours, theirs in names.items()}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"} | config))
    weights = checkpoint_weights(random_tower(shape, seed=3), "bert")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model, report = transformers.BertModel.from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"] and not report["unexpected_keys"]
    theirs = model.state_dict()
    assert all(torch.equal(theirs[name], weight) for name, weight in weights.items())
