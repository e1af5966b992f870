"""Sweeps of tiny trainings as SLURM jobs, and what they must have left."""

import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import optuna
import pandas as pd
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.pool import NullPool

from cluster.services import Postgres, Slurm, wait_until
from support import QUICK

COMMAND = Path(sys.executable).with_name("mtl-train")
CLUSTER = (
    "+cluster=slurm",
    "hydra.launcher.partition=debug",
    "hydra.launcher.mem_gb=1",
    "hydra.launcher.cpus_per_task=1",
    "hydra.sweeper.grace_s=15",
)
TINY = (*QUICK, "encoder.layers=3", "score.objective=performance")


@dataclass
class Sweeping:
    """Starts sweeps in one folder, all with the same study."""

    folder: Path
    postgres: Postgres
    slurm: Slurm
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The study's, which no other test has."""
        return self.folder.name

    @property
    def place(self) -> Path:
        """The sweep's folder."""
        return self.folder / "outputs" / "sweeps" / self.name

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Starts a sweep of every split point; what it says goes into a file of its own."""
        command = [COMMAND, "-m", "+sweep=split_points", *CLUSTER, *TINY, *words]
        command += [f"hydra.sweeper.study_name={self.name}"]
        command += [f"hydra.sweeper.storage={self.postgres.url}"]
        environment = os.environ | self.slurm.environment | {"OMP_NUM_THREADS": "1"}
        with (self.folder / f"console_{len(self.started)}").open("wb") as console:
            process = subprocess.Popen(
                command, cwd=self.folder, env=environment, stdout=console, stderr=console
            )
        self.started.append(process)
        return process

    def stop(self) -> None:
        """Ends what still runs."""
        for process in self.started:
            process.kill()
            process.wait()

    def said(self, number: int = 0) -> str:
        """What a sweep has printed."""
        return (self.folder / f"console_{number}").read_text(errors="replace")

    def ends(self, process: subprocess.Popen[bytes], seconds: float) -> None:
        """Waits for a sweep to end well."""
        wait_until(lambda: process.poll() is not None, seconds, "the end of the sweep")
        said = self.said(self.started.index(process))
        assert process.returncode == 0, said

    def trials(self) -> list[FrozenTrial]:
        """The study's, as they stand."""
        # No connection stays.
        storage = optuna.storages.RDBStorage(self.postgres.url, {"poolclass": NullPool})
        found = optuna.load_study(study_name=self.name, storage=storage).trials
        storage.engine.dispose()
        return found

    def training(self) -> dict[int, list[int]]:
        """For each job that trains by now (has taken a step), its processes."""
        return {int(job): self.slurm.trainings(job) for job in self.slurm.running()}

    def steps(self, trial: int) -> int:
        """Steps that a trial has done by its latest row."""
        path = self.place / str(trial) / "metrics.csv"
        return int(pd.read_csv(path)["step"].max()) if path.is_file() else 0

    def begun(self, trials: int) -> bool:
        """Whether so many trials have been evaluated at least once."""
        return sum(self.steps(number) > 0 for number in range(trials)) == trials


def check_left(sweeping: Sweeping, trials: int, steps: int) -> None:
    """Every trial has ended, none is there twice, and each was trained once, from 0 to its end."""
    found = sweeping.trials()
    assert [trial.number for trial in found] == list(range(trials))
    ended = {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}
    assert {trial.state for trial in found} <= ended
    identities = Counter(t.user_attrs["identity"] for t in found if "same as" not in t.user_attrs)
    assert set(identities.values()) == {1}
    trained = [t.number for t in found if "same as" not in t.user_attrs]
    folders = [path for path in sweeping.place.iterdir() if path.name.isdigit()]
    assert sorted(int(path.name) for path in folders) == trained
    for trial in found:
        if trial.number in trained and trial.state == TrialState.COMPLETE:
            check_training(sweeping.place / str(trial.number), steps)
    table = pd.read_csv(sweeping.place / "sweep.csv")
    assert list(table["trial"]) == list(range(trials))
    assert list(table["state"]) == [trial.state.name for trial in found]


def check_training(folder: Path, steps: int) -> None:
    """One training: each of its evaluations stands there once, and it went to the end."""
    assert json.loads((folder / "result.json").read_text())["status"] == "finished"
    found = pd.read_csv(folder / "metrics.csv")["step"]
    assert found.is_monotonic_increasing and found.is_unique
    assert found.iloc[-1] == steps


def begins(folder: Path) -> list[str]:
    """How a run began each time: at its start or after a step, by its log."""
    lines = (folder / "train.log").read_text().splitlines()
    marks = ("going on after step", "training ")
    return [line for line in lines if any(mark in line for mark in marks)]
