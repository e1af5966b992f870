"""A checkpoint's tokenizer against AutoTokenizer: families, files, options and hard texts."""

import json
import random
from itertools import product

import pytest
import transformers
from tokenizers import Tokenizer

from checkpoint_tokenizers import (
    BERT_TOKENS,
    PAIRS,
    ROBERTA_TOKENS,
    TEXTS,
    saved_tokenizer,
    write_files,
)
from mtl_sharing.data.tokens.pretrained import load_pretrained
from mtl_sharing.data.tokens.tokenizing import encode, token_key
from mtl_sharing.errors import UserError
from mtl_sharing.export.plain import padding_id, tokenizer_files

LSTRIP = {"__type": "AddedToken", "content": "<mask>", "lstrip": True, "normalized": False}
ENTITY = {"content": "<ent>", "single_word": True, "lstrip": False, "rstrip": True,
          "normalized": True, "special": False}  # fmt: skip
NEW = ENTITY | {"content": "newtok", "single_word": False}
PLAIN = {"tokenizer_class": "PreTrainedTokenizerFast"}
# Name of the input: family, form of the vocabulary, tokenizer_config.json, other JSON files.
INPUTS = {
    "bert": ("bert", "files", None, {}),
    "cased": ("bert", "files", {"do_lower_case": False}, {}),
    "cased without accents": ("bert", "files", {"do_lower_case": False, "strip_accents": True}, {}),
    "accents": ("distilbert", "files", {"strip_accents": False}, {}),
    "chinese words": ("electra", "files", {"tokenize_chinese_chars": False}, {}),
    "ignored options": ("bert", "files", {"never_split": ["newtok"], "do_basic_tokenize": False,
                        "model_max_length": 4, "vocab_file": "../x", "add_bos_token": True}, {}),
    "config over tokenizer.json": ("bert", "json", {"tokenizer_class": "BertTokenizerFast"}, {}),
    "no config beside tokenizer.json": ("electra", "json", None, {}),
    "tokenizer.json as it is": ("bert", "json", PLAIN | {"do_lower_case": True}, {}),
    "class in config.json": ("distilbert", "files", None, {"config.json": {
        "model_type": "distilbert", "tokenizer_class": "DistilBertTokenizer"}}),
    "another family's class": ("roberta", "bert files", {"tokenizer_class": "BertTokenizer"}, {}),
    "special tokens by other names": ("bert", "files", {"unk_token": "tea", "mask_token": "<E1>",
                                      "cls_token": "a", "pad_token": None}, {}),
    "more special tokens": ("bert", "files", {"additional_special_tokens": ["<e2>", "newtok"],
                            "image_token": "<E1>", "extra_special_tokens": None}, {}),
    "named special tokens": ("roberta", "files", {"extra_special_tokens": {"v_token": "<E2>"}}, {}),
    "added tokens": ("bert", "files", {"added_tokens_decoder": {
        "500": ENTITY, "4": ENTITY | {"content": "[MASK]", "special": True}, "7": NEW}}, {}),
    "older files": ("bert", "files", {}, {
        "added_tokens.json": {"newtok": 999, "<ent>": 998},
        "special_tokens_map.json": {"mask_token": {"content": "[MASK]", "lstrip": True},
                                    "additional_special_tokens": ["<ent>"]}}),
    "older files beside tokenizer.json": ("roberta", "json", {"add_prefix_space": False}, {
        "added_tokens.json": {"newtok": 999},
        "special_tokens_map.json": {"mask_token": {"content": "<mask>", "rstrip": True},
                                    "extra_special_tokens": ["<e2>", {"content": "<E1>"}]}}),
    "roberta": ("roberta", "files", None, {}),
    "space before": ("roberta", "files", {"add_prefix_space": True, "trim_offsets": False}, {}),
    "mask with its space": ("roberta", "files", {"mask_token": LSTRIP}, {}),
    "roberta over tokenizer.json": ("roberta", "json", None, {}),
    "roberta as it is": ("roberta", "json", PLAIN | {"add_prefix_space": False}, {}),
    "xlm-roberta": ("xlm-roberta", "json", {"add_prefix_space": False}, {}),
    "camembert": ("camembert", "json", None, {}),
    "left": ("bert", "files", {"truncation_side": "left", "padding_side": "left"}, {}),
}  # fmt: skip


