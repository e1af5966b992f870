"""The masked-LM heads of checkpoints: parity with transformers, and what is refused."""

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from mtl_sharing.batch import PackedBatch
from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.checkpoint import load_tower
from mtl_sharing.model.encoder.checkpoint_files import read_config, weight_file
from mtl_sharing.model.encoder.shape import checkpoint_shape
from mtl_sharing.model.network import Network
from mtl_sharing.model.pretraining import MaskedLanguageModel, load_mlm_head
from mtl_sharing.model.specs import TaskHead
from mtl_sharing.objectives.pretraining import MaskedTokens
from support import architecture_of

SIZES = {
    "vocab_size": 53, "hidden_size": 21, "num_hidden_layers": 2, "num_attention_heads": 3,
    "intermediate_size": 31, "max_position_embeddings": 17, "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}  # fmt: skip
DISTILBERT = {
    "vocab_size": 53, "dim": 21, "n_layers": 2, "n_heads": 3, "hidden_dim": 31,
    "max_position_embeddings": 17, "dropout": 0.0, "attention_dropout": 0.0,
}  # fmt: skip
MODELS = {
    "bert": (transformers.BertConfig, transformers.BertForMaskedLM, SIZES),
    "roberta": (transformers.RobertaConfig, transformers.RobertaForMaskedLM, SIZES),
    "electra": (transformers.ElectraConfig, transformers.ElectraForMaskedLM,
                SIZES | {"embedding_size": 13}),
    "distilbert": (transformers.DistilBertConfig, transformers.DistilBertForMaskedLM, DISTILBERT),
}  # fmt: skip
CASES = [
    ("bert", {}),
    ("bert", {"hidden_act": "relu", "layer_norm_eps": 1e-2}),
    ("roberta", {}),
    ("roberta", {"hidden_act": "relu", "layer_norm_eps": 1e-2, "pad_token_id": 3}),
    ("electra", {}),
    ("electra", {"hidden_act": "relu", "embedding_size": 21}),
    ("distilbert", {}),
    ("distilbert", {"activation": "relu"}),
]
LENGTHS, PICKED = (5, 1, 7, 2, 6), [1, 3, 5, 9, 12, 20]


def close(found, wanted, atol=1e-5):
    torch.testing.assert_close(found, wanted, rtol=0, atol=atol)


def their_model(family, changes=None):
    """A model of transformers whose every parameter is random."""
    make, kind, sizes = MODELS[family]
    torch.manual_seed(11)
    model = kind(make(**sizes | (changes or {}), attn_implementation="eager"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def text_of(seed, lengths=LENGTHS, picked=PICKED):
    random = torch.Generator().manual_seed(seed)
    tokens = torch.randint(7, 53, (sum(lengths),), generator=random)
    return PackedBatch(tokens, torch.zeros_like(tokens), lengths, picked=torch.tensor(picked))


def loaded(folder):
    """Our model of a checkpoint that transformers saved."""
    shape = checkpoint_shape(read_config(folder))
    path = weight_file(folder)
    network = Network(
        architecture_of(shape, "S2", [TaskHead("a", 5)]), load_tower(path, shape, 0).tower
    )
    return MaskedLanguageModel(network, load_mlm_head(path, shape))


def their_logits(model, text):
    """Logits (P, V) of the picked tokens; every sequence is run alone."""
    found = [model(input_ids=ids[None]).logits[0] for ids in text.tokens.split(text.lengths)]
    return torch.cat(found)[text.picked]


@pytest.mark.parametrize("file", ["safetensors", "bin"])
@pytest.mark.parametrize(("family", "changes"), CASES)
def test_every_family_gives_the_logits_and_slopes_of_transformers(tmp_path, family, changes, file):
    model = their_model(family, changes).train()
    model.save_pretrained(tmp_path)
    if file == "bin":  # holds the tied table twice, as older files do
        (tmp_path / "model.safetensors").unlink()
        torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    own = loaded(tmp_path).train()
    text, labels = text_of(3), torch.randint(53, (len(PICKED),))
    found, wanted = own({"a": text})["a"], their_logits(model, text)
    close(found, wanted)
    assert wanted.std() > 0.1
    loss = MaskedTokens(53).loss(found, labels)
    their_loss = torch.nn.functional.cross_entropy(wanted, labels)
    close(loss, their_loss)
    loss.backward()
    their_loss.backward()
    (table,) = own.tables()
    close(table.grad, model.get_input_embeddings().weight.grad, 1e-4)
    close(own.heads[0].bias.grad, model.get_output_embeddings().bias.grad)
    assert table.grad.abs().max() > 0.01


def test_the_loss_that_transformers_reports(tmp_path):
    model = their_model("bert").eval()
    model.save_pretrained(tmp_path)
    text = text_of(5, (9, 9, 9), [2, 11, 12, 26])
    original = torch.tensor([8, 40, 13, 9])
    labels = torch.full((27,), -100)
    labels[text.picked] = original
    with torch.no_grad():
        wanted = model(input_ids=text.tokens.view(3, 9), labels=labels.view(3, 9)).loss
        found = loaded(tmp_path).eval()({"a": text})["a"]
    close(MaskedTokens(53).loss(found, original), wanted)


def saved(folder, family):
    model = their_model(family)
    model.save_pretrained(folder)
    return checkpoint_shape(read_config(folder)), weight_file(folder)


@pytest.mark.parametrize(
    ("family", "kind"),
    [
        ("bert", transformers.BertModel),
        ("bert", transformers.BertForSequenceClassification),
        ("roberta", transformers.RobertaForSequenceClassification),
        ("electra", transformers.ElectraForPreTraining),
        ("distilbert", transformers.DistilBertModel),
    ],
)
def test_checkpoints_without_a_head_give_none(tmp_path, family, kind):
    make, _, sizes = MODELS[family]
    kind(make(**sizes)).save_pretrained(tmp_path)
    assert load_mlm_head(weight_file(tmp_path), checkpoint_shape(read_config(tmp_path))) is None


def test_the_head_of_pretraining_is_found_under_its_old_names(tmp_path):
    shape, path = saved(tmp_path, "bert")
    wanted = load_mlm_head(path, shape)
    old = {name.replace("LayerNorm.weight", "LayerNorm.gamma")
               .replace("LayerNorm.bias", "LayerNorm.beta")
               .replace("predictions.bias", "predictions.decoder.bias"): weight
           for name, weight in load_file(path).items()}  # fmt: skip
    save_file(old, path)
    found = load_mlm_head(path, shape)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_an_untied_decoder_gives_none(tmp_path):
    shape, path = saved(tmp_path, "bert")
    weights = load_file(path)
    table = weights["bert.embeddings.word_embeddings.weight"]
    for decoder, usable in ((table.clone(), True), (table + 1e-3, False)):
        save_file(weights | {"cls.predictions.decoder.weight": decoder}, path)
        assert (load_mlm_head(path, shape) is not None) == usable


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("cls.predictions.transform.dense.bias"),
         r"found no weights for mlm_head: dense.bias; allowed: a bert checkpoint with a complete"),
        (lambda w: w.update({"cls.predictions.bias": torch.zeros(52)}),
         r"found mlm_head.bias of shape \(52,\); allowed: \(53,\), as in the config"),
    ],
)  # fmt: skip
def test_damaged_heads_are_refused(tmp_path, change, message):
    shape, path = saved(tmp_path, "bert")
    weights = load_file(path)
    change(weights)
    save_file(weights, path)
    with pytest.raises(UserError, match=message):
        load_mlm_head(path, shape)
