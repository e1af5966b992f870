"""Loads the examples, the tokenizer and the starting weights that a spec names."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from mtl_sharing.cache.store import ArrayStore, make_store
from mtl_sharing.data.examples.examples import Example, LoadedExamples
from mtl_sharing.data.examples.holdout import hold_out, split_held
from mtl_sharing.data.examples.label_counts import warn_of_labels
from mtl_sharing.data.examples.splits import read_split
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.data.tokens.encoding import (
    Examples,
    TextEncoder,
    clean_splits,
    encode_splits,
    log_facts,
    source_facts,
    task_facts,
)
from mtl_sharing.data.tokens.masking import Vocabulary
from mtl_sharing.data.tokens.positive_pairs import encode_positive_pairs
from mtl_sharing.data.tokens.pretrained import load_pretrained
from mtl_sharing.data.tokens.tokenizing import check_vocabulary, read_tokenizer, train_tokenizer
from mtl_sharing.errors import one_of
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.encoder.checkpoint import load_tower
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder, weight_file
from mtl_sharing.model.encoder.initialization import Tower, random_tower
from mtl_sharing.run_folder.layout import TOKENIZER
from mtl_sharing.run_folder.manifest import check_listed, replace_listed_text
from mtl_sharing.utils.hashing import digest_rows, digest_texts

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RunInputs:
    """Encoded text of all splits, and the weights that every tower starts from.

    Attributes:
        facts: counts and other facts of each task's data, for its entry in result.json.
        vocabulary: the tokenizer's, where a phase masks tokens.
        pairs: positive training pairs of the tasks that a phase ranks, by task.
        select: examples held out of train to choose by; empty where dev serves for that.
        dev_examples: the dev examples as they were read, before any cleaning.
        train_rows: a digest of each training example's texts before any cleaning, shape (E, 16).
    """

    train: Mapping[str, EncodedTask]
    dev: Mapping[str, EncodedTask]
    tower: Tower
    facts: Mapping[str, Mapping[str, Any]]
    vocabulary: Vocabulary | None = None
    pairs: Mapping[str, EncodedTask] = field(default_factory=dict)
    select: Mapping[str, EncodedTask] = field(default_factory=dict)
    dev_examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    train_rows: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)

    @property
    def eval_split(self) -> tuple[str, Mapping[str, EncodedTask]]:
        """Name and examples of the split that the training is evaluated on."""
        return ("select", self.select) if self.select else ("dev", self.dev)


def load_inputs(run_spec: RunSpec, folder: Path) -> RunInputs:
    """Loads everything for a run in ``folder`` and keeps the run's tokenizer there.

    Raises:
        UserError: bad data, or a checkpoint that does not fit.
    """
    loaded = {name: _load_splits(run_spec, task) for name, task in run_spec.specs.items()}
    hold_out_examples(run_spec, loaded)
    for name, task in run_spec.specs.items():
        warn_of_labels(task, loaded[name])
    dev_examples = {name: splits["dev"].examples for name, splits in loaded.items()}
    digests = {
        name: {split: _digest(part.examples) for split, part in splits.items()}
        for name, splits in loaded.items()
    }
    train_rows = {name: _digest_each(splits["train"].examples) for name, splits in loaded.items()}
    store = token_store(run_spec)
    uncleaned = clean_splits(run_spec.text, loaded, store)
    train, dev, select = (
        {name: splits[split].examples for name, splits in loaded.items() if split in splits}
        for split in ("train", "dev", "select")
    )
    tokenizer = _tokenizer(run_spec, train, folder)
    encoder = TextEncoder(run_spec.text, tokenizer, store)
    encoded_train, encoded_dev, encoded_select = encode_splits(
        encoder, run_spec.specs, run_spec.joined, (train, dev, select)
    )
    facts = {}
    for name, splits in loaded.items():
        data = encoded_train[name], encoded_dev[name], encoded_select.get(name)
        facts[name] = task_facts(splits, *data) | uncleaned.get(name, {})
        facts[name]["digests"] = digests[name]
        if run_spec.specs[name].sources:
            facts[name]["sources"] = source_facts(splits)
        log_facts(name, facts[name], *data[:2])
    kinds = {phase.kind for phase in run_spec.config.phases.values()}
    return RunInputs(
        encoded_train,
        encoded_dev,
        _tower(run_spec),
        facts,
        Vocabulary.of(tokenizer) if "masked_lm" in kinds else None,
        ranked_pairs(run_spec, train, tokenizer),
        select=encoded_select,
        dev_examples=dev_examples,
        train_rows=train_rows,
    )


def token_store(run_spec: RunSpec) -> ArrayStore | None:
    """The cache of tokens, lemmas and tags; None where the config wants none."""
    cache = run_spec.config.cache
    return make_store(cache) if cache.tokens else None


def _digest(examples: Sequence[Example]) -> str:
    """A digest of texts and labels in their order; ids, which name files, are left out."""
    labels = repr([example.label for example in examples]).encode()
    texts = [text for e in examples for text in (e.text, e.text_pair or "")]
    return digest_texts([labels], texts)[:16]


def _digest_each(examples: Sequence[Example]) -> NDArray[np.uint8]:
    return digest_rows([(e.text,) if e.text_pair is None else (e.text, e.text_pair)
                        for e in examples])  # fmt: skip


def ranked_pairs(
    run_spec: RunSpec, train: Examples, tokenizer: Tokenizer
) -> dict[str, EncodedTask]:
    """The positive pairs of every task that a phase ranks; raises UserError without any."""
    pairs = {}
    for name, phase in run_spec.config.phases.items():
        if phase.kind == "ranking":
            assert phase.task is not None  # checked with the settings
            task, length = run_spec.specs[phase.task], run_spec.text.max_length
            pairs[phase.task] = encode_positive_pairs(
                f"phases.{name}.task", task, train[phase.task], tokenizer, length
            )
    return pairs


def _load_splits(run_spec: RunSpec, task: TaskSpec) -> dict[str, LoadedExamples]:
    suite, data_dir = run_spec.config.suite, run_spec.config.data_dir
    limits = row_limits(run_spec).items()
    return {split: read_split(task, split, suite, data_dir, limit) for split, limit in limits}


def row_limits(run_spec: RunSpec) -> dict[str, int | None]:
    """The largest number of rows of each split that a source gives."""
    suite = run_spec.config.suite
    return {"train": suite.max_train_rows, "dev": suite.max_dev_rows}


def hold_out_examples(run_spec: RunSpec, loaded: Mapping[str, dict[str, LoadedExamples]]) -> None:
    """Splits train into examples that train and examples to choose by.

    Before the cleaning, so that runs that clean differently are judged by the same examples.
    """
    fraction = run_spec.config.suite.select_fraction
    if fraction:
        held_out = hold_out({name: s["train"].examples for name, s in loaded.items()}, fraction)
        for name, splits in loaded.items():
            splits.update(split_held(splits["train"], held_out[name]))


def _tokenizer(run_spec: RunSpec, train: Examples, folder: Path) -> Tokenizer:
    """The run's own tokenizer where it has one already (resume), else the config's."""
    saved = folder / TOKENIZER
    if saved.is_file():
        check_listed(folder, TOKENIZER)
        tokenizer = read_tokenizer(saved)
        check_vocabulary(tokenizer, run_spec.shape.vocabulary)
    else:
        tokenizer = make_tokenizer(run_spec, train)
    replace_listed_text(folder, TOKENIZER, tokenizer.to_str(pretty=True))
    return tokenizer


def make_tokenizer(run_spec: RunSpec, train: Examples) -> Tokenizer:
    """The tokenizer that the config names, or one trained on the train examples.

    Raises:
        UserError: no tokenizer there, a damaged one, or more tokens than the encoder has.
    """
    encoder = run_spec.config.encoder
    source = encoder.tokenizer if encoder.tokenizer is not None else encoder.checkpoint
    if source is not None:
        where = "encoder.checkpoint" if encoder.tokenizer is None else "encoder.tokenizer"
        tokenizer = load_pretrained(checkpoint_folder(source, where))
    else:
        pairs = [(e.text, e.text_pair) for rows in train.values() for e in rows]
        texts = [text for pair in pairs for text in pair if text is not None]
        tokenizer = train_tokenizer(texts, run_spec.shape.vocabulary)
    check_vocabulary(tokenizer, run_spec.shape.vocabulary)
    return tokenizer


def _tower(run_spec: RunSpec) -> Tower:
    source, seed = run_spec.config.encoder.checkpoint, run_spec.config.seed
    if source is None:
        return random_tower(run_spec.shape, seed)
    path = weight_file(checkpoint_folder(source))
    # A pooler that no head reads is ignored like any other weight without use.
    shape = replace(run_spec.shape, pooler=run_spec.architecture.pooler)
    loaded = load_tower(path, shape, seed)
    if loaded.ignored:
        prefixes = dict.fromkeys(name.partition(".")[0] for name in loaded.ignored)
        log.info("ignored checkpoint weights: %s", one_of(f"{prefix}.*" for prefix in prefixes))
    if loaded.random:
        log.warning("not in the checkpoint, initialised at random: %s", one_of(loaded.random))
    if loaded.zeros:
        log.info("not in the checkpoint, initialised with 0: %s", one_of(loaded.zeros))
    return loaded.tower
