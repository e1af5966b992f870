"""Chooses the texts whose frozen states a run takes from the cache or computes before training."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from mtl_sharing.cache.store import make_store
from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.data.tokens.stored_states import StoredStates
from mtl_sharing.data.tokens.tokenizing import TokenRows
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.phase_settings import PhaseSettings, make_phase_settings
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.training.frozen_layers import FrozenLayers, StateCache
from mtl_sharing.training.schedule import TrainingSchedule
from mtl_sharing.utils.progress import Progress

log = logging.getLogger(__name__)

# The sampler's choices over a whole training are estimated from about so many of its steps.
_SAMPLED_STEPS = 1000
# Share of the cache that the states of one run may fill. Tokens need room too, and entries that a
# run's own states evict would be made anew by every run.
_SHARE = 0.9


@dataclass(frozen=True, eq=False)
class _Texts:
    """The texts of one split of one task.

    Attributes:
        passes: number of times that the run reads each text.
        bytes: size of their states in the cache.
    """

    task: str
    split: str
    data: EncodedTask
    read: str
    passes: float
    bytes: int


def with_frozen_states(
    run_spec: RunSpec, inputs: RunInputs, settings: Sequence[PhaseSettings] | None = None
) -> RunInputs:
    """The inputs with states for every text whose frozen layers need not run.

    States in the cache are used. Others are computed where the run reads them more than once, as
    far as they fit. All other texts run through the frozen layers in every step.

    Args:
        settings: settings of all phases; None makes them from the spec.
    """
    settings = make_phase_settings(run_spec, inputs) if settings is None else settings
    config, layers = run_spec.config.cache, run_spec.architecture.frozen_layers
    # SMART perturbs embeddings, so every step runs through all layers.
    perturbed = run_spec.config.regularizer.name == "smart"
    store = make_store(config) if config.prefix and layers and not perturbed else None
    if store is None:
        return inputs
    shape, runtime = run_spec.shape, run_spec.runtime
    frozen = FrozenLayers(shape, layers, inputs.tower, runtime.precision, runtime.device)
    cache = StateCache(store, frozen)
    lists = sorted(_lists(run_spec, inputs, settings, cache), key=lambda texts: -texts.passes)
    filled = _within(lists, int(config.max_gb * 1e9 * _SHARE))
    splits = {split: dict(getattr(inputs, split)) for split in ("train", "dev", "select")}
    with_states = []
    total = sum(len(rows.lengths) for texts in filled for rows in _parts(texts.data))
    with Progress(f"states of {layers} frozen layers", total, "texts") as progress:
        for texts in lists:
            advance = progress.advance if texts in filled else None
            states = [cache.states(rows, texts.read, advance) for rows in _parts(texts.data)]
            stored = [part for part in states if part is not None]
            # The texts of a pair run through the encoder together, so both need states.
            if len(stored) == len(states):
                splits[texts.split][texts.task] = _with_states(texts.data, stored)
                with_states.append(texts)
    message = "states of %d frozen layers from the cache: %d of %d lists of texts, %.1f MB"
    size = sum(texts.bytes for texts in with_states)
    log.info(message, layers, len(with_states), len(lists), size / 1e6)
    return replace(inputs, train=splits["train"], dev=splits["dev"], select=splits["select"])


def _parts(data: EncodedTask) -> list[TokenRows]:
    return [data.first] if data.second is None else [data.first, data.second]


def _with_states(data: EncodedTask, states: Sequence[StoredStates]) -> EncodedTask:
    parts = [replace(p, states=s) for p, s in zip(_parts(data), states, strict=True)]
    return replace(data, first=parts[0], second=parts[1] if len(parts) > 1 else None)


def _lists(
    run_spec: RunSpec, inputs: RunInputs, settings: Sequence[PhaseSettings], cache: StateCache
) -> Iterator[_Texts]:
    """All lists of texts that the run reads."""
    architecture = run_spec.architecture
    for split, passes in read_passes(run_spec, inputs, settings).items():
        for task, data in getattr(inputs, split).items():
            read = "all"
            if architecture.last_layer(task) < architecture.frozen_layers:
                read = "mean" if architecture.head_of(task).pooling == "mean" else "first"
            size = sum(cache.size(rows, read) for rows in _parts(data))
            yield _Texts(task, split, data, read, passes[task], size)


def read_passes(
    run_spec: RunSpec, inputs: RunInputs, settings: Sequence[PhaseSettings]
) -> dict[str, dict[str, float]]:
    """Number of times that the run reads an example, by split and task."""
    split, examples = inputs.eval_split
    train = dict.fromkeys(inputs.train, 0.0)
    # The final evaluation reads each of these once.
    others = {"dev": dict.fromkeys(inputs.dev, 1.0), split: dict.fromkeys(examples, 1.0)}
    limit = run_spec.config.trainer.eval_examples
    # Phases of other kinds read tokens.
    for phase in (phase for phase in settings if phase.options.kind == "tasks"):
        for name, passes in _train_passes(phase.schedule, inputs).items():
            train[name] += passes
        for name, data in examples.items():
            share = min(1.0, (len(data) if limit is None else limit) / len(data))
            others[split][name] += _evaluations(phase) * share
    return {"train": train, **others}


def _evaluations(phase: PhaseSettings) -> int:
    """Number of evaluations in a phase; the main training evaluates at least once."""
    if phase.name == MAIN:
        return max(1, phase.schedule.evaluations)
    return phase.schedule.evaluations if phase.is_late else 0


def _train_passes(schedule: TrainingSchedule, inputs: RunInputs) -> dict[str, float]:
    """Number of times that one training reads an example of each task."""
    draws = schedule.epochs.draws
    sampled = _sampled_draws(draws, len(schedule.sizes))
    counts = Counter(task for draw in sampled for task in schedule.sampler.tasks(draw))
    scale = draws / max(1, len(sampled))
    return {
        name: counts[name] * scale / -(-len(data) // schedule.batch_sizes[name])
        for name, data in inputs.train.items()
    }


def _sampled_draws(draws: int, tasks: int) -> Sequence[int]:
    """Draws spread over a training, in runs of ``tasks`` so that tasks in turn count alike."""
    if draws <= _SAMPLED_STEPS:
        return range(draws)
    starts = range(0, draws - tasks + 1, max(tasks, draws * tasks // _SAMPLED_STEPS))
    return [start + turn for start in starts for turn in range(tasks)]


def _within(lists: Sequence[_Texts], room: int) -> list[_Texts]:
    """The lists to compute: read more than once, the most read first, as far as they fit."""
    chosen = []
    for texts in lists:
        if texts.passes > 1 and texts.bytes <= room:
            chosen.append(texts)
            room -= texts.bytes
    return chosen
