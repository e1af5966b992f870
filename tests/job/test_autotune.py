"""Threads and precision of a run on a CPU: timed where it is worth it, kept, and kept to."""

import json
import logging
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from mtl_sharing.job import autotune as module
from mtl_sharing.job.autotune import autotune
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.run import run_job
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.job.stages import Hooks
from mtl_sharing.job.timing import time_choices
from support import QUICK, load_config

WORDS = (*QUICK, "encoder.layers=2", "sharing.plan=S1-I1", "trainer.device=cpu",
         "trainer.precision=auto", "score.clock=flops")  # fmt: skip
LONG = "trainer.max_steps=900"
ALL = {("fp32", 2), ("fp32", 1), ("bf16", 2), ("bf16", 1)}


def spec_of(*words):
    return resolve_spec(load_config(*WORDS, *words))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return load_inputs(spec_of(), tmp_path_factory.mktemp("inputs"))


@pytest.fixture(autouse=True)
def machine(monkeypatch, tmp_path):
    """Two threads, an empty cache, and scripted seconds of steps; counts the timings."""
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_chosen", {})
    monkeypatch.setattr(module, "bf16_speedup", lambda hidden: 2.0)
    state = SimpleNamespace(timed=[], seconds=dict.fromkeys(ALL, 1.0) | {("fp32", 1): 1.1})

    def time_them(learners, choices, turns):
        state.timed.append(set(choices))
        return {choice: state.seconds[choice] for choice in choices}

    monkeypatch.setattr(module, "time_choices", time_them)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield state
    torch.set_num_threads(before)


def forget_process():
    """As if the next run were in a process of its own."""
    module._chosen.clear()
    torch.set_num_threads(2)


def choice_of(run_spec):
    return run_spec.runtime.precision, torch.get_num_threads()


def entries(tmp_path):
    return list((tmp_path / "cache" / "mtl-sharing").glob("speed-*/entry.json"))


