"""Contestants as processes and threads: turns, failures, and what they tell."""

import multiprocessing
from multiprocessing import Pipe
from threading import Thread

import pytest

from benchmarks.contest import ContestError, child, run_workload
from benchmarks.contestant import Assignment, choose_way, race
from benchmarks.rate import measure_products
from benchmarks.records import Failed, Ready
from benchmarks.workloads import FOLDER, Contender, Workload


@pytest.fixture
def answers(monkeypatch):
    """What a contestant in a thread answers to some messages, the last of which is 0."""
    # Threads of this process cannot have peaks and log levels of their own.
    monkeypatch.setattr("benchmarks.contestant.reset_peak_memory", lambda device: None)
    monkeypatch.setattr("logging.disable", lambda level: None)

    def ask(assignment, *messages, work=race):
        here, there = Pipe()
        thread = Thread(target=work, args=(there, assignment))
        thread.start()
        found = [here.recv()]
        for message in messages:
            here.send(message)
            found += [here.recv()] if message else []
        thread.join(60)
        assert not thread.is_alive()
        return found

    return ask


@pytest.mark.parametrize(
    ("kind", "work", "way"),
    [
        ("project", "train", None),
        ("project", "predict", None),
        ("recipe", "train", None),
        ("best", "train", ("fp32", "eager")),
        ("best", "predict", ("bf16", "eager")),
    ],
)
def test_a_contestant_answers_each_number_of_steps(answers, small_words, kind, work, way):
    assignment = Assignment(kind, work, small_words, way=way)
    ready, first, second = answers(assignment, 2, 3, 0)
    assert isinstance(ready, Ready)
    assert ready.how == ", ".join(way or {"project": ["fp32"]}.get(kind, ["fp32", "sdpa"]))
    assert [len(turn.seconds) for turn in (first, second)] == [2, 3]
    assert [len(turn.loads) for turn in (first, second)] == [2, 3]
    assert min(first.seconds) > 0 and first.peak_bytes >= ready.resting_bytes > 10**7
    load = second.loads[0]
    assert load.examples == (12 if work == "train" else 96)
    assert load.examples < load.tokens < load.flops
    # New text in every step of training, the same in every pass of prediction.
    assert (len({load.tokens for load in first.loads + second.loads}) > 1) == (work == "train")


def test_the_trial_says_a_way(answers, small_words):
    ((precision, attention),) = answers(Assignment("best", "train", small_words), work=choose_way)
    assert precision in ("fp32", "bf16") and attention in ("sdpa", "eager")


def test_a_mistake_is_told_in_one_line(answers, small_words):
    assignment = Assignment("project", "train", (*small_words, "sharing.plan=S9"))
    (answer,) = answers(assignment)
    assert isinstance(answer, Failed)
    assert "sharing" in answer.reason and "\n" not in answer.reason


def test_a_folder_of_its_own_stands_in_the_overrides(answers, small_words):
    words = (*small_words, "suite=cs224n", f"data_dir={FOLDER}/data")
    (answer,) = answers(Assignment("project", "train", words))
    assert FOLDER not in answer.reason and "/data" in answer.reason


def test_a_process_that_fails_is_named():
    with child("rate", measure_products, "wide") as meter, pytest.raises(ContestError) as raised:
        meter.ask(1)
    assert str(raised.value).startswith("rate: TypeError")


def test_a_process_answers_until_it_dies():
    with child("rate", measure_products, 16) as meter:
        for rate in (meter.ask(1), meter.ask(1)):
            assert rate.keys() == {"fp32", "bf16"} and min(rate.values()) > 1e6
        meter.process.kill()
        with pytest.raises(ContestError, match="rate: its process ended with -9"):
            meter.ask(1)


def test_a_race_of_processes(small_words):
    contenders = (Contender("one", "project", ("split=1",)),)
    workload = Workload("small", "small", ("sharing=hybrid",), contenders, steps=2)
    lines = []
    told = run_workload(workload, small_words, rounds=3, hidden=16, say=lines.append)
    assert [len(turn.seconds) for turn in told["contenders"]["one"]["rounds"]] == [2, 2, 2]
    assert len(told["product_rate"]) == len(lines) == 3
    assert lines[1].startswith("small round 2 of 3: one 0.")
    assert not multiprocessing.active_children()
