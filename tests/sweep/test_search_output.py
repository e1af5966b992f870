"""What a search leaves and prints, on trainings that are copied instead of made."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mtl_sharing.run_folder.decision_file import read_decision
from mtl_sharing.sweep.jobs import trial_job
from support import QUICK, rewrite
from sweep_runs import FOLDER, study

SEARCH = ("-m", *QUICK, "encoder.layers=6", "hydra/sweeper=optuna", "hydra/sweeper/sampler=search",
          "hydra.sweeper.depths=[[split]]", "score.objective=keep", "score.clock=flops",
          "hydra.sweeper.n_trials=24")  # fmt: skip
# By shared layers: three of six may be shared.
CURVE = (0.80, 0.80, 0.80, 0.80, 0.75, 0.72, 0.70)


pytestmark = pytest.mark.slow


@pytest.fixture
def copied(hybrid_run, monkeypatch):
    """Trials copy a finished run and have the performance of :data:`CURVE`, with noise."""

    def run_job(config, folder, hooks):
        shared = 0 if config.sharing.name == "individual" else config.split
        noise = np.random.default_rng([config.seed, shared]).normal(0, 0.002)
        regime = f"S{shared}-I{6 - shared}".replace("S0-", "").replace("-I0", "")
        shutil.copytree(hybrid_run.folder, folder, dirs_exist_ok=True)
        changes = {"performance": CURVE[shared] + noise, "seed": config.seed, "plan": regime}
        result = json.loads((folder / "result.json").read_text()) | changes
        for task in result["tasks"].values():
            task["floor"] = -1.0
        rewrite(folder / "result.json", json.dumps(result))
        return result

    monkeypatch.setattr(trial_job, "run_job", run_job)
    measured = {"time": {"train": 1.5, "predict": 1.25}, "machine": {"device": "one"}}
    monkeypatch.setattr(trial_job, "measure", lambda *arguments: measured)


@pytest.mark.usefixtures("copied")
def test_a_search_answers_and_again_without_a_training(mtl_train):
    done = mtl_train(*SEARCH)
    assert done.code == 0, done.err
    decision = read_decision(FOLDER)
    assert decision.decided and decision.regimes[decision.chosen].label == "S3-I3"
    assert decision.sentence.startswith("S3-I3 keeps 99% of separate models with probability .9")
    for text in (decision.sentence, decision.dev.text, "I6 (reference)", "1.25 x to predict",
                 "decision.json"):  # fmt: skip
        assert text in done.out
    check_table(decision)
    check_lines(done.err)
    again = mtl_train(*SEARCH)
    assert again.code == 0, again.err
    assert decision.sentence in again.out and read_decision(FOLDER) == decision


def check_table(decision):
    """The seeds and repeats of sweep.csv, and what is kept of the mean of the references."""
    table = pd.read_csv(FOLDER / "sweep.csv")
    trials = study().trials
    assert list(table["seed"]) == [trial.user_attrs["seed"] for trial in trials]
    for regime, same in table.groupby("regime"):
        first, *others = same["repeat_of"]
        assert np.isnan(first) and set(others) <= {same["trial"].iloc[0]}, regime
    references = table["performance"][table["regime"] == "I6"]
    assert len(references) >= 2
    kept = table["performance"] / references.mean()
    assert list(table["kept"]) == pytest.approx(list(kept))
    one = decision.regimes[decision.chosen]
    chosen = table[table["regime"] == "S3-I3"]
    assert list(chosen["trial"]) == list(one.trials) and list(chosen["seed"]) == list(one.seeds)


def check_lines(printed):
    """Each ended training shows its seed, and from the third on what is believed."""
    lines = [line for line in printed.splitlines() if line.startswith("trial ")]
    assert len(lines) == len(study().trials)
    for trial, line in zip(study().trials, lines, strict=True):
        assert f"  seed {trial.user_attrs['seed']}  " in line
        assert ("so far " in line) == (trial.number >= 2)
    assert lines[-1].partition("so far S3-I3 with probability .")[1]


@pytest.mark.usefixtures("copied", "pictures")
def test_the_chosen_regime_trains_again_without_a_seed_of_the_search(mtl_train, monkeypatch):
    monkeypatch.setattr("mtl_sharing.job.stages.draw_curves", lambda *arguments: None)
    assert mtl_train(*SEARCH).code == 0
    assert (FOLDER / "sweep.png").stat().st_size > 10_000
    text = (FOLDER / "best.yaml").read_text()
    assert "seed:" not in text and "split: 3" in text
    again = mtl_train("--config-dir", FOLDER, "--config-name", "best", "hydra.run.dir=again")
    assert again.code == 0, again.err
    result = json.loads(Path("again/result.json").read_text())
    assert (result["plan"], result["seed"]) == ("S3-I3", 0)


@pytest.mark.usefixtures("copied")
def test_an_interrupted_search_has_its_answer_so_far(mtl_train, monkeypatch):
    train, begun = trial_job.run_job, []

    def run_job(config, folder, hooks):
        begun.append(folder)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return train(config, folder, hooks)

    monkeypatch.setattr(trial_job, "run_job", run_job)
    stopped = mtl_train(*SEARCH)
    assert stopped.code not in (0, 2)
    decision = read_decision(FOLDER)
    assert not decision.decided and decision.dev is None
    assert [one.trials for one in decision.regimes if one.trials] == [(0,)]
    assert decision.sentence in stopped.out and "after 1 training" in decision.sentence
    assert (FOLDER / "best.yaml").is_file()


@pytest.mark.usefixtures("copied")
def test_a_search_without_an_answer_yet_writes_none(mtl_train, monkeypatch):
    def run_job(config, folder, hooks):
        raise KeyboardInterrupt

    monkeypatch.setattr(trial_job, "run_job", run_job)
    stopped = mtl_train(*SEARCH)
    assert stopped.code not in (0, 2)
    assert "no answer yet: separate models have not been trained" in stopped.out + stopped.err
    assert not (FOLDER / "decision.json").exists() and (FOLDER / "sweep.csv").is_file()
