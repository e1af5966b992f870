"""Our encoder against transformers, with random models of every family."""

import pytest
import torch
import transformers

from mtl_sharing.batch import PackedBatch
from mtl_sharing.model.encoder.checkpoint import load_tower
from mtl_sharing.model.encoder.checkpoint_files import read_config, weight_file
from mtl_sharing.model.encoder.shape import checkpoint_shape
from mtl_sharing.model.planned_encoder import PlannedEncoder
from mtl_sharing.model.routing import values_by_task
from mtl_sharing.plan.plan import SharingPlan

BERT = {
    "vocab_size": 53, "hidden_size": 21, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 31, "max_position_embeddings": 17,
}  # fmt: skip
DISTILBERT = {
    "vocab_size": 53, "dim": 21, "n_layers": 2, "n_heads": 3, "hidden_dim": 31,
    "max_position_embeddings": 17,
}  # fmt: skip
CONFIGS = {
    "bert": (transformers.BertConfig, BERT),
    "roberta": (transformers.RobertaConfig, BERT),
    "electra": (transformers.ElectraConfig, BERT | {"embedding_size": 13}),
    "distilbert": (transformers.DistilBertConfig, DISTILBERT),
}
CASES = [
    ("bert", {}),
    ("bert", {"hidden_act": "relu", "layer_norm_eps": 1e-2, "type_vocab_size": 3}),
    ("bert", {"hidden_act": "gelu_new", "type_vocab_size": 1, "num_attention_heads": 7}),
    ("roberta", {}),
    ("roberta", {"pad_token_id": 4, "type_vocab_size": 1, "hidden_act": "silu"}),
    ("roberta", {"pad_token_id": 0, "type_vocab_size": 2, "layer_norm_eps": 1e-2}),
    ("electra", {}),
    ("electra", {"embedding_size": 21, "hidden_act": "relu", "type_vocab_size": 3}),
    ("distilbert", {}),
    ("distilbert", {"activation": "relu", "n_layers": 3}),
]
LENGTHS = [(5, 1, 7, 2, 7), (6, 6, 6), (1,), (12,)]


def config_of(family, changes):
    make, sizes = CONFIGS[family]
    return make(**sizes | changes, attn_implementation="eager")


def random_model(kind, config):
    """A model whose every parameter is random: no zero bias, no unit norm."""
    torch.manual_seed(11)
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def packed(lengths, kinds):
    tokens = torch.randint(7, 53, (sum(lengths),))
    return PackedBatch(tokens, torch.randint(0, max(kinds, 2), (sum(lengths),)), lengths)


def ours(folder, batch, seed=0):
    """What we load from ``folder``, and the last states and pooled vectors that it gives."""
    shape = checkpoint_shape(read_config(folder))
    loaded = load_tower(weight_file(folder), shape, seed)
    plan = SharingPlan.parse(f"S{shape.layers}", ["one"])
    encoder = PlannedEncoder(shape, plan, loaded.tower, pooler=shape.pooler).eval()
    with torch.no_grad():
        rows = encoder({"one": batch})
        pooled = values_by_task(encoder.pooled(rows), ["one"])["one"] if shape.pooler else None
        return loaded, values_by_task(rows, ["one"])["one"], pooled


def theirs(model, batch, kinds):
    """Last states and pooled vectors of transformers, every sequence run alone."""
    states, pooled = [], []
    types = batch.token_types.clamp(max=max(kinds - 1, 0)).split(batch.lengths)
    for ids, each in zip(batch.tokens.split(batch.lengths), types, strict=True):
        options = {"token_type_ids": each[None]} if kinds else {}
        with torch.no_grad():
            found = model(input_ids=ids[None], **options)
        states.append(found.last_hidden_state[0])
        pooled.append(getattr(found, "pooler_output", None))
    return torch.cat(states), None if pooled[0] is None else torch.cat(pooled)


