"""Small tokenizers of every family as the files of a checkpoint, and texts hard to split."""

import json
from functools import cache
from string import ascii_letters, digits

from tokenizers import (
    AddedToken,
    Tokenizer,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)

TEXTS = [
    "", " ", "Hello World tea", "世界 tea 漢字tea", "가나다 한국어", "a" * 300, "12345 6,7.8 don't",
    "Crème Brûlée NAÏVE e\u0301a\u0301 \u00e9clair", "İstanbul ǅ ß ﬁ ½ \u0130\u0131 Müller Straße",
    "a <mask> day", "x<mask>y", " <mask>", "a [MASK] b", "a[MASK]b [mask] [SEP] c [UNK]",
    "<s> </s> <pad> <unk> [CLS][PAD]", "\U0001f600 x \U0001f468\u200d\U0001f469",
    "tab\tnew\nline\r\x00nul\x07bell", "zero\u200bwidth\ufeff \u00a0nb\u3000sp", "\ufffd rep",
    "שלום עולם مرحبا \u0627\u064bb", "   lead and trail   ", "hello, world!! (x) \u2018q\u2019",
    "<ent> foo<ent>bar <ENT> xent entx newtok NEWTOK newtokx", "<E1>  <e2> <E2> <extra>",
]  # fmt: skip
PAIRS = [("a tea", "世界"), ("", "b"), ("x", ""), ("a [SEP] b", "c <mask> d"), ("Hello", "World")]
_WORDS = ["hello", "world", "tea", "day", "the", "a", "b", "c", "éclair", "new", "tok", "line",
          "tab", "don", "lead", "and", "trail", "müller", "Hello", "World", "HELLO", "世界",
          "漢字tea", "##orld", "##ello"]  # fmt: skip
_CHARACTERS = sorted({*ascii_letters, *digits, *"éèüß世界漢字가나다שלום[]<>!,.()'\ufffd½ﬁ\u0301"})
BERT_TOKENS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ROBERTA_TOKENS = ["<s>", "<pad>", "</s>", "<unk>"]


def word_pieces():
    """The lines of a vocab.txt."""
    pieces = [*BERT_TOKENS, *_WORDS, *_CHARACTERS, *(f"##{c}" for c in _CHARACTERS)]
    return list(dict.fromkeys(pieces))


@cache
def byte_pairs():
    """A vocabulary and merges of RoBERTa's kind."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=400, special_tokens=ROBERTA_TOKENS,
                                  initial_alphabet=alphabet, show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(TEXTS + _WORDS * 3, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"] | {"<mask>": len(model["vocab"])}, [tuple(m) for m in model["merges"]]


@cache
def _pieces():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(vocab_size=250, special_tokens=ROBERTA_TOKENS,
                                      unk_token="<unk>", show_progress=False)  # fmt: skip
    tokenizer.train_from_iterator(TEXTS * 2 + _WORDS * 3, trainer)
    return tokenizer.to_str()


def write_files(folder, family):
    """Writes vocab.txt, or vocab.json and merges.txt."""
    if family != "roberta":
        lines = "".join(f"{piece}\n" for piece in word_pieces())
        (folder / "vocab.txt").write_text(lines, encoding="utf-8")
        return
    vocabulary, merges = byte_pairs()
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    lines = "".join(f"{first} {second}\n" for first, second in merges)
    (folder / "merges.txt").write_text(f"#version: 0.2\n{lines}", encoding="utf-8")


def saved_tokenizer(family, **parts):
    """The tokenizer of a tokenizer.json, with other parts than its class would give it."""
    if family in ("xlm-roberta", "camembert"):
        tokenizer = Tokenizer.from_str(_pieces())
    elif family == "roberta":
        tokenizer = Tokenizer(models.BPE(*byte_pairs()))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    else:
        vocabulary = {piece: number for number, piece in enumerate(word_pieces())}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=False, strip_accents=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    roberta = family in ("roberta", "xlm-roberta", "camembert")
    tokenizer.add_special_tokens([*ROBERTA_TOKENS, "<mask>"] if roberta else BERT_TOKENS)
    tokenizer.add_tokens([AddedToken("<ent>", lstrip=True, normalized=False)])
    return tokenizer
