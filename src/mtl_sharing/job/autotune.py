"""Chooses the threads and the precision of a run on a CPU by timing steps of its own kind.

The timed steps train a fully shared encoder on the run's data and batches. So the choice is the
same for every regime of an encoder, and runs that are compared compute alike.
"""

import gc
import json
import logging
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import product

import torch

from mtl_sharing.cache.store import Entry, make_store
from mtl_sharing.errors import is_out_of_memory
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.phase_settings import (
    by_turns,
    main_settings,
    make_phase_settings,
)
from mtl_sharing.job.phases import make_learner
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.job.speed_choice import BF16_GAIN, SpeedChoice, choose
from mtl_sharing.job.timing import StepSeconds, time_choices
from mtl_sharing.model.encoder.initialization import random_tower
from mtl_sharing.objectives.settings import LossConfig, RegularizerConfig
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.training.learner import Learner
from mtl_sharing.utils.device import (
    bf16_speedup,
    processor_name,
    threads_are_given,
    usable_cores,
)

log = logging.getLogger(__name__)

# Part of every key; raise it where the speed of a step or the rule has changed.
_VERSION = 2
# A shorter training is not worth the timing. Its rough time is so long for each step, and so many
# operations a second.
_LEAST_TRAINING_S, _STEP_S, _RATE = 20.0, 0.05, 2e11

_chosen: dict[str, SpeedChoice] = {}


def autotune(run_spec: RunSpec, inputs: RunInputs, keep: bool = True) -> RunSpec:
    """The spec with its precision chosen; sets torch's threads where they are left open.

    Touches no weight, batch or random number of the run. The choice is kept in the cache, for all
    runs of its kind on this machine.

    Args:
        keep: whether a new choice is written to the cache.
    """
    runtime, open_choices = run_spec.runtime, _open_choices(run_spec)
    if runtime.device.type != "cpu" or len(open_choices) == 1:
        return run_spec
    precision, threads = open_choices[0]
    if _training_s(run_spec, inputs) >= _LEAST_TRAINING_S:
        choice = _find(run_spec, inputs, open_choices, keep)
        log.info("%s", choice)
        precision, threads = choice.precision, choice.threads
    torch.set_num_threads(threads)
    return replace(run_spec, runtime=replace(runtime, precision=precision))


def _open_choices(run_spec: RunSpec) -> list[tuple[str, int]]:
    """Precisions and threads to choose from; a run that is not worth it takes the first."""
    threads, precision = [torch.get_num_threads()], run_spec.runtime.precision
    if run_spec.config.trainer.threads is None and not threads_are_given() and threads != [1]:
        threads.append(1)
    return list(product(("fp32", "bf16") if precision == "auto" else (precision,), threads))


def _training_s(run_spec: RunSpec, inputs: RunInputs) -> float:
    """A rough time of the training, the same on all machines."""
    shape, settings = run_spec.shape, make_phase_settings(run_spec, inputs)
    weights = shape.layers * (4 * shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    seconds = _STEP_S + 6 * weights * _step_tokens(run_spec, inputs) / _RATE
    steps = sum(phase.schedule.steps for phase in settings)
    return steps * run_spec.config.trainer.accumulation * seconds


def _step_tokens(run_spec: RunSpec, inputs: RunInputs) -> float:
    """The mean number of tokens of a step."""
    settings = main_settings(run_spec, inputs)
    batches, (_, turns) = settings.schedule.batch_sizes, by_turns(run_spec, settings)
    sizes = [batches[t] * inputs.train[t].lengths.mean() for t in settings.schedule.sizes]
    return float(sum(sizes)) / max(1, turns)


def _find(
    run_spec: RunSpec, inputs: RunInputs, open_choices: list[tuple[str, int]], keep: bool
) -> SpeedChoice:
    """The kept choice for runs of this kind; where there is none, steps are timed."""
    key, store = _key(run_spec, inputs, open_choices), make_store(run_spec.config.cache)

    def compute() -> Entry:
        # Without a cache the runs of one process still agree.
        return Entry({}, asdict(_chosen.get(key) or _compute(run_spec, inputs, open_choices)))

    entry = None
    if store is not None:
        entry = store.fetch("speed", key, compute) if keep else store.open("speed", key)
    choice = SpeedChoice(**(entry or compute()).about)
    return _chosen.setdefault(key, choice)


def _key(run_spec: RunSpec, inputs: RunInputs, open_choices: list[tuple[str, int]]) -> str:
    """A hexadecimal digest of the machine and the kind of run."""
    settings = main_settings(run_spec, inputs)
    schedule = settings.schedule
    content = {
        "version": _VERSION,
        "machine": [processor_name(), torch.backends.cpu.get_cpu_capability(), usable_cores()],
        "torch": torch.__version__,
        "choices": open_choices,
        "encoder": asdict(run_spec.shape),
        "batches": sorted(schedule.batch_sizes[task] for task in schedule.sizes),
        "turns": by_turns(run_spec, settings)[1],
        # To a power of two: other rows of the same text make no other kind.
        "tokens": round(_step_tokens(run_spec, inputs)).bit_length(),
    }
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _compute(
    run_spec: RunSpec, inputs: RunInputs, open_choices: list[tuple[str, int]]
) -> SpeedChoice:
    """Times steps of each choice, in bf16 only where products alone gain from it."""
    if len(dict(open_choices)) > 1 and bf16_speedup(run_spec.shape.hidden) < BF16_GAIN:
        open_choices = [choice for choice in open_choices if choice[0] == "fp32"]
        if len(open_choices) == 1:
            return SpeedChoice(*open_choices[0], "products in bf16 gain too little")
    log.info("timing some steps for the choice of precision and threads")
    threads = torch.get_num_threads()
    try:
        with torch.random.fork_rng([]):
            return choose(_time_steps(run_spec, inputs, open_choices))
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        return SpeedChoice(*open_choices[0], "no memory to time others")
    finally:
        torch.set_num_threads(threads)
        gc.collect()


def _time_steps(
    run_spec: RunSpec, inputs: RunInputs, open_choices: list[tuple[str, int]]
) -> StepSeconds:
    """Seconds of a step of a shared encoder with random weights and none of the extra losses."""
    plan = SharingPlan.parse(f"S{run_spec.shape.layers}", run_spec.plan.tasks)
    architecture = replace(run_spec.architecture, plan=plan, pals=None, lanes=None)
    settings, turns = by_turns(run_spec, main_settings(run_spec, inputs))
    # A rate of 0 takes as long as another and cannot end in NaN.
    optimizer = replace(settings.optimizer, lr=0.0, head_lr=None)
    settings = replace(settings, loss=LossConfig(), optimizer=optimizer)
    trainer = replace(run_spec.config.trainer, accumulation=1)
    config = replace(run_spec.config, regularizer=RegularizerConfig(), trainer=trainer)
    inputs = replace(inputs, tower=random_tower(run_spec.shape, config.seed))

    def make(precision: str) -> Learner:
        runtime = replace(run_spec.runtime, precision=precision)
        timed = replace(run_spec, config=config, architecture=architecture, runtime=runtime)
        return make_learner(timed, inputs, architecture, settings)

    return time_choices({name: make(name) for name in dict(open_choices)}, open_choices, turns)
