"""What a training of a sweep will take on this machine, measured by the beginning of one."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from mtl_sharing.blueprint import Blueprint, make_blueprint
from mtl_sharing.build import training_weighting
from mtl_sharing.data.batches import EncodedTask
from mtl_sharing.material import Material, read_material
from mtl_sharing.model.network import Network
from mtl_sharing.run.evaluate import evaluate
from mtl_sharing.run.learner import Learner
from mtl_sharing.run.phases import Phase
from mtl_sharing.run.precision import autocast, peak_memory, reset_peak_memory
from mtl_sharing.schedule import make_phases
from mtl_sharing.score.cost import plan_cost
from mtl_sharing.sweep.regimes import Regime

_WARM_STEPS = 3
# Timed steps of each phase: so many, or fewer (never fewer than the least) in so much time.
_STEPS, _LEAST_STEPS, _MOST_S = 16, 4, 20.0
# Examples of each task that an evaluation is timed with.
_EVALUATED = 256
# Any part of this sequence is spread evenly over 0 to 1.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Forecast:
    """One training.

    Attributes:
        regime: that was measured.
        steps: updates of all phases.
        step_s: mean seconds of one.
        evaluations: while training; one of everything follows at the end.
        evaluation_s: seconds of one while training.
        train_s: the whole training from its first step to its result.
        peak_bytes: of the process that trains, or of the GPU's memory.
        weight_bytes: that stay on disk.
        checkpoint_bytes: on disk while it trains.
    """

    regime: str
    steps: int
    step_s: float
    evaluations: int
    evaluation_s: float
    train_s: float
    peak_bytes: int
    weight_bytes: int
    checkpoint_bytes: int


def most_costly(regimes: Sequence[Regime]) -> Regime:
    """The regime with the most to compute: weights that train, and texts in a step."""
    return max(regimes, key=_work)


def _work(regime: Regime) -> tuple[int, int]:
    config = regime.config
    # Where epochs say how long, a step with fewer texts means more steps.
    counted = config.trainer.max_steps is not None or config.trainer.steps_per_epoch is not None
    unified = config.sampler.name == "unified"
    texts = len(regime.blueprint.specs) if counted and unified else 1
    cost = plan_cost(regime.blueprint.architecture)
    return cost.trainable * texts, cost.total


def forecast(regime: Regime) -> Forecast:
    """Takes some steps of a training and part of an evaluation, on the config's own data.

    Nothing is written, also not to the cache, and no frozen states are taken from there. Weights
    stay as they are: a rate of 0 takes as long as another, and cannot end in NaN.

    Raises:
        UserError: data or a checkpoint that is not there or does not fit.
    """
    config = regime.config
    still = replace(config.optimizer, lr=0.0, head_lr=None)
    cache = replace(config.cache, tokens=False, prefix=False)
    blueprint = make_blueprint(replace(config, dry_run=False, optimizer=still, cache=cache))
    with TemporaryDirectory() as place:
        material = read_material(blueprint, Path(place))
    torch.manual_seed(config.seed)
    return _measured(regime.words, blueprint, material)


def _measured(words: str, blueprint: Blueprint, material: Material) -> Forecast:
    device, options = blueprint.runtime.device, blueprint.config.trainer
    reset_peak_memory(device)
    network = blueprint.network(blueprint.architecture, material.tower)
    phases = make_phases(blueprint, material, network)
    training_s = sum(phase.total * _step_s(phase, device) for phase in phases)
    dev_s, select_s = (
        {name: _evaluation_s(blueprint, network, name, data) for name, data in split.items()}
        for split in (material.dev, material.select)
    )
    _, watched = material.watched
    evaluation_s = sum(
        seconds * len(watched[name].sample(options.eval_examples, 0)) / len(watched[name])
        for name, seconds in (select_s or dev_s).items()
    )
    at_the_end_s = sum(dev_s.values()) + sum(select_s.values())
    steps = sum(phase.total for phase in phases)
    evaluations = sum(-(-phase.total // phase.eval_every) for phase in phases if phase.judged)
    step_s = training_s / max(1, steps)
    cost = plan_cost(blueprint.architecture)
    return Forecast(
        regime=words,
        steps=steps,
        step_s=step_s,
        evaluations=evaluations,
        evaluation_s=evaluation_s,
        train_s=training_s + evaluations * evaluation_s + at_the_end_s
        + _scoring_steps(blueprint) * step_s,
        peak_bytes=peak_memory(device),
        weight_bytes=cost.model_bytes,
        # Two moments for each weight that trains.
        checkpoint_bytes=cost.model_bytes + 2 * 4 * cost.trainable,
    )  # fmt: skip


def _step_s(phase: Phase, device: torch.device) -> float:
    """Mean seconds of a step, over steps from all of the phase, as tasks may come in any order."""
    if not phase.total:
        return 0.0
    learner = phase.make()
    places = [int(n * _GOLDEN % 1 * phase.total) for n in range(_WARM_STEPS + _STEPS)]
    times: list[float] = []
    for step in places:
        times.append(_seconds(_update(learner, step, phase.total), device))
        if len(times) >= _WARM_STEPS + _LEAST_STEPS and sum(times) > _MOST_S:
            break
    learner.close()
    counted = times[_WARM_STEPS:]
    return sum(counted) / len(counted)


def _evaluation_s(blueprint: Blueprint, network: Network, task: str, data: EncodedTask) -> float:
    """Seconds for all examples of a task, by some of them."""
    some = {task: data.sample(_EVALUATED, 0)}
    runtime = blueprint.runtime
    seconds = _seconds(lambda: evaluate(network, some, blueprint.measures, runtime), runtime.device)
    # All of the longest texts come in one batch of a whole evaluation: its peak is theirs.
    longest = np.argsort(data.lengths, kind="stable")[-runtime.evaluation_batch :]
    with torch.inference_mode(), autocast(runtime.precision, runtime.device):
        network({task: data.collate(longest).to(runtime.device).text})
    return seconds * len(data) / len(some[task])


def _update(learner: Learner, step: int, total: int) -> Callable[[], object]:
    return lambda: learner.update(step, total)


def _scoring_steps(blueprint: Blueprint) -> int:
    """Steps that the score's clock takes of regime and baseline; none where it counts FLOPs."""
    score = blueprint.config.score
    if score.clock != "measured" or not score.pairs:
        return 0
    weighting, unified = training_weighting(blueprint), blueprint.config.sampler.name == "unified"
    turns = 1 if unified else sum(weighting.counts(task) for task in blueprint.specs)
    return 2 * (1 + turns + (score.pairs + 1) * turns)


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def memory_here(device: torch.device) -> int:
    """Bytes of memory that a training on ``device`` has to itself."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info()[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
