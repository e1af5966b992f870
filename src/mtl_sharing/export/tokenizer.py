"""Writes the run's tokenizer for ``AutoTokenizer``, with unchanged ids."""

import json
from typing import Any

from tokenizers import Tokenizer

from mtl_sharing.errors import UserError

# In the vocabularies of BERT and of RoBERTa.
_SPECIAL = {
    "unk_token": ("[UNK]", "<unk>"),
    "sep_token": ("[SEP]", "</s>"),
    "pad_token": ("[PAD]", "<pad>"),
    "cls_token": ("[CLS]", "<s>"),
    "mask_token": ("[MASK]", "<mask>"),
}


def special_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """The special tokens by role. Only those that the tokenizer has: a new one would change ids."""
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    present = {role: [n for n in names if n in added] for role, names in _SPECIAL.items()}
    return {role: names[0] for role, names in present.items() if names}


def padding_id(tokenizer: Tokenizer, offset: int) -> int:
    """The id of the padding token.

    Args:
        offset: of RoBERTa's positions; 0 for other families. ``transformers`` counts positions
            from the padding token's id, and skips tokens of this id.

    Raises:
        UserError: an offset that is not the padding token's id + 1.
    """
    token = special_tokens(tokenizer).get("pad_token")
    number = None if token is None else tokenizer.token_to_id(token)
    padding: int = offset - 1 if number is None else number
    if offset > 0 and padding != offset - 1:
        found = f"{offset}, where the tokenizer pads with {token} (id {padding})"
        raise UserError("encoder.position_offset", found, f"{padding + 1}, for a plain RoBERTa")
    return max(0, padding)


def tokenizer_files(
    tokenizer: Tokenizer, max_length: int, token_types: int, padding: int
) -> dict[str, dict[str, Any]]:
    """The content of each JSON file, by name.

    Args:
        max_length: at which the run cut texts, in tokens.
        token_types: rows of the encoder's token-type embedding. With one or none the encoder
            reads every token as the first type, so no types are passed.
        padding: id of the padding token.
    """
    content = json.loads(tokenizer.to_str()) | {"truncation": None, "padding": None}
    special = special_tokens(tokenizer) | {"pad_token": str(tokenizer.id_to_token(padding))}
    inputs = ["input_ids", *(["token_type_ids"] if token_types > 1 else []), "attention_mask"]
    # This class reads tokenizer.json unchanged, without rules of a model family.
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
