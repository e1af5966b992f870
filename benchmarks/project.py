"""This project's contestants: a training step, and prediction of every task."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from hydra import compose, initialize_config_module

from benchmarks.flops import count_prediction, count_training
from benchmarks.records import Load
from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.config import Config, register, to_config
from mtl_sharing.data.tokens.batches import TrainingBatches
from mtl_sharing.job.frozen_states import with_frozen_states
from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.learners import make_learner
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.job.timing import predict_all, timed_text
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.training.learner import Learner

TOTAL_STEPS = 10_000
_TEXTS_OF_A_TASK = 32


def compose_config(words: Iterable[str]) -> Config:
    """The config that these overrides make."""
    register()
    with initialize_config_module("mtl_sharing.conf"):
        return to_config(compose("train", overrides=list(words)))


def prepare(words: Iterable[str]) -> tuple[RunSpec, RunInputs]:
    """The checked config of these overrides, and the data and weights that it names."""
    run_spec = start_on_machine(resolve_spec(compose_config(words)))
    with TemporaryDirectory() as folder:
        return run_spec, load_inputs(run_spec, Path(folder))


def assemble_learner(words: str) -> Learner:
    """A fresh learner of the config that these overrides make."""
    run_spec, inputs = prepare(words.split())
    return make_learner(run_spec, inputs, run_spec.architecture)


def grouped_batches(run_spec: RunSpec, inputs: RunInputs) -> dict[str, TrainingBatches]:
    """The batches that the project's learner takes, of every task by number."""
    size, seed = run_spec.config.trainer.batch_size, run_spec.config.seed
    return {name: TrainingBatches(name, data, size, seed) for name, data in inputs.train.items()}


def load_of(batches: Mapping[str, LabelledBatch], architecture: Architecture) -> Load:
    """What one training step on these batches amounts to."""
    lengths = {task: batch.text.lengths for task, batch in batches.items()}
    return Load(
        examples=sum(len(batch.labels) for batch in batches.values()),
        tokens=sum(map(sum, lengths.values())),
        flops=count_training(architecture, lengths),
    )


def prediction_load(text: PackedBatch, architecture: Architecture) -> Load:
    """What every task's prediction on the same text amounts to."""
    flops = count_prediction(architecture, text.lengths)
    return Load(text.sequences, sum(text.lengths), flops)


def _check_states(run_spec: RunSpec, inputs: RunInputs) -> None:
    """Raises RuntimeError where a cache that a workload asks for has not been filled."""
    if run_spec.config.cache.prefix and run_spec.architecture.frozen_layers:
        missing = [name for name, data in inputs.train.items() if data.first.states is None]
        if missing:
            raise RuntimeError(f"no cached states of {', '.join(missing)}")


class ProjectTraining:
    """Training steps as ``mtl-train`` takes them, frozen states from the cache included."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs) -> None:
        known = with_frozen_states(run_spec, inputs)
        _check_states(run_spec, known)
        self.learner = make_learner(run_spec, known, run_spec.architecture)
        self.batches = grouped_batches(run_spec, inputs)
        self.architecture = run_spec.architecture
        self.device, self.how = run_spec.runtime.device, run_spec.runtime.precision

    def step(self, number: int) -> None:
        """One update of the weights."""
        self.learner.update(number, TOTAL_STEPS)

    def load(self, number: int) -> Load:
        """What step ``number`` amounts to."""
        return load_of(
            {task: each[number] for task, each in self.batches.items()}, self.architecture
        )


class ProjectPrediction:
    """Every task's prediction on the same text, through what fills ``time.predict_all_s``."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs) -> None:
        self.learner = make_learner(run_spec, inputs, run_spec.architecture)
        self.text = timed_text(inputs.dev)
        self.device, self.how = run_spec.runtime.device, run_spec.runtime.precision
        self.architecture = run_spec.architecture

    def step(self, number: int) -> None:
        """One pass over the text."""
        predict_all(self.learner, self.text)

    def load(self, number: int) -> Load:
        """What a pass amounts to."""
        return prediction_load(self.text, self.architecture)
