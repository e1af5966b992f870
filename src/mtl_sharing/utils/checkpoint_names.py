"""The names of the files that describe a checkpoint's tokenizer."""

from enum import StrEnum


class TokenizerFile(StrEnum):
    """A file of a checkpoint's tokenizer; each is downloaded, and compared where a run goes on."""

    OPTIONS = "tokenizer_config.json"
    WHOLE = "tokenizer.json"
    WORDPIECES = "vocab.txt"
    BYTE_PAIRS = "vocab.json"
    MERGES = "merges.txt"
    SPECIAL_TOKENS = "special_tokens_map.json"
    ADDED_TOKENS = "added_tokens.json"
