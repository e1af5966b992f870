"""Loads a checkpoint's tokenizer with the ids that ``AutoTokenizer`` of transformers 5 gives.

The tokenizer's class decides which file counts. ``PreTrainedTokenizerFast`` takes tokenizer.json as
it is. Every other class takes its vocabulary and added tokens, and the rest from
tokenizer_config.json.
"""

import json
import logging
from collections.abc import Iterable
from pathlib import Path

from tokenizers import AddedToken, Tokenizer

from mtl_sharing.data.tokens.tokenizer_classes import CLASSES, FILE, TokenizerClass, TokenizerFiles
from mtl_sharing.data.tokens.tokenizer_options import CONFIG, ROLES, Token, read_json, read_options
from mtl_sharing.errors import UserError, first_line, one_of
from mtl_sharing.utils.checkpoint_names import TokenizerFile
from mtl_sharing.utils.panics import panics_as_errors

log = logging.getLogger(__name__)

# The class of each model_type where no file names one.
_OF_MODEL = {
    "bert": "BertTokenizer", "distilbert": "BertTokenizer", "electra": "BertTokenizer",
    "roberta": "RobertaTokenizer", "xlm-roberta": "XLMRobertaTokenizer",
    "camembert": "CamembertTokenizer",
}  # fmt: skip
_OVERRULED = ("normalizer", "pre_tokenizer")
# The limit is set with each encoding. The direction is kept from here on.
_NO_LIMIT = 1_000_000


def load_pretrained(folder: Path) -> Tokenizer:
    """Loads the tokenizer of a checkpoint's folder.

    Raises:
        UserError: no tokenizer, a damaged one, or one whose class or option is not known here.
    """
    try:
        with panics_as_errors():
            return _load(folder)
    except UserError:
        raise
    except Exception as error:  # the library raises bare Exception for a damaged file
        found = f"a damaged tokenizer ({first_line(error)})"
        raise UserError(str(folder), found, f"a whole {FILE}, {CONFIG} and vocabulary") from None


def _load(folder: Path) -> Tokenizer:
    saved = read_json(folder / FILE)
    if saved == {}:
        raise UserError(str(folder / FILE), "an empty object", f"a whole {FILE}")
    saved = saved or {}
    files = TokenizerFiles(folder, saved, read_options(folder, saved.get("added_tokens") or []))
    kind = _class(files)
    roles = _roles(files, kind)
    tokenizer = kind.build(files, roles)
    if tokenizer.padding:
        roles.setdefault("pad_token", tokenizer.padding["pad_token"])
    _add_tokens(tokenizer, files, kind, roles)
    tokenizer.post_processor = kind.finish(tokenizer, files, roles)
    _warn_of_differences(files, tokenizer)
    _set_direction(tokenizer, files)
    tokenizer.no_padding()
    return tokenizer


def _class(files: TokenizerFiles) -> TokenizerClass:
    model = read_json(files.folder / "config.json") or {}
    kind = model.get("model_type")
    name = files.options.values.get("tokenizer_class") or model.get("tokenizer_class")
    if name is None:
        name = _class_of_files(files) if kind is None else _OF_MODEL.get(str(kind))
    known = str(name).removesuffix("Fast")
    if known not in CLASSES:
        found = f"none, for model_type {kind}" if name is None else name
        allowed = f"{one_of(CLASSES)}, also with Fast"
        raise UserError(f"{files.folder / CONFIG}: tokenizer_class", found, allowed)
    return CLASSES[known]


def _class_of_files(files: TokenizerFiles) -> str:
    """The class for a folder that names neither a class nor a model."""
    classes = {FILE: "TokenizersBackend", TokenizerFile.WORDPIECES: "BertTokenizer",
               TokenizerFile.MERGES: "RobertaTokenizer"}  # fmt: skip
    for name, found in classes.items():
        if (files.folder / name).is_file():
            return found
    raise UserError(str(files.folder), "no tokenizer", one_of(classes))


def _roles(files: TokenizerFiles, kind: TokenizerClass) -> dict[str, Token | None]:
    """The special tokens by role."""
    roles = dict(kind.roles) | files.options.roles
    needed = [role for role in kind.roles if role not in ("pad_token", "mask_token")]
    for role in needed:
        if roles[role] is None:
            raise files.options.error(role, None, f"a token, such as {kind.roles[role]}")
    default = kind.roles.get("mask_token")
    if isinstance(default, AddedToken) and isinstance(roles["mask_token"], str):
        roles["mask_token"] = AddedToken(roles["mask_token"], lstrip=True, special=True)
    return roles


def _add_tokens(
    tokenizer: Tokenizer,
    files: TokenizerFiles,
    kind: TokenizerClass,
    roles: dict[str, Token | None],
) -> None:
    """Adds added and special tokens, in the order that decides the ids of new ones."""
    options = files.options
    named = [roles.get(role) for role in ROLES] + list(options.named.values())
    special = [token for token in named if token is not None]
    names = {str(token) for token in special}
    present = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    present += map(str, options.added.values())
    tokens: list[Token] = list(options.added.values())
    for token in [*special, *(kind.extra if options.extra is None else options.extra)]:
        if str(token) not in present and token not in tokens:
            tokens.append(token)
    tokenizer.add_tokens([_as_added(token, names) for token in tokens])


def _as_added(token: Token, special: Iterable[str]) -> AddedToken:
    if isinstance(token, str):
        return AddedToken(token, special=True)
    token.special = token.special or str(token) in special
    return token


def _set_direction(tokenizer: Tokenizer, files: TokenizerFiles) -> None:
    """Keeps the end at which long texts are cut."""
    saved = (files.saved.get("truncation") or {}).get("direction", "right")
    side = files.options.values.get("truncation_side", str(saved).lower())
    if side not in ("left", "right"):
        raise files.options.error("truncation_side", side, "left or right")
    tokenizer.no_truncation()
    if side == "left":
        tokenizer.enable_truncation(_NO_LIMIT, direction=side)


def _warn_of_differences(files: TokenizerFiles, tokenizer: Tokenizer) -> None:
    """Warns where the options overrule tokenizer.json."""
    saved = {name: files.saved.get(name) for name in _OVERRULED if files.saved}
    # Read and written again, since older versions of the library write other fields.
    model = {"type": "WordLevel", "vocab": {}, "unk_token": ""}
    whole = {"version": "1.0", "added_tokens": [], "model": model} | saved
    read, built = (
        json.loads(t.to_str()) for t in (Tokenizer.from_str(json.dumps(whole)), tokenizer)
    )
    parts = [name for name in saved if built[name] != read[name]]
    if parts:
        message = "%s: its %s differs from what %s and the tokenizer's class say, which count"
        log.warning(message, files.folder / FILE, " and ".join(parts), CONFIG)
