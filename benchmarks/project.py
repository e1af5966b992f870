"""This project's loops: training steps, and prediction of every task."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from benchmarks.flops import count_prediction, count_training
from benchmarks.records import StepWork
from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.config import Config
from mtl_sharing.config.compose import compose_with_texts
from mtl_sharing.data.tokens.batches import TrainingBatches
from mtl_sharing.job.autotune import autotune
from mtl_sharing.job.frozen_states import with_frozen_states
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.phases import make_learner
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.job.speed_choice import threads_text
from mtl_sharing.job.timing import predict_all, timed_text
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.training.learner import Learner
from mtl_sharing.training.warm_up import warm_up

TOTAL_STEPS = 10_000
_TEXTS_OF_A_TASK = 32


def compose_config(overrides: Iterable[str]) -> Config:
    """The config of these overrides."""
    return compose_with_texts(list(overrides))[0]


def prepare(overrides: Iterable[str], folder: Path | None = None) -> tuple[RunSpec, RunInputs]:
    """The spec of these overrides, and its data and weights.

    Args:
        folder: gets the tokenizer; None drops it.
    """
    run_spec = start_on_machine(resolve_spec(compose_config(overrides)))
    with TemporaryDirectory() as temporary:
        if folder is not None:
            folder.mkdir()
        inputs = load_inputs(run_spec, Path(temporary) if folder is None else folder)
    return autotune(run_spec, inputs), inputs


def assemble_learner(overrides: str) -> Learner:
    """A new learner of these overrides."""
    run_spec, inputs = prepare(overrides.split())
    return make_learner(run_spec, inputs, run_spec.architecture)


def grouped_batches(run_spec: RunSpec, inputs: RunInputs) -> dict[str, TrainingBatches]:
    """The training batches of every task, as the project's learner takes them."""
    size, seed = run_spec.config.trainer.batch_size, run_spec.config.seed
    return {name: TrainingBatches(name, data, size, seed) for name, data in inputs.train.items()}


def step_work(batches: Mapping[str, LabelledBatch], architecture: Architecture) -> StepWork:
    """The work of a training step on these batches."""
    lengths = {task: batch.text.lengths for task, batch in batches.items()}
    return StepWork(
        examples=sum(len(batch.labels) for batch in batches.values()),
        tokens=sum(map(sum, lengths.values())),
        flops=count_training(architecture, lengths),
    )


def prediction_work(text: PackedBatch, architecture: Architecture) -> StepWork:
    """The work of every task's prediction on the same text."""
    flops = count_prediction(architecture, text.lengths)
    return StepWork(text.sequences, sum(text.lengths), flops)


def _check_states(run_spec: RunSpec, inputs: RunInputs) -> None:
    """Raises RuntimeError for a workload with a cache that is not filled."""
    if run_spec.config.cache.prefix and run_spec.architecture.frozen_layers:
        missing = [name for name, data in inputs.train.items() if data.first.states is None]
        if missing:
            raise RuntimeError(f"no cached states of {', '.join(missing)}")


def choice_text(run_spec: RunSpec) -> str:
    """The precision of a run and the threads of this process, such as ``fp32, 1 thread``."""
    return f"{run_spec.runtime.precision}, {threads_text(torch.get_num_threads())}"


class ProjectTraining:
    """Training steps as ``mtl-train`` takes them, frozen states from the cache included."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs) -> None:
        cached = with_frozen_states(run_spec, inputs)
        _check_states(run_spec, cached)
        self.learner = make_learner(run_spec, cached, run_spec.architecture)
        self.batches = self.learner.batches
        self.architecture = run_spec.architecture
        self.device, self.how = run_spec.runtime.device, choice_text(run_spec)

    def warm_up(self) -> None:
        """What ``mtl-train`` does before its first step."""
        warm_up(self.learner, TOTAL_STEPS)

    def step(self, number: int) -> None:
        """One update of the weights."""
        self.learner.update(number, TOTAL_STEPS)

    def work(self, number: int) -> StepWork:
        """The work of a step."""
        batches = {task: own[number] for task, own in self.batches.items()}
        return step_work(batches, self.architecture)


class ProjectPrediction:
    """Every task's prediction on the same text, as measured for ``time.predict_all_s``."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs) -> None:
        self.learner = make_learner(run_spec, inputs, run_spec.architecture)
        self.text = timed_text(inputs.dev)
        self.device, self.how = run_spec.runtime.device, choice_text(run_spec)
        self.architecture = run_spec.architecture

    def step(self, number: int) -> None:
        """One pass over the text."""
        predict_all(self.learner, self.text)

    def work(self, number: int) -> StepWork:
        """The work of a pass."""
        return prediction_work(self.text, self.architecture)
