"""A study goes on with the files that it began with: other data would mix two sets of metrics."""

import shutil
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from mtl_sharing.config import Config
from mtl_sharing.errors import UserError
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder
from mtl_sharing.objectives.settings import DistillationConfig
from mtl_sharing.sweep.study import inputs
from mtl_sharing.sweep.study.attributes import VERSION
from mtl_sharing.sweep.study.study import check_made_for
from support import load_config
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


def test_a_key_that_a_study_from_before_lacks_had_its_default():
    old = {VERSION: 3, "settings": asdict(Config())}
    del old["settings"]["distillation"]
    check_made_for("one", old, {VERSION: 3, "settings": asdict(Config())})
    other = asdict(replace(Config(), distillation=DistillationConfig(weight=0.5)))
    with pytest.raises(UserError, match=r"distillation.weight 0.0, not 0.5"):
        check_made_for("one", old, {VERSION: 3, "settings": other})


@pytest.mark.slow
def test_a_study_of_another_version_of_the_results_is_refused(mtl_train, begun, monkeypatch):
    monkeypatch.setattr("mtl_sharing.sweep.space.spec.RESULTS_VERSION", 1)
    done = mtl_train(*WORDS, "hydra.sweeper.n_trials=2")
    assert done.code == 2
    assert "a study of another version" in done.err
    assert "hydra.sweeper.study_name=NAME" in done.err
    assert states() == ["COMPLETE"]


@pytest.fixture
def trials(tmp_path):
    """Trials of a sweep over two local checkpoints."""
    source = load_config().encoder.checkpoint
    trials = []
    for name in ("a", "b"):
        shutil.copytree(checkpoint_folder(source), tmp_path / name)
        config = load_config(f"encoder.checkpoint={tmp_path / name}")
        trials.append(resolve_spec(config))
    return trials


def remove(path):
    path.unlink()


CHANGES = {
    "an option of the tokenizer is added": (
        "a/tokenizer_config.json", lambda path: path.write_text('{"do_lower_case": false}'),
        "a/tokenizer_config.json, 0 lines, 24 bytes, .*, where the sweep began with no file"),
    "tokens are added": (
        "a/added_tokens.json", lambda path: path.write_text("{}"),
        "a/added_tokens.json, 0 lines, 2 bytes, .*, where the sweep began with no file"),
    "the weights are gone": (
        "a/model.safetensors", remove, "a/model.safetensors, no file, where the sweep began"),
    "the vocabulary is another": (
        "a/tokenizer.json", lambda path: path.write_text("{}"), "a/tokenizer.json, 0 lines"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "change", "message"), CHANGES.values(), ids=CHANGES)
def test_the_files_of_a_checkpoint_are_compared_as_a_whole(tmp_path, trials, name, change, message):
    study = SimpleNamespace(began_with=inputs.study_inputs(trials))
    inputs.check_study_inputs(study, trials)
    change(tmp_path / name)
    inputs.check_study_inputs(study, trials[1:])  # does not read it
    for ours in (trials, trials[:1]):
        with pytest.raises(UserError, match=rf"encoder\.checkpoint: found .*{message}"):
            inputs.check_study_inputs(study, ours)


def test_what_a_study_has_not_begun_with_is_not_compared(trials):
    study = SimpleNamespace(began_with=inputs.study_inputs(trials[:1]))
    inputs.check_study_inputs(study, trials)
