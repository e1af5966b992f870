"""What a training of a sweep will take on this machine, measured by the beginning of one."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.evaluation.evaluate import evaluate
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.phase_settings import main_settings, make_phase_settings
from mtl_sharing.job.phases import make_phase
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.model.network import Network
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.phases import Phase
from mtl_sharing.utils.device import autocast
from mtl_sharing.utils.memory import peak_memory, reset_peak_memory

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


def most_costly(regimes: Sequence[ComposedTrial]) -> ComposedTrial:
    """The regime with the most to compute: weights that train, and texts in a step."""
    return max(regimes, key=_work)


def _work(regime: ComposedTrial) -> tuple[int, int]:
    config = regime.config
    # Where epochs say how long, a step with fewer texts means more steps.
    counted = config.trainer.max_steps is not None or config.trainer.steps_per_epoch is not None
    unified = config.sampler.name == "unified"
    texts = len(regime.run_spec.specs) if counted and unified else 1
    cost = plan_cost(regime.run_spec.architecture)
    return cost.trainable * texts, cost.total


def forecast(regime: ComposedTrial) -> Forecast:
    """Takes some steps of a training and part of an evaluation, on the config's own data.

    Nothing is written, also not to the cache, and no frozen states are taken from there. Weights
    stay as they are: a rate of 0 takes as long as another, and cannot end in NaN.

    Raises:
        UserError: data or a checkpoint that is not there or does not fit.
    """
    config = regime.config
    still = replace(config.optimizer, lr=0.0, head_lr=None)
    cache = replace(config.cache, tokens=False, prefix=False)
    run_spec = start_on_machine(resolve_spec(replace(config, optimizer=still, cache=cache)))
    with TemporaryDirectory() as place:
        inputs = load_inputs(run_spec, Path(place))
    torch.manual_seed(config.seed)
    return _measured(regime.regime, run_spec, inputs)


def _measured(words: str, run_spec: RunSpec, inputs: RunInputs) -> Forecast:
    all_settings = make_phase_settings(run_spec, inputs)
    device, options = run_spec.runtime.device, run_spec.config.trainer
    reset_peak_memory(device)
    network = run_spec.network(run_spec.architecture, inputs.tower)
    phases = [make_phase(settings, run_spec, inputs, network) for settings in all_settings]
    training_s = sum(phase.total * _step_s(phase, device) for phase in phases)
    dev_s, select_s = (
        {name: _evaluation_s(run_spec, network, name, data) for name, data in split.items()}
        for split in (inputs.dev, inputs.select)
    )
    _, watched = inputs.eval_split
    evaluation_s = sum(
        seconds * len(watched[name].sample(options.eval_examples, 0)) / len(watched[name])
        for name, seconds in (select_s or dev_s).items()
    )
    at_the_end_s = sum(dev_s.values()) + sum(select_s.values())
    steps = sum(phase.total for phase in phases)
    evaluations = sum(-(-phase.total // phase.eval_every) for phase in phases if phase.evaluated)
    step_s = training_s / max(1, steps)
    cost = plan_cost(run_spec.architecture)
    return Forecast(
        regime=words,
        steps=steps,
        step_s=step_s,
        evaluations=evaluations,
        evaluation_s=evaluation_s,
        train_s=training_s + evaluations * evaluation_s + at_the_end_s
        + _scoring_steps(run_spec, len(main_settings(run_spec, inputs).schedule.sizes)) * step_s,
        peak_bytes=peak_memory(device),
        weight_bytes=cost.model_bytes,
        # Two moments for each weight that trains.
        checkpoint_bytes=cost.model_bytes + 2 * 4 * cost.trainable,
    )  # fmt: skip


def _step_s(phase: Phase, device: torch.device) -> float:
    """Mean seconds of a step, over steps from all of the phase, as tasks may come in any order."""
    if not phase.total:
        return 0.0
    learner = phase.make_learner()
    places = [int(n * _GOLDEN % 1 * phase.total) for n in range(_WARM_STEPS + _STEPS)]
    times: list[float] = []
    for step in places:
        times.append(_seconds(_update(learner, step, phase.total), device))
        if len(times) >= _WARM_STEPS + _LEAST_STEPS and sum(times) > _MOST_S:
            break
    learner.close()
    counted = times[_WARM_STEPS:]
    return sum(counted) / len(counted)


def _evaluation_s(run_spec: RunSpec, network: Network, task: str, data: EncodedTask) -> float:
    """Seconds for all examples of a task, by some of them."""
    some = {task: data.sample(_EVALUATED, 0)}
    runtime = run_spec.runtime
    seconds = _seconds(lambda: evaluate(network, some, run_spec.measures, runtime), runtime.device)
    # All of the longest texts come in one batch of a whole evaluation: its peak is theirs.
    longest = np.argsort(data.lengths, kind="stable")[-runtime.evaluation_batch :]
    with torch.inference_mode(), autocast(runtime.precision, runtime.device):
        network({task: data.collate(longest).to(runtime.device).text})
    return seconds * len(data) / len(some[task])


def _update(learner: Learner, step: int, total: int) -> Callable[[], object]:
    return lambda: learner.update(step, total)


def _scoring_steps(run_spec: RunSpec, tasks: int) -> int:
    """Steps that the score's clock takes of regime and baseline; none where it counts FLOPs."""
    score = run_spec.config.score
    if score.clock != "measured" or not score.pairs:
        return 0
    turns = 1 if run_spec.config.sampler.name == "unified" else tasks
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