def close(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


# The form of the file and the family are read by different code: one .bin shows the first.
BINS = [pytest.param(*case, "bin", marks=[pytest.mark.slow] * (case != CASES[0])) for case in CASES]


@pytest.mark.parametrize(
    ("family", "changes", "file"), [*((*case, "safetensors") for case in CASES), *BINS]
)
def test_every_family_gives_the_states_of_transformers(tmp_path, family, changes, file):
    config = config_of(family, changes)
    model = random_model(transformers.AutoModel.from_config, config)
    model.save_pretrained(tmp_path)
    if file == "bin":
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    kinds = 0 if family == "distilbert" else config.type_vocab_size
    for lengths in LENGTHS:
        batch = packed(lengths, kinds)
        loaded, states, pooled = ours(tmp_path, batch)
        wanted, wanted_pooled = theirs(model, batch, kinds)
        close(states, wanted)
        assert (pooled is None) == (family in ("electra", "distilbert"))
        if pooled is not None:
            close(pooled, wanted_pooled)
        assert not loaded.random
        assert not loaded.ignored


# Every family once, and every kind of lengths with one of them.
GRADIENTS = [
    pytest.param(family, lengths, marks=[pytest.mark.slow] * (n > 0 and family != "bert"))
    for family in CONFIGS
    for n, lengths in enumerate(LENGTHS)
]


@pytest.mark.parametrize(("family", "lengths"), GRADIENTS)
def test_gradients_are_those_of_transformers(tmp_path, family, lengths):
    config = config_of(family, {})
    model = random_model(transformers.AutoModel.from_config, config)
    model.save_pretrained(tmp_path)
    kinds = 0 if family == "distilbert" else config.type_vocab_size
    batch, direction = packed(lengths, kinds), torch.randn(sum(lengths), 21)
    shape = checkpoint_shape(read_config(tmp_path))
    tower = load_tower(weight_file(tmp_path), shape, 0).tower
    encoder = PlannedEncoder(shape, SharingPlan.parse("S2", ["one"]), tower).eval()
    (encoder.hidden({"one": batch})["one"] * direction).sum().backward()
    types = batch.token_types.clamp(max=max(kinds - 1, 0)).split(lengths)
    parts = zip(batch.tokens.split(lengths), types, direction.split(lengths), strict=True)
    for ids, each, rows in parts:
        options = {"token_type_ids": each[None]} if kinds else {}
        (model(input_ids=ids[None], **options).last_hidden_state[0] * rows).sum().backward()
    wanted = model.get_input_embeddings().weight.grad
    found = encoder.embeddings.copies[0].word.weight.grad
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert wanted.abs().max() > 0.1


def test_the_last_position_of_the_table_is_used(tmp_path):
    config = config_of("roberta", {"pad_token_id": 2})
    model = random_model(transformers.RobertaModel, config)
    model.save_pretrained(tmp_path)
    assert checkpoint_shape(read_config(tmp_path)).max_length == 17 - 3
    batch = packed((14, 3), 2)
    close(ours(tmp_path, batch)[1], theirs(model, batch, 2)[0])


@pytest.mark.parametrize(
    ("family", "kind", "random", "head"),
    [
        ("bert", "BertForPreTraining", (), "cls.seq_relationship.weight"),
        ("bert", "BertForMaskedLM", ("pooler",), "cls.predictions.bias"),
        ("bert", "BertForSequenceClassification", (), "classifier.weight"),
        ("bert", "BertForQuestionAnswering", ("pooler",), "qa_outputs.weight"),
        ("roberta", "RobertaForMaskedLM", ("pooler",), "lm_head.dense.weight"),
        ("roberta", "RobertaForSequenceClassification", ("pooler",), "classifier.dense.weight"),
        ("electra", "ElectraForPreTraining", (), "discriminator_predictions.dense.weight"),
        ("electra", "ElectraForMaskedLM", (), "generator_predictions.dense.weight"),
        ("distilbert", "DistilBertForMaskedLM", (), "vocab_transform.weight"),
        ("distilbert", "DistilBertForSequenceClassification", (), "pre_classifier.weight"),
    ],
)
def test_heads_of_other_training_are_dropped_by_name(tmp_path, family, kind, random, head):
    config = config_of(family, {})
    model = random_model(getattr(transformers, kind), config)
    model.save_pretrained(tmp_path)
    kinds = 0 if family == "distilbert" else config.type_vocab_size
    batch = packed((4, 9, 1), kinds)
    loaded, states, pooled = ours(tmp_path, batch)
    wanted, wanted_pooled = theirs(model.base_model, batch, kinds)
    close(states, wanted)
    if wanted_pooled is not None:
        close(pooled, wanted_pooled)
    assert loaded.random == random
    assert head in loaded.ignored
    prefix = f"{family}."
    assert all(prefix + name not in model.state_dict() for name in loaded.ignored)


def test_a_fresh_pooler_depends_on_the_seed_alone(tmp_path):
    model = random_model(transformers.RobertaForMaskedLM, config_of("roberta", {}))
    model.save_pretrained(tmp_path)
    batch = packed((4, 9), 1)
    first, again, other = (ours(tmp_path, batch, seed)[2] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)
