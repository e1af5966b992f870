"""Sweeps on a real SLURM of two nodes with the study in a real PostgreSQL."""

import os
import signal
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from cluster.services import NODES, processes_with, wait_until
from cluster.sweeping import Sweeping, begins, check_left

pytestmark = pytest.mark.cluster

# Two values of another key make eight points of the four splits.
EIGHT = ("optimizer.lr=1e-4,2e-4", "hydra.sweeper.reference=false", "hydra.sweeper.n_jobs=8")


def test_eight_trials_outlive_a_killed_job_and_a_stopped_node(sweeping: Sweeping):
    steps = 1500
    sweep = sweeping.start(*EIGHT, f"trainer.max_steps={steps}")
    wait_until(lambda: sweeping.begun(8), 300, "eight trainings at once")
    slurm = sweeping.slurm
    assert len(slurm.running()) == 8 and all(len(slurm.running(node)) == 4 for node in NODES)
    victim = slurm.running("n1")[0]
    (process,) = slurm.trainings(victim)
    os.kill(process, signal.SIGKILL)
    slurm.stop_node("n2")
    sweeping.ends(sweep, 900)
    check_left(sweeping, 8, steps)
    assert all(trial.state == TrialState.COMPLETE for trial in sweeping.trials())
    # Five were cut off; all of them went on from a checkpoint and none began anew.
    starts = [begins(sweeping.place / str(number)) for number in range(8)]
    cut = [lines for lines in starts if len(lines) > 1]
    assert len(cut) == 5
    assert all(sum("going on after step" in line for line in lines) >= 1 for lines in cut)
    assert "lost" in sweeping.said() or "no heartbeat" in sweeping.said()
    assert not leaks(sweeping)


def leaks(sweeping: Sweeping) -> list[Path]:
    """Files of the sweep and of SLURM that hold the database's password."""
    secrets = [sweeping.postgres.password.encode(), sweeping.postgres.url.encode()]
    secrets.append(sweeping.postgres.url.split(":")[2].split("@")[0].encode())
    files = [*sweeping.folder.rglob("*"), *sweeping.slurm.folder.glob("*.log")]
    found = [path for path in files if path.is_file()]
    assert any(path.suffix == ".pkl" for path in found)
    return [path for path in found if any(secret in path.read_bytes() for secret in secrets)]


def test_a_killed_sweep_goes_on(sweeping: Sweeping):
    steps, words = 900, (*EIGHT, "hydra.sweeper.n_jobs=4")
    sweep = sweeping.start(*words, f"trainer.max_steps={steps}")
    wait_until(lambda: sweeping.begun(4), 300, "four trainings at once")
    sweep.kill()
    sweep.wait()
    before = {trial.number: trial.state for trial in sweeping.trials()}
    assert TrialState.RUNNING in before.values()
    typed = sweeping.postgres.url.encode()
    # The jobs live on. Their command lines have nothing of the database.
    jobs = processes_with({"SLURM_CONF": sweeping.slurm.environment["SLURM_CONF"]})
    commands = [Path(f"/proc/{pid}/cmdline") for pid in jobs]
    assert sum(b"_submit" in path.read_bytes() for path in commands if path.exists()) >= 4
    assert not any(typed in path.read_bytes() for path in commands if path.exists())
    again = sweeping.start(*words, f"trainer.max_steps={steps}")
    sweeping.ends(again, 900)
    check_left(sweeping, 8, steps)
    assert all(trial.state == TrialState.COMPLETE for trial in sweeping.trials())


