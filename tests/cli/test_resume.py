"""A stopped run goes on as if it had never stopped, bit for bit on a CPU."""

import csv
import json
import random
import signal
import subprocess
import time
from copy import deepcopy
from functools import reduce
from pathlib import Path

import filelock
import pytest

from support import QUICK, interrupted_at_step, rewrite, start, wait_for

STEPS = 24
# A regime with every part there is.
REGIME = ("encoder.layers=4", "sharing=progressive", "sharing.plan=F1-T1-S1-I1",
          "sharing.lanes.fusion=attention", "sharing.lanes.task_dropout=0.2",
          "sharing.pals.size=6")  # fmt: skip
WORDS = (*QUICK, *REGIME, f"trainer.max_steps={STEPS}", "trainer.eval_every=3",
         "trainer.threads=1", "encoder.dropout=0.1", "sampler=proportional",
         "hydra.run.dir=run")  # fmt: skip


def metrics(run: Path) -> list[dict[str, str]]:
    """metrics.csv without its wall times."""
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k != "train_s"} for row in csv.DictReader(file)]


def check_equal(run: Path, uninterrupted: Path) -> None:
    """Holds that both runs finished with the same weights, metrics and results."""
    ours, theirs = (json.loads((r / "result.json").read_text()) for r in (run, uninterrupted))
    assert ours["status"] == theirs["status"] == "finished"
    assert ours["tasks"] == theirs["tasks"]
    assert metrics(run) == metrics(uninterrupted)
    ours, theirs = ((r / "model.safetensors").read_bytes() for r in (run, uninterrupted))
    assert ours == theirs


@pytest.fixture(scope="module")
def uninterrupted(command_in, tmp_path_factory) -> Path:
    cwd = tmp_path_factory.mktemp("uninterrupted")
    with command_in(cwd) as mtl_train:
        done = mtl_train(*WORDS)
    assert done.code == 0, done.err
    return cwd / "run"


