"""Forecasts time, memory and disk of a sweep's trial from a few steps on this machine."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import numpy as np
import torch

from mtl_sharing.data.tokens.batches import EncodedTask
from mtl_sharing.evaluation.evaluate import evaluate
from mtl_sharing.job.autotune import autotune
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.phase_settings import main_settings, make_phase_settings
from mtl_sharing.job.phases import make_phase
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.model.network import Network
from mtl_sharing.score.parameters import plan_cost
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.training.phases import Phase
from mtl_sharing.utils.device import autocast, peak_memory, reset_peak_memory

_WARM_STEPS = 3
# Timed steps of each phase: so many, or at least the minimum once they took so many seconds.
_STEPS, _LEAST_STEPS, _MOST_S = 16, 4, 20.0
# Examples of each task in a timed evaluation.
_EVALUATED = 256
# Golden ratio: multiples of it modulo 1 are spread evenly over 0 to 1, however many.
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Forecast:
    """Cost of one training.

    Attributes:
        steps: updates of all phases.
        step_s: mean seconds of an update.
        evaluations: number of evaluations while training; a full one follows at the end.
        train_s: seconds from the first step to the result.
        peak_bytes: peak memory of the process, or of the GPU.
        checkpoint_bytes: size of the checkpoint, which is deleted after the training.
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


def most_costly(trials: Sequence[ComposedTrial]) -> ComposedTrial:
    """The trial with the most to compute: trainable weights times texts in a step."""

    def work(trial: ComposedTrial) -> tuple[int, int]:
        trainer, unified = trial.config.trainer, trial.config.sampler.name == "unified"
        # Without a number of steps, epochs bound the training: fewer texts mean more steps.
        counted = trainer.max_steps is not None or trainer.steps_per_epoch is not None
        texts = len(trial.run_spec.specs) if counted and unified else 1
        cost = plan_cost(trial.run_spec.architecture)
        return cost.trainable * texts, cost.total

    return max(trials, key=work)


def forecast(trial: ComposedTrial) -> Forecast:
    """Times some training steps and part of an evaluation on the trial's own data.

    Writes nothing, neither to the cache, and reads no frozen states from it. The learning rate is
    0, which takes as long as another and cannot end in NaN.

    Raises:
        UserError: data or a checkpoint that is not there or does not fit.
    """
    config = trial.config
    optimizer = replace(config.optimizer, lr=0.0, head_lr=None)
    cache = replace(config.cache, tokens=False, prefix=False)
    run_spec = start_on_machine(resolve_spec(replace(config, optimizer=optimizer, cache=cache)))
    with TemporaryDirectory() as folder:
        inputs = load_inputs(run_spec, Path(folder))
    run_spec = autotune(run_spec, inputs, keep=False)
    torch.manual_seed(config.seed)
    return _measure(trial.regime, run_spec, inputs)


def _measure(regime: str, run_spec: RunSpec, inputs: RunInputs) -> Forecast:
    all_settings = make_phase_settings(run_spec, inputs)
    device, trainer = run_spec.runtime.device, run_spec.config.trainer
    reset_peak_memory(device)
    network = run_spec.network(run_spec.architecture, inputs.tower)
    phases = [make_phase(settings, run_spec, inputs, network) for settings in all_settings]
    steps = sum(phase.total for phase in phases)
    step_s = sum(phase.total * _step_s(phase, device) for phase in phases) / max(1, steps)
    dev_s, select_s = (
        {name: _evaluation_s(run_spec, network, name, data) for name, data in split.items()}
        for split in (inputs.dev, inputs.select)
    )
    split = inputs.eval_split[1]
    evaluation_s = sum(
        seconds * len(split[name].sample(trainer.eval_examples, 0)) / len(split[name])
        for name, seconds in (select_s or dev_s).items()
    )
    evaluations = sum(-(-phase.total // phase.eval_every) for phase in phases if phase.evaluated)
    scoring = _scoring_steps(run_spec, len(main_settings(run_spec, inputs).schedule.sizes))
    last_s = sum(dev_s.values()) + sum(select_s.values())
    cost = plan_cost(run_spec.architecture)
    train_s = (steps + scoring) * step_s + evaluations * evaluation_s + last_s
    # AdamW keeps two fp32 moments of each trainable weight.
    checkpoint_bytes = cost.model_bytes + 2 * 4 * cost.trainable
    return Forecast(regime, steps, step_s, evaluations, evaluation_s, train_s,
                    peak_memory(device), cost.model_bytes, checkpoint_bytes)  # fmt: skip


def _step_s(phase: Phase, device: torch.device) -> float:
    """Mean seconds of a step, over steps from all of the phase: tasks may come in any order."""
    if not phase.total:
        return 0.0
    learner = phase.make_learner()
    times: list[float] = []
    for number in range(_WARM_STEPS + _STEPS):
        step = int(number * _GOLDEN % 1 * phase.total)
        times.append(_seconds(partial(learner.update, step, phase.total), device))
        if len(times) >= _WARM_STEPS + _LEAST_STEPS and sum(times) > _MOST_S:
            break
    learner.close()
    return fmean(times[_WARM_STEPS:])


def _evaluation_s(run_spec: RunSpec, network: Network, task: str, data: EncodedTask) -> float:
    """Seconds to evaluate all examples of a task, extrapolated from some of them."""
    sample, runtime = {task: data.sample(_EVALUATED, 0)}, run_spec.runtime
    seconds = _seconds(
        partial(evaluate, network, sample, run_spec.measures, runtime), runtime.device
    )
    # A whole evaluation sorts by length: its memory peaks at the batch of the longest texts.
    longest = np.argsort(data.lengths, kind="stable")[-runtime.evaluation_batch :]
    with torch.inference_mode(), autocast(runtime.precision, runtime.device):
        network({task: data.collate(longest).to(runtime.device).text})
    return seconds * len(data) / len(sample[task])


def _scoring_steps(run_spec: RunSpec, tasks: int) -> int:
    """Steps that the score's clock takes of regime and baseline; 0 where it counts FLOPs."""
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


def machine_memory(device: torch.device) -> int:
    """Bytes of memory for a training on ``device``."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info()[1])
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
