"""The encoder's shape from config and checkpoint."""

from dataclasses import replace

import pytest
from transformers import AutoConfig

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.shape import (
    EncoderConfig,
    checkpoint_config,
    checkpoint_shape,
    resolve_shape,
)

BERT = {
    "model_type": "bert", "vocab_size": 53, "hidden_size": 21, "num_hidden_layers": 2,
    "num_attention_heads": 3, "intermediate_size": 31, "max_position_embeddings": 17,
}  # fmt: skip


def test_the_config_may_not_contradict_the_checkpoint():
    with pytest.raises(UserError, match=r"encoder\.hidden: found 24; allowed: 21"):
        resolve_shape(EncoderConfig(hidden=24), BERT)


def test_dropout_and_pooler_are_the_users_choice():
    shape = resolve_shape(EncoderConfig(dropout=0.0, attention_dropout=0.25, pooler=False), BERT)
    assert (shape.dropout, shape.attention_dropout, shape.pooler) == (0.0, 0.25, False)


def test_a_field_that_nobody_gives_is_named():
    message = r"encoder\.checkpoint: found null, and encoder\.family null"
    with pytest.raises(UserError, match=message):
        resolve_shape(EncoderConfig(layers=3), None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"model_type": "gpt2"}, "model_type"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type"),
        ({"hidden_act": "mish"}, "encoder.activation"),
        ({"num_attention_heads": 4}, "encoder.heads"),
    ],
)
def test_what_we_do_not_run_is_refused_by_name(change, named):
    with pytest.raises(UserError, match=named):
        checkpoint_shape(BERT | change)


def test_an_incomplete_config_names_the_key():
    config = {k: v for k, v in BERT.items() if k != "vocab_size"}
    with pytest.raises(UserError, match="vocab_size"):
        checkpoint_shape(config)


def test_other_roberta_checkpoints_are_of_its_family():
    for kind in ("xlm-roberta", "camembert"):
        shape = checkpoint_shape(BERT | {"model_type": kind, "pad_token_id": 4})
        assert (shape.family, shape.position_offset, shape.max_length) == ("roberta", 5, 12)


@pytest.mark.parametrize(
    ("family", "padding", "change"),
    [
        ("bert", 0, {}),
        ("roberta", 7, {"positions": 29, "position_offset": 8, "token_types": 1}),
        ("electra", 0, {"embedding": 7, "pooler": False}),
        ("distilbert", 0, {"token_types": 0, "pooler": False}),
    ],
)
def test_a_written_config_describes_the_same_shape(family, padding, change):
    shape = replace(checkpoint_shape(BERT), family=family, activation="relu", dropout=0.3)
    shape = replace(shape, attention_dropout=0.4, **change)
    config = checkpoint_config(shape, padding)
    assert (config["model_type"], config["pad_token_id"]) == (family, padding)
    assert checkpoint_shape(config) == shape
    parsed = AutoConfig.for_model(**config)
    sizes = (parsed.vocab_size, parsed.hidden_size, parsed.num_hidden_layers)
    assert sizes == (53, 21, 2)
