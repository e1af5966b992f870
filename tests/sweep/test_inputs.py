"""A study goes on with the files that it began with: other data would mix two sets of metrics."""

import optuna
import pytest

from sweep_runs import SMALL, results, states, study

TABLE = "text,label\n" + "a fine film,good\na dull film,bad\n" * 9
TASK = "kind: classes\nlabels: [bad, good]\ntrain: [train.csv]\ndev: [dev.csv]\n"
WORDS = ("-m", *SMALL, "hydra/sweeper=optuna", "hydra/sweeper/sampler=grid", "seed=1,2",
         "hydra.sweeper.reference=false", "score.clock=flops", "--config-dir=mine",
         "+task@task.rev=rev", "suite.tasks=[rev]", "data_dir=.")  # fmt: skip


@pytest.fixture
def begun(mtl_train, tmp_path):
    """A sweep that has trained one of its trials."""
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "rev.yaml").write_text(TASK)
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text(TABLE)
    done = mtl_train(*WORDS, "hydra.sweeper.n_trials=1")
    assert done.code == 0, done.err
    return tmp_path


def test_replaced_data_are_refused(mtl_train, begun, monkeypatch):
    (begun / "train.csv").write_text(TABLE + TABLE[11:])
    before = states()
    done = mtl_train(*WORDS, "hydra.sweeper.n_trials=2")
    assert done.code == 2
    assert "task.rev.train: found train.csv, 37 lines" in done.err
    assert "where the sweep began with 19 lines" in done.err
    assert states() == before
    # Replaced after the second start has compared them: the trial's own comparison fails it.
    monkeypatch.setattr("mtl_sharing.sweep.run.check_study_inputs", lambda *arguments: None)
    mtl_train(*WORDS, "hydra.sweeper.n_trials=2")
    assert states() == ["COMPLETE", "FAIL"]
    assert results()[1]["reason"].startswith("task.rev.train: found train.csv, 37 lines")


@pytest.mark.slow
def test_a_study_of_an_earlier_version_goes_on(mtl_train, begun):
    kept = study()
    made_for = kept.user_attrs["made for"]
    assert set(made_for.pop("inputs")) == {"task.rev.train: train.csv", "task.rev.dev: dev.csv"}
    optuna.logging.disable_propagation()
    kept.set_user_attr("made for", made_for)
    (begun / "train.csv").write_text(TABLE + TABLE[11:])
    done = mtl_train(*WORDS, "hydra.sweeper.n_trials=2")
    assert done.code == 0, done.err
    assert "is not compared" in done.out + done.err
    assert states() == ["COMPLETE", "COMPLETE"]
