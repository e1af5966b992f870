"""Damaged, deep and panicking tokenizer files end in one UserError that names the file."""

import json
import os

import pytest
from tokenizers import Tokenizer, models

from checkpoint_tokenizers import BERT_TOKENS, saved_tokenizer, write_files
from mtl_sharing.data.tokens.pretrained import load_pretrained
from mtl_sharing.data.tokens.tokenizing import check_vocabulary, encode, read_tokenizer
from mtl_sharing.errors import UserError

PLAIN = '{"tokenizer_class": "PreTrainedTokenizerFast"}'
DEEP = '{"type": "Sequence", "normalizers": [' * 5000 + '{"type": "NFC"}' + "]}" * 5000
CHARSMAP = {"type": "Precompiled", "precompiled_charsmap": "AAAA"}


def changed(**parts):
    """The text of a tokenizer.json with other parts."""
    return json.dumps(json.loads(saved_tokenizer("bert").to_str()) | parts)


def split(pattern):
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


DAMAGED = {
    "empty": "", "cut": changed()[:900], "a list": "[]", "an empty object": "{}", "null": "null",
    "no model": changed(model=None), "a model without words": changed(model={"type": "WordPiece"}),
    "words as a list": changed(model={"type": "WordPiece", "vocab": ["a"], "unk_token": "a"}),
    "a negative id": changed(model={"type": "WordPiece", "vocab": {"[UNK]": -1}}),
    "added tokens without ids": changed(added_tokens=[{"content": "x"}]),
    "added tokens of another kind": changed(added_tokens=[3]),
    "deep": changed(normalizer=None).replace('"normalizer": null', f'"normalizer": {DEEP}'),
    "a table that panics": changed(normalizer=CHARSMAP), "a bad pattern": changed(
        pre_tokenizer=split("(")),
    "bytes": b"\xff\xfe{}",
}  # fmt: skip


@pytest.mark.parametrize("config", ["{}", PLAIN], ids=["rebuilt", "as it is"])
@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_checkpoint_is_named(name, config, tmp_path, capfd):
    content = DAMAGED[name]
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "tokenizer.json").write_bytes(content)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "tokenizer_config.json").write_text(config)
    with pytest.raises(UserError, match=str(tmp_path)) as caught:
        load_pretrained(tmp_path)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_tokenizer_of_a_run_is_named(name, tmp_path, capfd):
    content = DAMAGED[name]
    content = content if isinstance(content, bytes) else content.encode()
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(UserError, match=r"tokenizer\.json: found a damaged tokenizer"):
        read_tokenizer(tmp_path / "tokenizer.json")
    assert capfd.readouterr() == ("", "")


def test_a_pipe_is_no_tokenizer(tmp_path):
    os.mkfifo(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match="found a pipe"):
        read_tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match="found a pipe"):
        load_pretrained(tmp_path)


def test_a_pattern_that_backtracks_for_ever_is_stopped(tmp_path):
    text = changed(pre_tokenizer=split("(a+)+$"), normalizer=None)
    (tmp_path / "tokenizer.json").write_text(text)
    tokenizer = read_tokenizer(tmp_path / "tokenizer.json")
    with pytest.raises(UserError, match="a tokenizer that fails on a text"):
        encode(tokenizer, ["a" * 60 + "b"], 8)


@pytest.mark.parametrize(
    ("file", "content"),
    [("tokenizer_config.json", "{"), ("tokenizer_config.json", "[1]"),
     ("tokenizer_config.json", '{"a": ' * 9000 + "1" + "}" * 9000), ("config.json", "nul"),
     ("added_tokens.json", '{"x": "y", "z": 1}'), ("special_tokens_map.json", "3")],
)  # fmt: skip
def test_a_damaged_file_beside_a_vocabulary_is_named(file, content, tmp_path):
    write_files(tmp_path, "bert")
    (tmp_path / file).write_text(content)
    with pytest.raises(UserError, match=str(tmp_path)):
        load_pretrained(tmp_path)


def broken(**parts):
    return Tokenizer.from_str(changed(**parts))


UNKNOWN = {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "[UNK]",
           "max_input_chars_per_word": 9, "continuing_subword_prefix": "##"}  # fmt: skip
TEMPLATE = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "X", "type_id": 0}}],
            "pair": [], "special_tokens": {}}  # fmt: skip


@pytest.mark.parametrize(
    "parts",
    [{"pre_tokenizer": split("(a+)+$")}, {"model": UNKNOWN, "added_tokens": []},
     {"post_processor": TEMPLATE}],
    ids=["a pattern that panics", "no unknown token", "an unknown token at the ends"],
)  # fmt: skip
def test_a_tokenizer_that_fails_on_a_text_is_told(parts, capfd):
    tokenizer = broken(**parts)
    with pytest.raises(UserError, match=r"encoder\.tokenizer: found a tokenizer that fails on"):
        encode(tokenizer, ["fine", "a" * 50 + "!"], 9)
    assert capfd.readouterr() == ("", "")


def test_ids_beyond_the_table_are_refused_by_token():
    pieces = {piece: number for number, piece in enumerate(BERT_TOKENS)} | {"far": 40}
    tokenizer = Tokenizer(models.WordPiece(pieces, unk_token="[UNK]"))
    check_vocabulary(tokenizer, 41)
    with pytest.raises(UserError, match=r"token far with id 40; allowed: ids below .*=40"):
        check_vocabulary(tokenizer, 40)
    with pytest.raises(UserError, match="token far with id 40"):
        check_vocabulary(tokenizer, len(pieces))
    check_vocabulary(Tokenizer(models.WordPiece({}, unk_token="[UNK]")), 1)
