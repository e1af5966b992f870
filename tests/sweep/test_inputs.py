"""A study goes on with the files that it began with: other data would mix two sets of metrics."""

import pytest

from sweep_runs import SMALL, results, states

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


@pytest.mark.slow
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
def test_a_study_of_another_version_of_the_results_is_refused(mtl_train, begun, monkeypatch):
    monkeypatch.setattr("mtl_sharing.sweep.space.spec.RESULTS_VERSION", 1)
    done = mtl_train(*WORDS, "hydra.sweeper.n_trials=2")
    assert done.code == 2
    assert "a study of another version" in done.err
    assert "hydra.sweeper.study_name=NAME" in done.err
    assert states() == ["COMPLETE"]