def test_a_time_limit_is_no_end(sweeping: Sweeping):
    # SLURM looks every half minute, so the signal comes in the first minute of two.
    limits = ("hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=60")
    words = ("hydra.sweeper.reference=false", "split=1,2", "trainer.eval_every=100")
    steps = 30_000
    sweep = sweeping.start(*words, *limits, f"trainer.max_steps={steps}",
                           "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=1")  # fmt: skip
    folder = sweeping.place / "0"
    log = folder / "train.log"
    wait_until(lambda: log.is_file() and "going on after step" in log.read_text(), 300,
               "a training that went on after its time limit")  # fmt: skip
    jobs = sweeping.slurm.jobs()
    assert len(jobs) == 1, "queued again by SLURM, not started anew by the sweep"
    assert "lost" not in sweeping.said() and "no heartbeat" not in sweeping.said()
    # It went on where it was stopped, which is no evaluation's step.
    (line,) = [line for line in log.read_text().splitlines() if "going on after step" in line]
    stopped = int(line.split("after step ")[1].split()[0])
    assert stopped > 0
    assert sweep.poll() is None


def test_a_cancelled_and_a_preempted_job_go_on(sweeping: Sweeping):
    steps = 6000
    sweep = sweeping.start("hydra.sweeper.reference=false", "split=1,2", "trainer.eval_every=200",
                           "hydra.sweeper.n_jobs=1", "hydra.sweeper.n_trials=1",
                           f"trainer.max_steps={steps}")  # fmt: skip
    folder, slurm = sweeping.place / "0", sweeping.slurm

    def went_on(times: int) -> bool:
        return sum("going on after step" in line for line in begins(folder)) == times

    wait_until(lambda: sweeping.steps(0) > 0, 120, "a training")
    (first,) = slurm.running()
    slurm.call("scancel", first)
    wait_until(lambda: went_on(1), 120, "a cancelled job that goes on")
    # As preemption does: the job is told to end, and SLURM and the sweep both start it again.
    (second,) = slurm.running()
    slurm.call("scontrol", "requeue", second)
    wait_until(lambda: went_on(2), 120, "a preempted job that goes on")
    out = folder.parent / ".submitit" / second / f"{second}_0_log.out"
    wait_until(lambda: out.read_text().count("Starting with") == 2, 120, "SLURM's own start")
    sweeping.ends(sweep, 1800)
    check_left(sweeping, 1, steps)
    assert sweeping.trials()[0].state == TrialState.COMPLETE
    assert went_on(2) and len(slurm.jobs()) == 4  # the last one measures the winner
    # Stopped where the signal came, not where it was evaluated last.
    on = [line for line in begins(folder) if "going on" in line]
    stopped = [int(line.split("after step ")[1].split()[0]) for line in on]
    assert stopped == sorted(set(stopped)) and any(step % 200 for step in stopped)


def test_two_sweeps_at_once_share_a_study(sweeping: Sweeping):
    steps, words = 300, (*EIGHT, "hydra.sweeper.n_jobs=2")
    sweeps = [sweeping.start(*words, f"trainer.max_steps={steps}") for _ in range(2)]
    for sweep in sweeps:
        sweeping.ends(sweep, 600)
    check_left(sweeping, 8, steps)
    assert all(trial.state == TrialState.COMPLETE for trial in sweeping.trials())
    # Nobody did the other's work again, and both did some.
    assert all(len(begins(sweeping.place / str(number))) == 1 for number in range(8))
    assert len(sweeping.slurm.jobs()) == 9  # the last one measures the winner, for both


def test_a_database_may_go_away_for_a_while(sweeping: Sweeping):
    steps = 900
    sweep = sweeping.start(*EIGHT, "hydra.sweeper.n_jobs=4", f"trainer.max_steps={steps}")
    wait_until(lambda: sweeping.begun(4), 300, "four trainings at once")
    sweeping.postgres.fall()
    # Longer than the silence after which a trial counts as lost.
    time.sleep(25)
    sweeping.postgres.serve()
    sweeping.ends(sweep, 900)
    check_left(sweeping, 8, steps)
    assert all(trial.state == TrialState.COMPLETE for trial in sweeping.trials())
    assert "responds again" in sweeping.said()
    assert all(len(begins(sweeping.place / str(number))) == 1 for number in range(8))
