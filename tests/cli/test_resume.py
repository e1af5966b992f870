"""A stopped run goes on as if it had never stopped, bit for bit on a CPU."""

import csv
import fcntl
import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support import QUICK, start, wait_for

STEPS = 60
# A regime with every part there is.
REGIME = ("sharing=progressive", "sharing.plan=F2-T4-S4-I2", "sharing.lanes.fusion=attention",
          "sharing.lanes.task_dropout=0.2", "sharing.pals.size=6")  # fmt: skip
WORDS = (*QUICK, *REGIME, f"trainer.max_steps={STEPS}", "trainer.eval_every=5",
         "encoder.dropout=0.1", "sampler=proportional", "hydra.run.dir=run")  # fmt: skip


def finish(process: subprocess.Popen) -> str:
    out, _ = process.communicate(timeout=240)
    assert process.returncode == 0, out
    return out


def figures(run: Path) -> list[dict[str, str]]:
    """metrics.csv without its wall times."""
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "train_s"} for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("whole")
    finish(start(cwd, *WORDS))
    return cwd / "run"


def test_kill_and_resume_gives_the_same_run(tmp_path, uninterrupted):
    """Killed twice, at moments drawn anew each time, then left to end."""
    run = tmp_path / "run"
    process = start(tmp_path, *WORDS)
    for _ in range(2):
        wait_for(run / "checkpoint" / "last.pt", process)
        time.sleep(random.uniform(0, 0.5))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert json.loads((run / "result.json").read_text())["status"] == "running"
        before = {p: p.read_bytes() for p in (run / ".hydra").iterdir()}
        process = start(tmp_path, "resume=run")
    finish(process)
    assert (run / "model.safetensors").read_bytes() == (
        uninterrupted / "model.safetensors"
    ).read_bytes()
    assert figures(run) == figures(uninterrupted)
    ours, theirs = (json.loads((r / "result.json").read_text()) for r in (run, uninterrupted))
    assert ours["tasks"] == theirs["tasks"]
    assert ours["status"] == "finished"
    assert {p: p.read_bytes() for p in (run / ".hydra").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path, uninterrupted):
    process = start(tmp_path, *WORDS)
    wait_for(tmp_path / "run" / "checkpoint" / "last.pt", process)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "resume=" in said
    assert "Traceback" not in said
    assert json.loads((tmp_path / "run" / "result.json").read_text())["status"] == "stopped"
    finish(start(tmp_path, "resume=run"))
    assert figures(tmp_path / "run") == figures(uninterrupted)
    weights = [(r / "model.safetensors").read_bytes() for r in (tmp_path / "run", uninterrupted)]
    assert weights[0] == weights[1]


def test_resume_takes_no_other_settings(mtl_train):
    done = mtl_train("resume=run", "seed=3")
    assert done.code == 2
    assert "seed=3" in done.err


def test_a_damaged_checkpoint_is_refused(mtl_train):
    done = mtl_train(*QUICK, "hydra.run.dir=run")
    assert done.code == 0, done.err
    path = done.cwd / "run" / "checkpoint" / "last.pt"
    path.write_bytes(path.read_bytes()[:-50])
    result = done.cwd / "run" / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"running"'))
    again = mtl_train("resume=run")
    assert again.code == 2
    assert "last.pt" in again.err


def test_a_run_that_another_process_works_on_is_left_alone(mtl_train):
    done = mtl_train(*QUICK, "hydra.run.dir=run")
    result = done.cwd / "run" / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"running"'))
    before = result.read_bytes()
    with (done.cwd / "run" / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        again = mtl_train("resume=run")
    assert again.code == 2
    assert "in use" in again.err
    assert result.read_bytes() == before
    assert mtl_train("resume=run").code == 0


def test_resuming_a_finished_run_changes_nothing(mtl_train):
    done = mtl_train(*QUICK, "hydra.run.dir=run")
    before = (done.cwd / "run" / "result.json").read_bytes()
    again = mtl_train("resume=run")
    assert again.code == 0, again.err
    assert (done.cwd / "run" / "result.json").read_bytes() == before
    assert "sst" in again.out


def test_a_new_run_never_overwrites_an_old_one(mtl_train):
    done = mtl_train(*QUICK, "hydra.run.dir=run")
    before = {p: p.read_bytes() for p in (done.cwd / "run").rglob("*") if p.is_file()}
    again = mtl_train(*QUICK, "hydra.run.dir=run", "seed=1")
    assert again.code == 2
    assert "run, which holds a run" in again.err
    assert {p: p.read_bytes() for p in (again.cwd / "run").rglob("*") if p.is_file()} == before
