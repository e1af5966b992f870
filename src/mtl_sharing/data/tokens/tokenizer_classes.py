"""Builds the tokenizers that the classes of transformers 5 build from a checkpoint's files."""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE, Unigram, WordPiece

from mtl_sharing.data.tokens.tokenizer_options import CONFIG, Token, TokenizerOptions
from mtl_sharing.errors import UserError
from mtl_sharing.utils.checkpoint_names import TokenizerFile

FILE = TokenizerFile.WHOLE
_PLAIN = "PreTrainedTokenizerFast"
_NEEDS_FILE = f"{FILE}, as AutoTokenizer.from_pretrained(...).save_pretrained(...) writes it"
_BERT_ROLES: dict[str, Token | None] = {
    "unk_token": "[UNK]", "sep_token": "[SEP]", "pad_token": "[PAD]", "cls_token": "[CLS]",
    "mask_token": "[MASK]",
}  # fmt: skip
_ROBERTA_ROLES: dict[str, Token | None] = {
    "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "sep_token": "</s>",
    "pad_token": "<pad>", "cls_token": "<s>", "mask_token": "<mask>",
}  # fmt: skip


@dataclass(frozen=True)
class TokenizerFiles:
    """A checkpoint's folder, the content of its tokenizer.json (or nothing) and its options."""

    folder: Path
    saved: dict[str, Any]
    options: TokenizerOptions

    def file(self, name: str) -> str:
        """The path of a file that the class needs."""
        if not (self.folder / name).is_file():
            raise UserError(str(self.folder), f"no {name}", f"a folder with {name} or {FILE}")
        return str(self.folder / name)

    def vocabulary(self, kind: str) -> Any:
        """The vocabulary in tokenizer.json, of a model of this kind."""
        model = self.saved.get("model")
        if not isinstance(model, dict) or "vocab" not in model:
            raise UserError(str(self.folder / FILE), "no vocabulary", f"a whole {FILE}")
        if model.get("type", kind) != kind:
            found = f"{model['type']}, where the tokenizer's class takes {kind}"
            allowed = (
                f"{kind}, or tokenizer_class {_PLAIN} in {CONFIG}, which takes {FILE} as it is"
            )
            raise UserError(f"{self.folder / FILE}: model.type", found, allowed)
        return model["vocab"]


@dataclass(frozen=True)
class TokenizerClass:
    """How a class of transformers makes a tokenizer.

    Attributes:
        build: the tokenizer without added tokens and post-processor.
        finish: its post-processor, from the special tokens by role.
        roles: special tokens that no file sets.
        extra: further special tokens that no file sets.
    """

    build: Callable[[TokenizerFiles, Mapping[str, Token | None]], Tokenizer]
    finish: Callable[[Tokenizer, TokenizerFiles, Mapping[str, Token | None]], Any]
    roles: Mapping[str, Token | None] = field(default_factory=dict)
    extra: tuple[Token, ...] = ()


def _plain(files: TokenizerFiles, roles: Mapping[str, Token | None]) -> Tokenizer:
    if not files.saved:
        raise UserError(str(files.folder), f"no {FILE}", _NEEDS_FILE)
    return Tokenizer.from_file(str(files.folder / FILE))


def _wordpiece(files: TokenizerFiles, roles: Mapping[str, Token | None]) -> Tokenizer:
    options = files.options
    if files.saved:
        vocabulary = files.vocabulary("WordPiece")
    else:
        vocabulary = WordPiece.read_file(files.file(TokenizerFile.WORDPIECES))
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token=str(roles["unk_token"])))
    accents = options.values.get("strip_accents")
    tokenizer.normalizer = normalizers.BertNormalizer(
        handle_chinese_chars=options.flag("tokenize_chinese_chars", True),
        strip_accents=None if accents is None else options.flag("strip_accents", False),
        lowercase=options.flag("do_lower_case", True),
    )
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return tokenizer


