"""What each phase sets for itself: order, seed, loss, optimiser and schedule."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.phase_settings import (
    main_settings,
    make_phase_settings,
    phase_settings,
    train_data,
)
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.objectives.settings import LossConfig
from mtl_sharing.training.settings import PhaseConfig
from support import QUICK, load_config

SIZES = {"sst": 14, "quora": 11, "sts": 7}


class Rows(SimpleNamespace):
    """Stands for encoded examples, of which only the number matters here."""

    def __len__(self) -> int:
        return len(self.labels)


def rows(count: int) -> Rows:
    return Rows(labels=np.zeros(count))


@pytest.fixture
def inputs():
    train = {task: rows(count) for task, count in SIZES.items()}
    return RunInputs(train, {}, {}, {}, pairs={"quora": rows(5)})


def spec_of(*words, **phases):
    run_spec = resolve_spec(load_config(*QUICK, "encoder.layers=2", *words))
    return replace(run_spec, config=replace(run_spec.config, phases=phases))


def test_phases_stand_before_and_after_the_main_training(inputs):
    late, early = PhaseConfig(when="after", steps=2), PhaseConfig(steps=3)
    settings = make_phase_settings(spec_of(late=late, early=early), inputs)
    assert [phase.name for phase in settings] == ["early", "main", "late"]
    assert [phase.schedule.steps for phase in settings] == [3, 4, 2]
    assert [phase.is_late for phase in settings] == [False, False, True]


def test_the_main_training_has_the_configs_own_settings(inputs):
    run_spec = spec_of("seed=11", "loss=pcgrad", "optimizer.lr=0.5")
    main = main_settings(run_spec, inputs)
    assert (main.seed, main.loss, main.optimizer) == (
        11, run_spec.config.loss, run_spec.config.optimizer,
    )  # fmt: skip
    assert main.schedule.sizes == SIZES
    assert main.schedule.batch_sizes == dict.fromkeys(SIZES, 4)


def test_a_phase_has_a_seed_and_a_rate_of_its_own(inputs):
    run_spec = spec_of("optimizer.head_lr=0.1")
    first, second = (
        phase_settings(name, PhaseConfig(lr=0.25), run_spec, inputs) for name in ("a", "b")
    )
    assert len({first.seed, second.seed, run_spec.config.seed}) == 3
    assert (first.optimizer.lr, first.optimizer.head_lr) == (0.25, None)
    assert phase_settings("c", PhaseConfig(), run_spec, inputs).optimizer.head_lr == 0.1


def test_only_a_phase_of_the_tasks_weighs_their_losses(inputs):
    run_spec = spec_of("loss.weights={sst:0,quora:2,sts:1}")
    tasks = phase_settings("own", PhaseConfig(), run_spec, inputs)
    masked = phase_settings("own", PhaseConfig("masked_lm"), run_spec, inputs)
    assert list(tasks.schedule.sizes) == ["quora", "sts"]
    assert list(masked.schedule.sizes) == ["sst", "quora", "sts"]
    assert masked.loss == LossConfig()


def test_a_ranking_trains_on_the_positive_pairs_of_its_task(inputs):
    ranking = phase_settings("own", PhaseConfig("ranking", task="quora"), spec_of(), inputs)
    assert train_data(ranking.options, inputs) == {"quora": inputs.pairs["quora"]}
    assert ranking.schedule.sizes == {"quora": 5}


def test_a_batch_size_of_the_phase_replaces_that_of_a_task(inputs):
    run_spec = spec_of("task.quora.batch_size=6")
    assert main_settings(run_spec, inputs).schedule.batch_sizes["quora"] == 6
    phase = phase_settings("own", PhaseConfig(batch_size=3), run_spec, inputs)
    assert phase.schedule.batch_sizes == dict.fromkeys(SIZES, 3)


def test_epochs_of_a_phase_end_with_the_main_trainings_steps(inputs):
    run_spec = spec_of("trainer.max_steps=5")
    long, short = (
        phase_settings("own", PhaseConfig(epochs=epochs), run_spec, inputs) for epochs in (9, 1)
    )
    assert (long.schedule.steps, long.schedule.epochs.number) == (5, 9)
    assert short.schedule.steps == 3  # 32 examples in steps of 3 x 4
