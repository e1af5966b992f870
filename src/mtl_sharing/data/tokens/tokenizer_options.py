"""The options and the added tokens of a checkpoint's tokenizer, as ``transformers`` reads them.

Each rule follows ``PreTrainedTokenizerBase._from_pretrained`` of transformers 5.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.utils.checkpoint_names import TokenizerFile
from mtl_sharing.utils.files import read_object

CONFIG = TokenizerFile.OPTIONS
ROLES = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token",
         "mask_token")  # fmt: skip
_EXTRA, _OLD_EXTRA = "extra_special_tokens", "additional_special_tokens"
_DECODER = "added_tokens_decoder"
# Each may give other ids, and is code or has no place in a tokenizer.json.
_REFUSED = ("split_special_tokens", "auto_map", "init_inputs", "vocab", "merges",
            "tokenizer_object", "post_processor", "tokenizer_truncation",
            "tokenizer_padding")  # fmt: skip
_FIELDS = ("content", "single_word", "lstrip", "rstrip", "normalized", "special")
Token = str | AddedToken


@dataclass(frozen=True)
class TokenizerOptions:
    """The options of a checkpoint's tokenizer.

    Attributes:
        path: the file that has them.
        values: all values of tokenizer_config.json.
        roles: the token of each role that a file sets, None where it sets none.
        named: special tokens with names of their own.
        extra: further special tokens; None where no file has any.
        added: tokens beside the vocabulary, by id.
    """

    path: Path
    values: dict[str, Any]
    roles: dict[str, Token | None]
    named: dict[str, Token]
    extra: list[Token] | None
    added: dict[int, AddedToken]

    def flag(self, name: str, default: bool) -> bool:
        """The value of an option that is true or false."""
        value = self.values.get(name, default)
        if not isinstance(value, bool):
            raise self.error(name, value, "true or false")
        return value

    def error(self, name: str, found: object, allowed: str) -> UserError:
        """A UserError about one option."""
        return UserError(f"{self.path}: {name}", json.dumps(found, default=str)[:80], allowed)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None without the file.

    Raises:
        UserError: the file is damaged or holds another kind of value.
    """
    try:
        return read_object(path, follow=True)
    except FileNotFoundError:
        return None


def read_options(folder: Path, saved_tokens: list[dict[str, Any]]) -> TokenizerOptions:
    """The options in a checkpoint's folder.

    Without ``added_tokens_decoder`` in tokenizer_config.json the added tokens of tokenizer.json
    count, and the older files special_tokens_map.json and added_tokens.json.

    Args:
        saved_tokens: the added tokens of tokenizer.json.

    Raises:
        UserError: a damaged file, or an option that would change ids and is not known here.
    """
    path = folder / CONFIG
    values = read_json(path) or {}
    _refuse(path, values)
    if _OLD_EXTRA in values and not values.get(_EXTRA):
        values[_EXTRA] = values.pop(_OLD_EXTRA)
    try:
        named = _pop_named(values)
        if _DECODER in values:
            added = {int(i): _token(token) for i, token in values.pop(_DECODER).items()}
        else:
            added = _older_files(folder, values, named, saved_tokens)
        added = dict(sorted(added.items()))
        return _options(path, _converted(values), _converted(named), added)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        found = f"damaged added tokens ({first_line(error)})"
        raise UserError(str(folder), found, "a whole tokenizer") from None


def _pop_named(values: dict[str, Any]) -> dict[str, Any]:
    """Moves the special tokens with names of their own out of ``values``."""
    saved = values.pop("model_specific_special_tokens", None) or {}
    names = [key for key in values if _names_token(key) and isinstance(values[key], str)]
    named = {name: values.pop(name) for name in names}
    if isinstance(values.get(_EXTRA), dict):
        named |= values.pop(_EXTRA)
    return named or saved


def _refuse(path: Path, values: dict[str, Any]) -> None:
    for name in _REFUSED:
        if values.get(name):
            found = json.dumps(values[name])[:60]
            raise UserError(f"{path}: {name}", found, f"a tokenizer without {name}")
    files = values.get("fast_tokenizer_files")
    if files and files != [TokenizerFile.WHOLE]:
        raise UserError(f"{path}: fast_tokenizer_files", files, "tokenizer.json alone")


def _older_files(
    folder: Path, values: dict[str, Any], named: dict[str, Any], saved: list[dict[str, Any]]
) -> dict[int, AddedToken]:
    """Adds the special tokens of the older files to ``values``; returns the added tokens."""
    for key, value in (read_json(folder / TokenizerFile.SPECIAL_TOKENS) or {}).items():
        if isinstance(value, dict) and key != _EXTRA:
            value = _token(value | {"special": True})
        elif key == _EXTRA and isinstance(value, list):
            tokens = [_token(t | {"special": True}) if isinstance(t, dict) else t for t in value]
            known = list(values.get(_EXTRA) or [])
            value = known + [token for token in tokens if token not in known]
        values[key] = value
    if isinstance(values.get(_EXTRA), dict):
        named |= values.pop(_EXTRA)
    special = {str(values[role]) for role in ROLES if values.get(role)}
    special |= {str(token) for token in values.get(_EXTRA) or []}
    added = {
        index: AddedToken(text, normalized=text not in special, special=text in special)
        for text, index in (read_json(folder / TokenizerFile.ADDED_TOKENS) or {}).items()
    }
    return added | {token["id"]: _token(token) for token in saved}


def _options(
    path: Path, values: dict[str, Any], named: dict[str, Any], added: dict[int, AddedToken]
) -> TokenizerOptions:
    by_text = {str(token): token for token in added.values()}
    roles = {role: values[role] for role in ROLES if role in values}
    roles = {r: v if v is None else by_text.get(str(v), v) for r, v in roles.items()}
    marked = {k: v for k, v in values.items() if _names_token(k) and _is_token(v)}
    extra = values.get(_EXTRA, values.get(_OLD_EXTRA))
    options = TokenizerOptions(path, values, roles, marked | named, extra, added)
    for name, token in [*roles.items(), *options.named.items()]:
        if token is not None and not _is_token(token):
            raise options.error(name, token, "a token")
    if extra is not None and not (isinstance(extra, list) and all(map(_is_token, extra))):
        raise options.error(_EXTRA, extra, "a list of tokens")
    return options


def _converted(value: Any) -> Any:
    """The value with marked objects (``"__type": "AddedToken"``) as tokens."""
    if isinstance(value, dict) and value.get("__type") == "AddedToken":
        return _token(value)
    if isinstance(value, dict):
        return {key: _converted(item) for key, item in value.items()}
    return [_converted(item) for item in value] if isinstance(value, list) else value


def _token(fields: dict[str, Any]) -> AddedToken:
    # The library prints a line for each field that it does not know.
    return AddedToken(**{name: fields[name] for name in _FIELDS if name in fields})


def _names_token(key: str) -> bool:
    return key.endswith("_token") and key not in ROLES


def _is_token(value: object) -> bool:
    return isinstance(value, Token)