def test_steps_decide_once_for_all_regimes_of_a_kind(machine, inputs, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        assert choice_of(autotune(spec_of(LONG), inputs)) == ("fp32", 1)
    assert "fp32 on 1 thread: bf16 takes 0.91 of its time, 2 threads gain 1.10" in caplog.text
    machine.seconds = dict.fromkeys(ALL, 1.0) | {("fp32", 2): 9.0}
    for words in ("sharing.plan=I2", "sharing.plan=F1-S1", "seed=7"):
        forget_process()
        assert choice_of(autotune(spec_of(LONG, words), inputs)) == ("fp32", 1)
    assert machine.timed == [ALL]
    assert len(entries(tmp_path)) == 1
    forget_process()
    autotune(spec_of(LONG, "trainer.batch_size=5"), inputs)
    assert len(machine.timed) == 2


def test_a_damaged_choice_is_made_anew(machine, inputs, tmp_path):
    autotune(spec_of(LONG), inputs)
    (path,) = entries(tmp_path)
    path.write_text(path.read_text().replace("fp32", "fp16"))
    forget_process()
    assert choice_of(autotune(spec_of(LONG), inputs)) == ("fp32", 1)
    assert len(machine.timed) == 2
    assert json.loads(path.read_text())["about"]["precision"] == "fp32"


def test_without_a_cache_a_process_chooses_once(machine, inputs, tmp_path):
    (tmp_path / "cache").write_text("no folder")
    for _ in range(2):
        torch.set_num_threads(2)
        assert choice_of(autotune(spec_of(LONG), inputs)) == ("fp32", 1)
    assert len(machine.timed) == 1


def test_nothing_is_written_where_that_is_not_wanted(machine, inputs, tmp_path):
    assert choice_of(autotune(spec_of(LONG), inputs, keep=False)) == ("fp32", 1)
    assert not entries(tmp_path)


@pytest.mark.parametrize(
    ("words", "timed", "chosen"),
    [
        # Too short to be worth it.
        (("trainer.max_steps=30",), None, ("fp32", 2)),
        ((LONG, "trainer.threads=2"), {("fp32", 2), ("bf16", 2)}, ("fp32", 2)),
        ((LONG, "trainer.precision=bf16"), {("bf16", 2), ("bf16", 1)}, ("bf16", 1)),
        ((LONG, "trainer.precision=bf16", "trainer.threads=2"), None, ("bf16", 2)),
    ],
)
def test_only_what_the_config_leaves_open_is_chosen(machine, inputs, words, timed, chosen):
    assert choice_of(autotune(spec_of(*words), inputs)) == chosen
    assert machine.timed == ([] if timed is None else [timed])


def test_the_environment_s_threads_stay(machine, inputs, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert choice_of(autotune(spec_of(LONG), inputs)) == ("fp32", 2)
    assert machine.timed == [{("fp32", 2), ("bf16", 2)}]


def test_steps_in_bf16_are_timed_only_where_products_gain(machine, inputs, monkeypatch):
    monkeypatch.setattr(module, "bf16_speedup", lambda hidden: 1.1)
    autotune(spec_of(LONG), inputs)
    assert machine.timed == [{("fp32", 2), ("fp32", 1)}]


@pytest.mark.parametrize("sampler", ["unified", "proportional"])
def test_real_steps_leave_the_run_as_it_was(machine, inputs, monkeypatch, sampler):
    rounds = []

    def time_them(learners, choices, turns):
        seconds = time_choices(learners, choices, turns)
        rounds.append((turns, {name: learner.served for name, learner in learners.items()}))
        return seconds

    monkeypatch.setattr("mtl_sharing.job.timing._CHOICE_ROUNDS", 2)
    monkeypatch.setattr(module, "time_choices", time_them)
    monkeypatch.setattr(module, "choose", lambda seconds: chosen.append(seconds) or choice)
    chosen, choice = [], module.SpeedChoice("bf16", 1, "")
    state, legacy = torch.get_rng_state(), np.random.get_state()[1].copy()
    tower = {n: {k: w.clone() for k, w in part.items()} for n, part in inputs.tower.items()}
    spec = spec_of(LONG, f"sampler={sampler}", "regularizer=smart", "encoder.dropout=0.1")
    assert choice_of(autotune(spec, inputs)) == ("bf16", 1)
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == legacy).all()
    assert all(torch.equal(w, tower[n][k]) for n, p in inputs.tower.items() for k, w in p.items())
    assert set(chosen[0]) == ALL and min(chosen[0].values()) > 0
    ((turns, served),) = rounds
    assert turns == (1 if sampler == "unified" else 3)
    # All choices took the same batches, one of each task in a round.
    assert served["fp32"] == served["bf16"] and set(served["fp32"].values()) == {2}


def test_a_run_keeps_its_choice_where_it_goes_on(machine, inputs, tmp_path, monkeypatch):
    words = (*WORDS, "trainer.max_steps=2", "trainer.eval_every=1")
    config, folder = load_config(*words), tmp_path / "run"

    def stop(*arguments):
        raise KeyboardInterrupt

    hooks = Hooks(load=lambda *_: replace(inputs), curves=False)
    monkeypatch.setattr("mtl_sharing.job.stages.autotune", chosen_as("bf16", 1))
    with pytest.raises(KeyboardInterrupt):
        run_job(config, folder, replace(hooks, on_evaluation=stop))
    record = json.loads((folder / "config.json").read_text())
    assert (record["precision"], record["threads"]) == ("bf16", 1)
    monkeypatch.setattr("mtl_sharing.job.stages.autotune", lambda run_spec, inputs: run_spec)
    torch.set_num_threads(2)
    result = run_job(config, folder, hooks)
    assert (result["machine"]["precision"], result["machine"]["threads"]) == ("bf16", 1)


def chosen_as(precision, threads):
    def choose(run_spec, inputs):
        torch.set_num_threads(threads)
        return replace(run_spec, runtime=replace(run_spec.runtime, precision=precision))

    return choose