def write(folder, family, form, config, others):
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"model_type": family}))
    if form == "json":
        saved_tokenizer(family).save(str(folder / "tokenizer.json"))
    else:
        write_files(folder, "bert" if form == "bert files" else family)
    contents = others if config is None else others | {"tokenizer_config.json": config}
    for name, content in contents.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def limited(theirs, texts, **options):
    """The ids of texts or pairs."""
    columns = [list(column) for column in zip(*texts, strict=True)]
    return theirs(*columns, **options)["input_ids"]


def ids(tokenizer, texts, limit=10**6):
    rows = encode(tokenizer, texts, limit)
    return [rows.tokens[a:b].tolist() for a, b in zip(rows.offsets, rows.offsets[1:], strict=False)]


def assert_same(tokenizer, theirs):
    """Equal ids of all texts and pairs, in full and cut, also after writing and reading."""
    again = Tokenizer.from_str(tokenizer.to_str())
    cut = {"truncation": True, "max_length": 6}
    for ours in (tokenizer, again):
        assert ids(ours, TEXTS) == theirs(TEXTS)["input_ids"]
        assert ids(ours, PAIRS) == limited(theirs, PAIRS)
    types = theirs(*map(list, zip(*PAIRS, strict=True)), return_token_type_ids=True)
    wanted = [kind for row in types["token_type_ids"] for kind in row]
    assert encode(again, PAIRS, 10**6).token_types.tolist() == wanted
    assert ids(again, TEXTS, 6) == theirs(TEXTS, **cut)["input_ids"]
    assert ids(again, PAIRS, 6) == limited(theirs, PAIRS, **cut)


@pytest.mark.parametrize("name", INPUTS)
def test_ids_are_those_of_auto_tokenizer(name, tmp_path):
    folder = write(tmp_path / "ck", *INPUTS[name])
    assert_same(load_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder))


@pytest.mark.parametrize("name", INPUTS)
def test_an_export_has_the_same_ids(name, tmp_path):
    tokenizer = load_pretrained(write(tmp_path / "ck", *INPUTS[name]))
    out = tmp_path / "out"
    out.mkdir()
    (out / "config.json").write_text('{"model_type": "bert"}')
    padding = padding_id(tokenizer, 0)
    for file, content in tokenizer_files(tokenizer, 99, 2, padding).items():
        (out / file).write_text(json.dumps(content))
    assert_same(tokenizer, transformers.AutoTokenizer.from_pretrained(out))


def test_every_option_has_its_own_key_in_the_token_cache(tmp_path):
    forms = {"cased", "accents", "chinese words", "space before", "mask with its space", "roberta",
             "bert", "added tokens", "more special tokens", "left"}  # fmt: skip
    folders = [write(tmp_path / name, *INPUTS[name]) for name in sorted(forms)]
    keys = {token_key(load_pretrained(folder), TEXTS, 6) for folder in folders}
    assert len(keys) == len(forms)


def test_a_difference_between_the_files_is_told(tmp_path, caplog):
    load_pretrained(write(tmp_path / "a", "bert", "json", None, {}))
    assert "its normalizer and pre_tokenizer differs" in caplog.text
    caplog.clear()
    load_pretrained(write(tmp_path / "b", "bert", "json", PLAIN, {}))
    tokenizer = load_pretrained(write(tmp_path / "c", "bert", "files", None, {}))
    tokenizer.save(str(tmp_path / "c" / "tokenizer.json"))
    load_pretrained(tmp_path / "c")
    assert caplog.text == ""


def random_token(draw, content):
    flags = ("lstrip", "rstrip", "single_word", "normalized", "special")
    return {"content": content} | {flag: draw.random() < 0.4 for flag in flags}