def _byte_level(files: TokenizerFiles, roles: Mapping[str, Token | None]) -> Tokenizer:
    if files.saved:
        vocabulary, merges = files.vocabulary("BPE"), files.saved["model"].get("merges", [])
        merges = [tuple(m.split(" ") if isinstance(m, str) else m) for m in merges]
    else:
        names = TokenizerFile.BYTE_PAIRS, TokenizerFile.MERGES
        vocabulary, merges = BPE.read_file(*map(files.file, names))
    model = BPE(vocabulary, merges, continuing_subword_prefix="", end_of_word_suffix="")
    tokenizer = Tokenizer(model)
    space = files.options.flag("add_prefix_space", False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    return tokenizer


def _sentencepiece(files: TokenizerFiles, unknown: str | None) -> Tokenizer:
    if not files.saved:
        raise UserError(str(files.folder), f"no {FILE}", _NEEDS_FILE)
    pieces = [(text, score) for text, score in files.vocabulary("Unigram")]
    texts = [text for text, _ in pieces]
    number = 3 if unknown is None else texts.index(unknown) if unknown in texts else 0
    tokenizer = Tokenizer(Unigram(pieces, unk_id=number))
    table = _charsmap(files.saved.get("normalizer"))
    if table is not None:
        tokenizer.normalizer = normalizers.Precompiled(base64.b64decode(table))
    scheme = "always" if files.options.flag("add_prefix_space", True) else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace(prepend_scheme=scheme)]
    )
    return tokenizer


def _charsmap(normalizer: Any) -> str | None:
    """The table of the first precompiled normaliser."""
    parts = normalizer if isinstance(normalizer, list) else [normalizer or {}]
    if isinstance(normalizer, dict) and normalizer.get("type") == "Sequence":
        parts = normalizer["normalizers"]
    return next((p["precompiled_charsmap"] for p in parts if p.get("type") == "Precompiled"), None)


def _kept_ends(tokenizer: Tokenizer, files: TokenizerFiles, roles: Mapping[str, Any]) -> Any:
    """The post-processor of tokenizer.json; without one, pairs are told apart by their types."""
    return tokenizer.post_processor or processors.TemplateProcessing("$A:0", "$A:0 $B:1", [])


def _bert_ends(tokenizer: Tokenizer, files: TokenizerFiles, roles: Mapping[str, Any]) -> Any:
    first, last = str(roles["cls_token"]), str(roles["sep_token"])
    single = [f"{first}:0", "$A:0", f"{last}:0"]
    return _template(tokenizer, single, [*single, "$B:1", f"{last}:1"], (first, last))


def _roberta_ends(tokenizer: Tokenizer, files: TokenizerFiles, roles: Mapping[str, Any]) -> Any:
    ends = [str(roles[role]) for role in ("sep_token", "cls_token")]
    last, first = ((text, tokenizer.token_to_id(text) or 0) for text in ends)
    trim = files.options.flag("trim_offsets", True)
    space = files.options.flag("add_prefix_space", False)
    return processors.RobertaProcessing(last, first, trim_offsets=trim, add_prefix_space=space)


def _sentence_ends(tokenizer: Tokenizer, files: TokenizerFiles, roles: Mapping[str, Any]) -> Any:
    first, last = str(roles["bos_token"]), str(roles["eos_token"])
    single = [first, "$A", last]
    return _template(tokenizer, single, [*single, last, "$B", last], (first, last))


def _template(
    tokenizer: Tokenizer, single: list[str], pair: list[str], tokens: tuple[str, str]
) -> Any:
    numbers = [(token, tokenizer.token_to_id(token)) for token in dict.fromkeys(tokens)]
    return processors.TemplateProcessing(single, pair, numbers)


_BERT = TokenizerClass(_wordpiece, _bert_ends, _BERT_ROLES)
_CAMEMBERT_ROLES = _ROBERTA_ROLES | {"mask_token": AddedToken("<mask>", lstrip=True, special=True)}
CLASSES = {
    "BertTokenizer": _BERT,
    "DistilBertTokenizer": _BERT,
    "ElectraTokenizer": _BERT,
    "RobertaTokenizer": TokenizerClass(_byte_level, _roberta_ends, _ROBERTA_ROLES),
    "XLMRobertaTokenizer": TokenizerClass(
        lambda files, roles: _sentencepiece(files, None), _sentence_ends, _ROBERTA_ROLES
    ),
    "CamembertTokenizer": TokenizerClass(
        lambda files, roles: _sentencepiece(files, str(roles["unk_token"])),
        _sentence_ends,
        _CAMEMBERT_ROLES,
        ("<s>NOTUSED", "</s>NOTUSED", "<unk>NOTUSED"),
    ),
    "PreTrainedTokenizer": TokenizerClass(_plain, _kept_ends),
    "TokenizersBackend": TokenizerClass(_plain, _kept_ends),
}
"""The classes that are known here, by their names without ``Fast``."""
