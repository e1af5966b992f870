"""Reads what a blueprint names: examples, tokenizer, starting weights; and says what it found."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.data.batches import EncodedTask
from mtl_sharing.data.examples import Example, LoadedExamples, SourceCount, shared_texts
from mtl_sharing.data.masking import Vocabulary
from mtl_sharing.data.positive_pairs import encode_positive_pairs
from mtl_sharing.data.selection import hold_out, split_held
from mtl_sharing.data.tasks import TaskSpec
from mtl_sharing.data.tokenizing import check_vocabulary, load_tokenizer, train_tokenizer
from mtl_sharing.encoding import Examples, clean_splits, encode_splits
from mtl_sharing.errors import one_of
from mtl_sharing.model.checkpoint import Tower, load_tower, random_tower
from mtl_sharing.model.sources import checkpoint_folder, weight_file
from mtl_sharing.reading import read_split
from mtl_sharing.run.files import replace_text
from mtl_sharing.store.arrays import make_store

log = logging.getLogger(__name__)

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Material:
    """Encoded text of all splits, and the weights that every tower starts from.

    Attributes:
        facts: what was found in each task's data, for its entry in result.json.
        vocabulary: the tokenizer's, where a phase hides tokens.
        pairs: positive training pairs of the tasks that a phase ranks, by task.
        select: what was held out of train to choose by; empty where dev serves for that.
        dev_examples: the dev examples as they were read, before any cleaning.
    """

    train: Mapping[str, EncodedTask]
    dev: Mapping[str, EncodedTask]
    tower: Tower
    facts: Mapping[str, Mapping[str, Any]]
    vocabulary: Vocabulary | None = None
    pairs: Mapping[str, EncodedTask] = field(default_factory=dict)
    select: Mapping[str, EncodedTask] = field(default_factory=dict)
    dev_examples: Mapping[str, Sequence[Example]] = field(default_factory=dict)

    @property
    def watched(self) -> tuple[str, Mapping[str, EncodedTask]]:
        """Name and examples of the split that the training is judged by."""
        return ("select", self.select) if self.select else ("dev", self.dev)


def read_material(blueprint: Blueprint, folder: Path) -> Material:
    """Reads everything for a run in ``folder`` and keeps the run's tokenizer there.

    Raises:
        UserError: bad data, or a checkpoint that does not fit.
    """
    read = {name: _read(blueprint, spec) for name, spec in blueprint.specs.items()}
    _hold_out(blueprint, read)
    as_read = {name: splits["dev"].examples for name, splits in read.items()}
    cache = blueprint.config.cache
    store = make_store(cache) if cache.tokens else None
    uncleaned = clean_splits(blueprint, read, store)
    train, dev, select = (
        {name: splits[split].examples for name, splits in read.items() if split in splits}
        for split in ("train", "dev", "select")
    )
    tokenizer = _tokenizer(blueprint, train, folder)
    splits_read = train, dev, select
    encoded_train, encoded_dev, held = encode_splits(blueprint, splits_read, tokenizer, store)
    facts = {}
    for name, splits in read.items():
        data = encoded_train[name], encoded_dev[name], held.get(name)
        facts[name] = _facts(splits, *data) | uncleaned.get(name, {})
        if blueprint.specs[name].sources:
            facts[name]["sources"] = _by_source(splits)
        _report(name, facts[name], *data[:2])
    return Material(
        encoded_train,
        encoded_dev,
        _tower(blueprint),
        facts,
        _vocabulary(blueprint, tokenizer),
        _pairs(blueprint, train, tokenizer),
        select=held,
        dev_examples=as_read,
    )


def _vocabulary(blueprint: Blueprint, tokenizer: Tokenizer) -> Vocabulary | None:
    kinds = {phase.kind for phase in blueprint.config.phases.values()}
    return Vocabulary.of(tokenizer) if "masked_lm" in kinds else None


def _pairs(blueprint: Blueprint, train: Examples, tokenizer: Tokenizer) -> dict[str, EncodedTask]:
    """The positive pairs of every task that a phase ranks."""
    found = {}
    for name, phase in blueprint.config.phases.items():
        if phase.kind == "ranking":
            assert phase.task is not None  # checked with the settings
            spec, length = blueprint.specs[phase.task], blueprint.config.suite.max_length
            where = f"phases.{name}.task"
            found[phase.task] = encode_positive_pairs(
                where, spec, train[phase.task], tokenizer, length
            )
    return found


def _read(blueprint: Blueprint, spec: TaskSpec) -> dict[str, LoadedExamples]:
    suite, data_dir = blueprint.config.suite, blueprint.config.data_dir
    limits = {"train": suite.max_train_rows, "dev": suite.max_dev_rows}
    return {s: read_split(spec, s, suite, data_dir, limit) for s, limit in limits.items()}


def _hold_out(blueprint: Blueprint, read: Mapping[str, dict[str, LoadedExamples]]) -> None:
    """Parts train into what trains and what is held out, where asked.

    Before the cleaning, so that runs that clean differently are judged by the same examples.
    """
    fraction = blueprint.config.suite.select_fraction
    if fraction:
        held = hold_out({name: s["train"].examples for name, s in read.items()}, fraction)
        for name, splits in read.items():
            splits.update(split_held(splits["train"], held[name]))


def _tokenizer(blueprint: Blueprint, train: Examples, folder: Path) -> Tokenizer:
    """The run's own tokenizer where it has one already (resume), else the config's."""
    saved, encoder = folder / TOKENIZER, blueprint.config.encoder
    source = encoder.tokenizer if encoder.tokenizer is not None else encoder.checkpoint
    if saved.is_file():
        tokenizer = load_tokenizer(folder)
    elif source is not None:
        where = "encoder.checkpoint" if encoder.tokenizer is None else "encoder.tokenizer"
        tokenizer = load_tokenizer(checkpoint_folder(source, where))
    else:
        tokenizer = train_tokenizer(_texts(train), blueprint.shape.vocabulary)
    check_vocabulary(tokenizer, blueprint.shape.vocabulary)
    replace_text(saved, tokenizer.to_str(pretty=True))
    return tokenizer


def _texts(examples: Examples) -> list[str]:
    both = [(e.text, e.text_pair) for rows in examples.values() for e in rows]
    return [text for pair in both for text in pair if text is not None]


def _tower(blueprint: Blueprint) -> Tower:
    source, seed = blueprint.config.encoder.checkpoint, blueprint.config.seed
    if source is None:
        return random_tower(blueprint.shape, seed)
    path = weight_file(checkpoint_folder(source))
    # A pooler that no head reads is left out like any other weight without use.
    shape = replace(blueprint.shape, pooler=blueprint.architecture.pooler)
    loaded = load_tower(path, shape, seed)
    if loaded.dropped:
        parts = dict.fromkeys(name.partition(".")[0] for name in loaded.dropped)
        log.info("weights left out on purpose, of: %s", one_of(parts))
    if loaded.fresh:
        log.warning("not in the checkpoint, so from random: %s", one_of(loaded.fresh))
    if loaded.zeros:
        log.info("not in the checkpoint, so from 0: %s", one_of(loaded.zeros))
    return loaded.tower


def _facts(
    splits: Mapping[str, LoadedExamples],
    train: EncodedTask,
    dev: EncodedTask,
    select: EncodedTask | None,
) -> dict[str, Any]:
    same = shared_texts(splits["train"].examples, splits["dev"].examples)
    return {
        "train_examples": len(train),
        "select_examples": 0 if select is None else len(select),
        "bad_rows": sum(loaded.bad_rows for loaded in splits.values()),
        "truncated_texts": sum(data.truncated for data in (train, dev, select) if data),
        "dev_examples_in_train": same.examples,
        "dev_examples_with_a_text_in_train": same.texts,
    }


def _by_source(splits: Mapping[str, LoadedExamples]) -> dict[str, dict[str, int]]:
    """For each source of a task how many examples it gives, and how many of its rows were bad."""
    none = SourceCount(0, 0)
    names = dict.fromkeys(name for loaded in splits.values() for name in loaded.sources)
    found = {}
    for name in names:
        counts = {split: loaded.sources.get(name, none) for split, loaded in splits.items()}
        found[name] = {f"{split}_examples": each.examples for split, each in counts.items()}
        found[name]["bad_rows"] = sum(each.bad_rows for each in counts.values())
    return found


def _report(name: str, facts: Mapping[str, Any], train: EncodedTask, dev: EncodedTask) -> None:
    cut = f", {facts['truncated_texts']} texts cut" if facts["truncated_texts"] else ""
    words = f"{train.lengths.mean():.0f} tokens each on average{cut}"
    log.info("%s: %d train and %d dev examples, %s", name, len(train), len(dev), words)
    if facts["select_examples"]:
        log.info("%s: %d more of train are held out to choose by", name, facts["select_examples"])
    for source, counts in facts.get("sources", {}).items():
        found = counts["train_examples"], counts["dev_examples"], counts["bad_rows"]
        log.info("%s from %s: %d train and %d dev examples, %d bad rows", name, source, *found)
    same = facts["dev_examples_in_train"], facts["dev_examples_with_a_text_in_train"]
    if any(same):
        log.warning(
            "%s: %d of %d dev examples are train examples too, %d have a text that train has",
            name, same[0], len(dev), same[1],
        )  # fmt: skip