def test_kill_and_resume_gives_the_same_run(mtl_train, tmp_path, uninterrupted):
    """Killed at a moment that is drawn anew each time, then left to end."""
    run = tmp_path / "run"
    process = start(tmp_path, *WORDS)
    wait_for(run / "checkpoint" / "last.pt", process)
    time.sleep(random.uniform(0, 0.2))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert json.loads((run / "result.json").read_text())["status"] == "running"
    before = {p: p.read_bytes() for p in (run / ".hydra").iterdir()}
    done = mtl_train("resume=run")
    assert done.code == 0, done.err
    check_equal(run, uninterrupted)
    assert {p: p.read_bytes() for p in (run / ".hydra").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_ctrl_c_saves_and_says_how_to_go_on(mtl_train, tmp_path, uninterrupted):
    """Interrupted twice: in the run's own start, and once it goes on."""
    for step, arguments in ((3, WORDS), (15, ("resume=run",))):
        with interrupted_at_step(step):
            stopped = mtl_train(*arguments)
        assert stopped.code == 130, stopped.err
        assert "resume=" in stopped.err
        assert "Traceback" not in stopped.err
        assert stopped.run_result("run")["status"] == "stopped"
        assert metrics(tmp_path / "run")[-1]["step"] == str(step)
    done = mtl_train("resume=run")
    assert done.code == 0, done.err
    assert f"going on after step 15 of {STEPS}" in done.err
    check_equal(tmp_path / "run", uninterrupted)


def test_resume_takes_no_other_settings(mtl_train, copied_run):
    done = mtl_train("resume=run", "seed=3")
    assert done.code == 2
    assert "seed=3" in done.err


def unfinish(run: Path) -> None:
    """Makes a finished run look like one that still trains."""
    result = run / "result.json"
    result.write_text(result.read_text().replace('"finished"', '"running"'))


def test_a_damaged_checkpoint_is_refused(mtl_train, copied_run):
    path = copied_run / "checkpoint" / "last.pt"
    path.write_bytes(path.read_bytes()[:-50])
    unfinish(copied_run)
    again = mtl_train("resume=run")
    assert again.code == 2
    assert "last.pt" in again.err


DAMAGED = {
    "settings.json": ("{", "[]", "{}", '{"schema": 1}', b"\xff\xfe", "[" * 200_000,
                      '{"schema": 1, "settings": {"sead": 3}, "interpolated": {}}',
                      '{"schema": 1, "settings": {"seed": "x"}, "interpolated": {}}',
                      '{"schema": 1, "settings": {"seed": ' + '[' * 400 + ']' * 400
                      + '}, "interpolated": {}}',
                      '{"schema": 1, "settings": {"seed": 3}, "interpolated": {"seed": 3}}',
                      '{"schema": 1, "settings": {"seed": 3}, "interpolated": {"seed; ls": '
                      '{"text": "a", "salt": "b", "sha256": "c"}}}'),
    "config.json": ("{", "[]", "{}", '{"precision": 3}', b"\xff\xfe",
                    '{"precision": "fp32", "threads": true}'),
    "inputs.json": ("{", "[]", "{}"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_file_of_the_run_is_named(mtl_train, copied_run, name):
    unfinish(copied_run)
    path = copied_run / name
    for content in DAMAGED[name]:
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        done = mtl_train("resume=run")
        assert done.code == 2, done.out
        (message,) = [line for line in done.err.splitlines() if line.startswith("mtl-train: ")]
        assert name in message


def test_a_run_that_another_process_works_on_is_left_alone(mtl_train, copied_run):
    unfinish(copied_run)
    before = (copied_run / "result.json").read_bytes()
    with filelock.FileLock(copied_run / ".lock"):
        again = mtl_train("resume=run")
    assert again.code == 2
    assert "in use" in again.err
    assert (copied_run / "result.json").read_bytes() == before
    assert mtl_train("resume=run").code == 0


def contents(folder: Path) -> dict[Path, bytes]:
    return {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_finished_run_is_neither_resumed_nor_overwritten(mtl_train, copied_run):
    result = (copied_run / "result.json").read_bytes()
    resumed = mtl_train("resume=run")
    assert resumed.code == 0, resumed.err
    assert (copied_run / "result.json").read_bytes() == result
    assert "sst" in resumed.out
    before = contents(copied_run)
    again = mtl_train(*QUICK, "hydra.run.dir=run", "seed=1")
    assert again.code == 2
    assert "run, which holds a run" in again.err
    assert contents(copied_run) == before


def test_a_finished_result_that_lacks_a_part_is_named(mtl_train, copied_run):
    result = json.loads((copied_run / "result.json").read_text())
    del result["performance"]
    rewrite(copied_run / "result.json", json.dumps(result))
    done = mtl_train("resume=run")
    assert done.code == 2
    assert "run/result.json: found no performance; allowed:" in done.err


def test_git_is_asked_where_the_user_is_and_not_where_the_run_says(mtl_train, copied_run, tmp_path):
    """Git obeys the config of the folder that it is asked in."""
    strange, marker = tmp_path / "strange", tmp_path / "marker"
    strange.mkdir()
    who = ("-c", "user.name=n", "-c", "user.email=e")
    for words in (("init", "-q"), ("commit", "-q", "--allow-empty", "-m", "theirs"),
                  ("config", "core.fsmonitor", f"touch '{marker}'; false")):  # fmt: skip
        subprocess.run(["git", "-C", strange, *who, *words], check=True)
    settings = json.loads((copied_run / "settings.json").read_text())
    rewrite(copied_run / "settings.json", json.dumps(settings | {"cwd": str(strange)}))
    unfinish(copied_run)
    done = mtl_train("resume=run")
    assert done.code == 0, done.err
    assert done.run_result("run")["git"] is None  # the user's folder is no checkout
    assert not marker.exists()


@pytest.mark.parametrize("prefix", ["+", "++"])
def test_resume_with_a_plus_is_resume(mtl_train, copied_run, prefix):
    done = mtl_train(f"{prefix}resume=run")
    assert done.code == 0, done.err
    assert f"\nrun          {copied_run}\nnext         mtl-report {copied_run}\n" in done.out


def test_resume_in_a_config_file_is_refused(mtl_train, copied_run, tmp_path):
    (tmp_path / "mine.yaml").write_text("defaults: [train, _self_]\nresume: run\n")
    done = mtl_train("--config-dir", str(tmp_path), "--config-name", "mine", *QUICK)
    assert done.code == 2
    assert "resume: found run; allowed: mtl-train resume=RUN_DIR on the command line" in done.err


@pytest.mark.slow
@pytest.mark.parametrize("path", ["score", "kept", "params.shared", "against", "objectives",
                                  "multipliers", "baseline", "scored_by", "untrained",
                                  "tasks.sst.floor", "tasks.sst.undefined"])  # fmt: skip
def test_a_result_with_other_kinds_of_values_is_one_message_or_printed(mtl_train, copied_run, path):
    whole = json.loads((copied_run / "result.json").read_text())
    *groups, name = path.split(".")
    for value in ("text", None, 5, [1], {"a": 1}):
        result = deepcopy(whole)
        reduce(dict.__getitem__, groups, result)[name] = value
        rewrite(copied_run / "result.json", json.dumps(result))
        done = mtl_train("resume=run")
        assert done.code in (0, 2), done.err
        assert done.code == 0 or "result.json: found " in done.err