def random_config(draw, special):
    """A tokenizer_config.json with some of the options that decide ids."""
    choices = {
        "do_lower_case": [True, False], "strip_accents": [True, False, None],
        "tokenize_chinese_chars": [True, False], "add_prefix_space": [True, False],
        "trim_offsets": [True, False], "truncation_side": ["left", "right"],
        "mask_token": [special[-1], "tea", {"__type": "AddedToken", **random_token(draw, "<m>")}],
        "pad_token": [None, "<E1>", special[0]], "image_token": ["<E2>"],
        "additional_special_tokens": [["<e2>", "<ent>"], ["newtok"]],
        "extra_special_tokens": [["<extra>"], {"x_token": "<E2>"}, []],
        "tokenizer_class": ["PreTrainedTokenizerFast", "TokenizersBackend"],
    }  # fmt: skip
    config = {k: draw.choice(v) for k, v in choices.items() if draw.random() < 0.3}
    if draw.random() < 0.4:
        tokens = draw.sample([*special, "<ent>", "newtok", "tea", "[MASK]"], 4)
        numbers = draw.sample([0, 1, 2, 3, 4, 5, 300, 401, 402, 777], 4)
        added = zip(numbers, tokens, strict=True)
        config["added_tokens_decoder"] = {n: random_token(draw, token) for n, token in added}
    return config


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "form"),
    [*product(("bert", "distilbert", "electra", "roberta"), ("files", "json")),
     ("xlm-roberta", "json"), ("camembert", "json")],
)  # fmt: skip
def test_ids_of_random_options(family, form, tmp_path):
    special = BERT_TOKENS if form == "files" and family != "roberta" else ROBERTA_TOKENS
    compared = 0
    for seed in range(60):
        draw = random.Random(f"{family} {form} {seed}")
        config = random_config(draw, special)
        if form == "files":
            config.pop("tokenizer_class", None)
        folder = write(tmp_path / str(seed), family, form, config, {})
        assert_same(load_pretrained(folder), transformers.AutoTokenizer.from_pretrained(folder))
        compared += 1
    assert compared == 60


REFUSED = {
    "split_special_tokens": ("bert", "files", {"split_special_tokens": True}),
    "auto_map": ("bert", "files", {"auto_map": {"AutoTokenizer": ["tok.Mine", None]}}),
    "tokenizer_class: found MyTokenizer": ("bert", "files", {"tokenizer_class": "MyTokenizer"}),
    "tokenizer_class: found BertJapaneseTokenizer": (
        "bert", "files", {"tokenizer_class": "BertJapaneseTokenizer"}),
    "tokenizer_class: found none, for model_type gpt2": ("gpt2", "files", {}),
    "do_lower_case": ("bert", "files", {"do_lower_case": "false"}),
    "strip_accents": ("bert", "files", {"strip_accents": 0.5}),
    "add_prefix_space": ("roberta", "files", {"add_prefix_space": 1}),
    "unk_token": ("bert", "files", {"unk_token": None}),
    "mask_token": ("bert", "files", {"mask_token": {"content": "[MASK]"}}),
    "extra_special_tokens": ("bert", "files", {"extra_special_tokens": [{"content": "x"}]}),
    "truncation_side": ("bert", "files", {"truncation_side": "middle"}),
    "fast_tokenizer_files": ("bert", "json", {"fast_tokenizer_files": ["tokenizer.5.0.0.json"]}),
    "damaged added tokens": ("bert", "files", {"added_tokens_decoder": {"4": {"content": 3}}}),
    "model.type: found BPE": ("roberta", "json", {"tokenizer_class": "BertTokenizer"}),
    "no tokenizer.json": ("bert", "files", PLAIN),
    "no vocab.json": ("bert", "files", {"tokenizer_class": "RobertaTokenizer"}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_known_is_refused_by_name(name, tmp_path):
    with pytest.raises(UserError) as caught:
        load_pretrained(write(tmp_path / "ck", *REFUSED[name], {}))
    assert name in str(caught.value)


@pytest.mark.parametrize("missing", ["vocab.txt", "vocab.json", "merges.txt"])
def test_a_missing_file_is_named(missing, tmp_path):
    family = "bert" if missing == "vocab.txt" else "roberta"
    folder = write(tmp_path / "ck", family, "files", None, {})
    (folder / missing).unlink()
    with pytest.raises(UserError, match=f"no {missing}"):
        load_pretrained(folder)


def test_a_folder_without_a_model_is_read_by_its_files(tmp_path):
    for family in ("bert", "roberta"):
        folder = write(tmp_path / family, family, "files", None, {})
        expected = load_pretrained(folder)
        (folder / "config.json").unlink()
        assert ids(load_pretrained(folder), TEXTS) == ids(expected, TEXTS)
    folder = write(tmp_path / "json", "bert", "json", None, {})
    (folder / "config.json").unlink()
    own = Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert ids(load_pretrained(folder), TEXTS) == ids(own, TEXTS)
    with pytest.raises(UserError, match=r"no tokenizer; allowed: tokenizer\.json"):
        load_pretrained(tmp_path)
