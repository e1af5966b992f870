"""Small sweeps on tiny trainings, and what they have left."""

import json
from pathlib import Path

import optuna

from support import QUICK

SMALL = (*QUICK, "encoder.layers=3", "trainer.eval_every=2")
GRID = ("-m", *SMALL, "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid",
        "hydra.sweeper.depths=[[split]]", "hydra.sweeper.n_trials=null")  # fmt: skip
TPE = ("-m", *SMALL, "hydra/sweeper=optuna", "hydra.sweeper.sampler.seed=1", "split=range(0,4)",
       "optimizer.lr=interval(1e-4,1e-2)")  # fmt: skip
KEEP = ("score.objective=keep", "score.pairs=1")
FOLDER = Path("outputs/sweeps/sweep")


def study(folder: Path = FOLDER, name: str = "sweep") -> optuna.Study:
    return optuna.load_study(study_name=name, storage=f"sqlite:///{folder}/study.db")


def states(folder: Path = FOLDER) -> list[str]:
    return [trial.state.name for trial in study(folder).trials]


def results(folder: Path = FOLDER) -> dict[int, dict]:
    return {
        int(path.parent.name): json.loads(path.read_text())
        for path in folder.glob("[0-9]*/result.json")
    }
