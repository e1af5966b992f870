"""Which texts' frozen states a run takes from the cache, and which it has computed first."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.build import (
    batch_size,
    evaluation_interval,
    training_sampler,
    training_sizes,
    training_steps,
)
from mtl_sharing.data.batches import EncodedTask
from mtl_sharing.data.states import StoredStates
from mtl_sharing.data.tokenizing import TokenRows
from mtl_sharing.material import Material
from mtl_sharing.run.frozen import FrozenLayers, StateCache
from mtl_sharing.run.progress import FillingProgress
from mtl_sharing.schedule import phase_blueprint
from mtl_sharing.store.arrays import make_store

log = logging.getLogger(__name__)

# The sampler's course over a whole training is read off about this many of its steps.
_LOOKED_AT = 1000
# Of the cache that one run fills: tokens need room too, and what is driven out by a run's own
# states would be made anew by every run.
_SHARE = 0.9


@dataclass(frozen=True, eq=False)
class _Texts:
    """The texts of one split of one task.

    Attributes:
        passes: how often the run will read each of them.
        bytes: that their states take in the cache.
    """

    task: str
    split: str
    data: EncodedTask
    read: str
    passes: float
    bytes: int


def with_frozen_states(blueprint: Blueprint, material: Material) -> Material:
    """The material with states for every text whose frozen layers need not run.

    States that the cache has are taken. Others are computed where the run reads them more than
    once, as far as they fit; what is left runs through the frozen layers in every step.
    """
    config, layers = blueprint.config.cache, blueprint.architecture.frozen_layers
    # SMART disturbs embeddings, so that every step runs through all layers.
    disturbed = blueprint.config.regularizer.name == "smart"
    store = make_store(config) if config.prefix and layers and not disturbed else None
    if store is None:
        return material
    cache = StateCache(store, _frozen_layers(blueprint, material))
    lists = sorted(_lists(blueprint, material, cache), key=lambda texts: -texts.passes)
    filled = _within(lists, int(config.max_gb * 1e9 * _SHARE))
    splits = {split: dict(getattr(material, split)) for split in ("train", "dev", "select")}
    found = []
    total = sum(len(rows.lengths) for texts in filled for rows in _parts(texts.data))
    with FillingProgress(f"states of {layers} frozen layers", total) as progress:
        for texts in lists:
            advance = progress.advance if texts in filled else None
            states = [cache.states(rows, texts.read, advance) for rows in _parts(texts.data)]
            known = [each for each in states if each is not None]
            # The texts of a pair go through the encoder together: one without the other is no use.
            if len(known) == len(states):
                splits[texts.split][texts.task] = _with_states(texts.data, known)
                found.append(texts)
    words = "states of %d frozen layers from the cache: %d of %d lists of texts, %.1f MB"
    log.info(words, layers, len(found), len(lists), sum(texts.bytes for texts in found) / 1e6)
    return replace(material, train=splits["train"], dev=splits["dev"], select=splits["select"])


def _frozen_layers(blueprint: Blueprint, material: Material) -> FrozenLayers:
    runtime, layers = blueprint.runtime, blueprint.architecture.frozen_layers
    shape, tower = blueprint.shape, material.tower
    return FrozenLayers(shape, layers, tower, runtime.precision, runtime.device)


def _parts(data: EncodedTask) -> list[TokenRows]:
    return [data.first] if data.second is None else [data.first, data.second]


def _with_states(data: EncodedTask, states: Sequence[StoredStates]) -> EncodedTask:
    parts = [replace(p, states=s) for p, s in zip(_parts(data), states, strict=True)]
    return replace(data, first=parts[0], second=parts[1] if len(parts) > 1 else None)


def _lists(blueprint: Blueprint, material: Material, cache: StateCache) -> Iterator[_Texts]:
    """Every list of texts that the run reads."""
    architecture = blueprint.architecture
    for split, passes in _passes(blueprint, material).items():
        for task, data in getattr(material, split).items():
            read = "all"
            if architecture.last_layer(task) < architecture.frozen_layers:
                read = "mean" if architecture.head_of(task).pooling == "mean" else "first"
            size = sum(cache.size(rows, read) for rows in _parts(data))
            yield _Texts(task, split, data, read, passes[task], size)


def _passes(blueprint: Blueprint, material: Material) -> dict[str, dict[str, float]]:
    """How often the run reads each example of each task, for all splits."""
    split, watched = material.watched
    train = dict.fromkeys(material.train, 0.0)
    # At the end of the run all of what is not trained on, once.
    others = {"dev": dict.fromkeys(material.dev, 1.0), split: dict.fromkeys(watched, 1.0)}
    for own, evaluations in _trainings(blueprint, material):
        for name, passes in _train_passes(own, material).items():
            train[name] += passes
        for name, data in watched.items():
            most = own.config.trainer.eval_examples
            share = min(1.0, (len(data) if most is None else most) / len(data))
            others[split][name] += evaluations * share
    return {"train": train, **others}


def _trainings(blueprint: Blueprint, material: Material) -> Iterator[tuple[Blueprint, int]]:
    """The trainings that read states, each with how often it evaluates.

    Those are the main one and the phases of the tasks; other phases read tokens. The last step is
    always followed by an evaluation, and the main training has one without any step, too.
    """
    yield blueprint, max(1, _evaluations(blueprint, material))
    for name, phase in blueprint.config.phases.items():
        if phase.kind == "tasks":
            own = phase_blueprint(name, blueprint, phase, material)
            yield own, _evaluations(own, material) if phase.when == "after" else 0


def _evaluations(blueprint: Blueprint, material: Material) -> int:
    total = training_steps(blueprint, material)
    return -(-total // evaluation_interval(blueprint, total))


def _train_passes(blueprint: Blueprint, material: Material) -> dict[str, float]:
    """How often one training reads each example of each task."""
    sampler = training_sampler(blueprint, material)
    drawn = training_steps(blueprint, material) * blueprint.config.trainer.accumulation
    looked_at = _looked_at(drawn, len(training_sizes(blueprint, material)))
    counts = Counter(task for step in looked_at for task in sampler.tasks(step))
    each = drawn / max(1, len(looked_at))
    return {
        name: counts[name] * each / -(-len(data) // batch_size(blueprint, name))
        for name, data in material.train.items()
    }


def _looked_at(drawn: int, tasks: int) -> Sequence[int]:
    """Steps all over a training of ``drawn``: runs of as many as tasks take turns."""
    if drawn <= _LOOKED_AT:
        return range(drawn)
    starts = range(0, drawn - tasks + 1, max(tasks, drawn * tasks // _LOOKED_AT))
    return [start + turn for start in starts for turn in range(tasks)]


def _within(lists: Sequence[_Texts], room: int) -> list[_Texts]:
    """The lists to fill: read more than once, the most read first, as far as they fit."""
    chosen = []
    for texts in lists:
        if texts.passes > 1 and texts.bytes <= room:
            chosen.append(texts)
            room -= texts.bytes
    return chosen
