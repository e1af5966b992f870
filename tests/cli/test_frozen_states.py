"""Stored states of frozen layers from the command line: log lines, and resuming after a stop."""

import csv
import re
import shutil
import signal
from io import StringIO

import pytest
from rich.console import Console

from mtl_sharing.training.learner import Learner
from mtl_sharing.utils import progress
from support import QUICK

WORDS = (*QUICK, "encoder.layers=4", "sharing.plan=F3-I1", "encoder.dropout=0.1",
         "trainer.max_steps=17", "trainer.eval_every=6", "cache.folder=cache")  # fmt: skip
TAKEN = "states of 3 frozen layers from the cache: 6 of 6 lists of texts"
# 40 texts of sst and 2 of each pair, of 30 dev examples too.
TEXTS = (1 + 2 + 2) * (40 + 30)


def found_in(run):
    """What a run has found, without times."""
    with (run / "metrics.csv").open() as file:
        rows = [{k: v for k, v in row.items() if k != "train_s"} for row in csv.DictReader(file)]
    return (run / "model.safetensors").read_bytes(), rows


@pytest.fixture
def stop_at(monkeypatch):
    """Has the next run take Ctrl-C during a step."""
    update = Learner.update

    def at(step):
        def interrupted(self, number, total, ended):
            if number == step:
                monkeypatch.setattr(Learner, "update", update)
                signal.raise_signal(signal.SIGINT)
            return update(self, number, total, ended)

        monkeypatch.setattr(Learner, "update", interrupted)

    return at


@pytest.mark.slow
def test_a_stopped_run_goes_on_bit_for_bit_whatever_becomes_of_the_cache(
    mtl_train, tmp_path, stop_at
):
    whole = mtl_train(*WORDS, "hydra.run.dir=whole")
    assert whole.code == 0 and TAKEN in whole.err, whole.err
    expected = found_in(tmp_path / "whole")
    stop_at(10)
    stopped = mtl_train(*WORDS, "hydra.run.dir=run")
    assert stopped.code == 130, stopped.err
    shutil.copytree(tmp_path / "run", tmp_path / "stopped")
    for cache in ("kept", "damaged", "removed"):
        shutil.rmtree(tmp_path / "run")
        shutil.copytree(tmp_path / "stopped", tmp_path / "run")
        if cache == "damaged":
            for file in (tmp_path / "cache").glob("states-*/values.npy"):
                file.write_bytes(file.read_bytes()[:-5])
        if cache == "removed":
            shutil.rmtree(tmp_path / "cache")
        done = mtl_train("resume=run")
        assert done.code == 0 and TAKEN in done.err, (cache, done.err)
        assert "going on after step 11" in done.err
        assert found_in(tmp_path / "run") == expected, cache


@pytest.mark.slow
def test_the_time_before_the_training_is_told(mtl_train, monkeypatch):
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", 0.0)
    cold = mtl_train(*WORDS)
    assert cold.code == 0, cold.err
    spent = [cold.result["time"]["frozen_s"]]
    warm = mtl_train(*WORDS)
    assert TAKEN in cold.err and TAKEN in warm.err
    told = re.findall(r"states of 3 frozen layers: (\d+) of (\d+) texts", cold.err)
    assert [int(total) for _, total in told] == [TEXTS] * len(told)
    done = [int(number) for number, _ in told]
    assert done == sorted(set(done)) and done[-1] == TEXTS
    assert "frozen layers: " not in warm.err
    off = mtl_train(*WORDS, "cache.prefix=false")
    assert "frozen layers" not in off.err
    spent.append(off.result["time"]["frozen_s"])
    assert spent[0] > spent[1] >= 0


def test_a_terminal_sees_a_bar(monkeypatch):
    screen = StringIO()
    console = Console(file=screen, force_terminal=True, width=90)
    monkeypatch.setattr(progress, "log_console", lambda: console)
    with progress.Progress("states of 2 frozen layers", 37, "texts") as bar:
        for texts in (16, 16, 5):
            bar.advance(texts)
    assert "states of 2 frozen layers" in screen.getvalue()
    assert "37/37" in screen.getvalue()
