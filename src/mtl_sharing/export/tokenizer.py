"""The run's tokenizer as files from which ``AutoTokenizer`` gives the same ids."""

import json
from typing import Any

from tokenizers import Tokenizer

from mtl_sharing.errors import UserError

# Of BERT's and of RoBERTa's kind of vocabulary.
_SPECIAL = {
    "unk_token": ("[UNK]", "<unk>"),
    "sep_token": ("[SEP]", "</s>"),
    "pad_token": ("[PAD]", "<pad>"),
    "cls_token": ("[CLS]", "<s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def special_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """The special tokens that the tokenizer has: made so now, they would change its ids."""
    there = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    found: dict[str, str] = {}
    for role, names in _SPECIAL.items():
        name = next((name for name in names if name in there), None)
        found |= {} if name is None else {role: name}
    return found


def padding_id(tokenizer: Tokenizer, offset: int) -> int:
    """The id of the token that pads.

    Args:
        offset: of RoBERTa's positions; 0 for other families. ``transformers`` counts them from the
            padding token's id, and counts no token of this id.

    Raises:
        UserError: an offset that is not the padding token's id + 1.
    """
    token = special_tokens(tokenizer).get("pad_token")
    known = None if token is None else tokenizer.token_to_id(token)
    found: int = offset - 1 if known is None else known
    if offset > 0 and found != offset - 1:
        where = f"{offset}, where the tokenizer pads with {token} (id {found})"
        raise UserError("encoder.position_offset", where, f"{found + 1}, for a plain RoBERTa")
    return max(0, found)


def tokenizer_files(
    tokenizer: Tokenizer, max_length: int, token_types: int, padding: int
) -> dict[str, dict[str, Any]]:
    """Contents by file name.

    Args:
        max_length: where the run cut texts, in tokens.
        token_types: rows of the encoder's token-type embedding; with one or none no types are
            given, since the encoder reads every token as the first type.
        padding: id of the token that pads.
    """
    content = json.loads(tokenizer.to_str()) | {"truncation": None, "padding": None}
    special = special_tokens(tokenizer) | {"pad_token": str(tokenizer.id_to_token(padding))}
    inputs = ["input_ids", *(["token_type_ids"] if token_types > 1 else []), "attention_mask"]
    # The class that takes tokenizer.json as it is, with no rules of its own family.
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": max_length,
        "model_input_names": inputs,
        "padding_side": "right",
        "truncation_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    return {
        "tokenizer.json": content,
        "tokenizer_config.json": settings | special,
        "special_tokens_map.json": special,
    }
