"""Workers as processes and threads: rounds and failures."""

import multiprocessing
import os
import time
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from threading import Thread

import pytest
import torch

from benchmarks.load import busy
from benchmarks.records import Failure, Ready
from benchmarks.runner import WorkerError, run_workload, worker
from benchmarks.worker import Job, choose_mode, run_steps
from benchmarks.workloads import FOLDER, Variant, Workload
from mtl_sharing.job.speed_choice import threads_text


@pytest.fixture
def responses(monkeypatch):
    """The responses of a worker in a thread to some messages, of which the last is 0."""
    # Threads of this process cannot have peaks and log levels of their own.
    monkeypatch.setattr("benchmarks.worker.reset_peak_memory", lambda device: None)
    monkeypatch.setattr("logging.disable", lambda level: None)

    def request(job, *messages, work=run_steps):
        here, there = Pipe()
        thread = Thread(target=work, args=(there, job))
        thread.start()
        received = [here.recv()]
        for message in messages:
            here.send(message)
            received += [here.recv()] if message else []
        thread.join(60)
        assert not thread.is_alive()
        return received

    return request


@pytest.mark.parametrize(
    ("kind", "work", "mode"),
    [
        ("project", "train", None),
        ("project", "predict", None),
        ("recipe", "train", None),
        ("best", "train", ("fp32", "eager")),
        ("best", "predict", ("bf16", "eager")),
        ("project", "predict_file", None),
        ("best", "predict_file", ("fp32", "sdpa")),
    ],
)
def test_a_worker_measures_each_number_of_steps(
    responses, small_words, kind, work, mode, monkeypatch
):
    monkeypatch.setattr("benchmarks.file_prediction.ROWS", 70)
    job = Job(kind, work, small_words, mode=mode)
    ready, first, second = responses(job, 2, 3, 0)
    assert isinstance(ready, Ready)
    own = {"project": ("fp32", threads_text(torch.get_num_threads()))}
    assert ready.how == ", ".join(mode or own.get(kind, ("fp32", "sdpa")))
    assert [len(turn.seconds) for turn in (first, second)] == [2, 3]
    assert [len(turn.work) for turn in (first, second)] == [2, 3]
    assert min(first.seconds) > 0 and first.peak_bytes >= ready.resting_bytes > 10**7
    load = second.work[0]
    if work == "predict_file":
        assert (load.examples, load.flops) == (70, 0) and load.tokens > 2 * 70
        return
    assert load.examples == (12 if work == "train" else 96)
    assert load.examples < load.tokens < load.flops
    # New text in every step of training, the same in every pass of prediction.
    assert (len({load.tokens for load in first.work + second.work}) > 1) == (work == "train")


def test_the_trial_chooses_a_mode(responses, small_words):
    ((precision, attention),) = responses(Job("best", "train", small_words), work=choose_mode)
    assert precision in ("fp32", "bf16") and attention in ("sdpa", "eager")


def test_an_error_is_one_line(responses, small_words):
    job = Job("project", "train", (*small_words, "sharing.plan=S9"))
    (response,) = responses(job)
    assert isinstance(response, Failure)
    assert "sharing" in response.reason and "\n" not in response.reason


def test_a_folder_of_its_own_stands_in_the_overrides(responses, small_words):
    words = (*small_words, "suite=cs224n", f"data_dir={FOLDER}/data")
    (response,) = responses(Job("project", "train", words))
    assert FOLDER not in response.reason and "/data" in response.reason


def test_a_process_that_fails_is_named():
    # No module of the project is loaded there: the process sends the message and ends.
    failure = Failure("TypeError: no width")
    with worker("rate", Connection.send, failure) as meter, pytest.raises(WorkerError) as raised:
        meter.request(1)
    assert str(raised.value) == "rate: TypeError: no width"


def test_a_process_that_ends_is_named_with_its_exit_code():
    with (
        worker("rate", print, 16) as process,
        pytest.raises(WorkerError, match="rate: its process ended with 0"),
    ):
        process.request(1)


def test_busy_processes_run_during_the_block():
    def used():
        times = os.times()
        return times.children_user + times.children_system

    before = used()
    with busy(2):
        time.sleep(0.3)
    # Counted once they have ended.
    assert used() - before > 0.1


@pytest.mark.slow
def test_a_workload_in_processes(small_words):
    variants = (Variant("one", "project", ("split=1",)),)
    workload = Workload("small", "small", ("sharing=hybrid",), variants, steps=2, first=7)
    lines = []
    measured = run_workload(workload, small_words, rounds=3, hidden=16, log=lines.append)
    assert [len(turn.seconds) for turn in measured["variants"]["one"]["rounds"]] == [2, 2, 2]
    assert len(measured["product_rate"]) == len(lines) - 1 == 3
    for rate in measured["product_rate"]:
        assert rate.keys() == {"fp32", "bf16"} and min(rate.values()) > 1e6
    assert len(measured["variants"]["one"]["first"].seconds) == 7
    assert lines[2].startswith("small round 2 of 3: one 0.")
    assert not multiprocessing.active_children()
