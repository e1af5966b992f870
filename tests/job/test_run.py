"""A run's four stages, and how each way of ending is recorded."""

import json
from contextlib import contextmanager
from shutil import rmtree

import pytest
from safetensors.torch import load_file

from mtl_sharing.errors import FolderInUse, Pruned, UserError
from mtl_sharing.job import run as run_module
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.run import run_job
from mtl_sharing.job.spec import resolve_spec, start_on_machine
from mtl_sharing.job.stages import Hooks, prepare, train
from mtl_sharing.run_folder.lock import hold
from mtl_sharing.tracking.trackers import Trackers
from support import QUICK, load_config

WORDS = (*QUICK, "encoder.layers=2", "sharing.plan=S1-I1", "trainer.device=cpu",
         "trainer.eval_every=2", "score.clock=flops")  # fmt: skip


def status_of(folder):
    return json.loads((folder / "result.json").read_text())["status"]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Inputs that all runs of this file share."""
    run_spec = start_on_machine(resolve_spec(load_config(*WORDS)))
    return load_inputs(run_spec, tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def hooks_with(inputs):
    """Hooks that load nothing anew and draw nothing."""
    return lambda **hooks: Hooks(load=lambda *_: inputs, curves=False, **hooks)


def test_the_hooks_are_called_in_their_order(tmp_path, hooks_with):
    calls = []

    @contextmanager
    def held():
        calls.append("held")
        yield
        calls.append("released")

    hooks = hooks_with(
        on_cost=lambda savings: calls.append(savings.memory > 1),
        on_evaluation=lambda share, evaluation: calls.append(share),
        held=held,
    )
    result = run_job(load_config(*WORDS), tmp_path, hooks)
    assert calls == ["held", True, 0.5, 1.0, "released"]
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert list(result)[:2] == ["schema", "status"]
    assert result["status"] == "finished"
    assert not (tmp_path / "curves.png").exists()


def test_training_releases_the_starting_weights(tmp_path, hooks_with):
    run_spec = start_on_machine(resolve_spec(load_config(*WORDS)))
    prepared = prepare(run_spec, tmp_path, hooks_with())
    assert prepared.inputs.tower
    trained = train(prepared, Trackers({}))
    assert not prepared.inputs.tower
    weights = load_file(tmp_path / "model.safetensors")
    assert set(weights) == set(trained.network.state_dict())
    assert [row["step"] for row in trained.history] == [2, 4]


def test_a_loss_that_is_no_number_is_a_recorded_failure(tmp_path, hooks_with):
    with pytest.raises(UserError, match="loss of task"):
        run_job(load_config(*WORDS, "optimizer.lr=1e30", "optimizer.clip=null"), tmp_path,
                hooks_with())  # fmt: skip
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["status"] == "failed"
    assert "loss of task" in record["reason"]


@pytest.mark.parametrize("stage", ["on_cost", "on_evaluation"])
def test_a_pruned_run_says_why(tmp_path, hooks_with, stage):
    def prune(*_):
        raise Pruned(50, 0.25, "behind")

    with pytest.raises(Pruned):
        run_job(load_config(*WORDS), tmp_path, hooks_with(**{stage: prune}))
    record = json.loads((tmp_path / "result.json").read_text())
    assert record["status"] == "pruned"
    assert record["pruned"] == {"percent": 50, "performance": 0.25, "reason": "behind"}


def test_an_interrupt_is_recorded_and_the_run_goes_on(tmp_path, hooks_with):
    def interrupt(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(load_config(*WORDS), tmp_path / "run", hooks_with(on_evaluation=interrupt))
    assert status_of(tmp_path / "run") == "stopped"
    run_job(load_config(*WORDS), tmp_path / "run", hooks_with())
    run_job(load_config(*WORDS), tmp_path / "other", hooks_with())
    assert status_of(tmp_path / "run") == "finished"
    weights, others = (load_file(tmp_path / n / "model.safetensors") for n in ("run", "other"))
    assert all(weights[name].equal(others[name]) for name in weights)


def test_a_folder_in_use_is_left_alone(tmp_path, hooks_with):
    with hold(tmp_path), pytest.raises(FolderInUse, match="which is in use"):
        run_job(load_config(*WORDS), tmp_path, hooks_with())
    assert not (tmp_path / "result.json").exists()


@pytest.mark.parametrize("error", [RuntimeError("broken on purpose"), KeyboardInterrupt()])
def test_a_full_disk_does_not_hide_what_went_wrong(
    tmp_path, hooks_with, monkeypatch, caplog, error
):
    write = run_module.replace_listed_json

    def fail(folder, name, value):
        if value.get("status") in ("failed", "stopped"):
            raise OSError("no space left")
        write(folder, name, value)

    monkeypatch.setattr(run_module, "replace_listed_json", fail)

    def crash(*_):
        raise error

    with pytest.raises(type(error)):
        run_job(load_config(*WORDS), tmp_path, hooks_with(on_evaluation=crash))
    assert "the end of the run could not be written" in caplog.text
    assert status_of(tmp_path) == "running"


def test_an_interrupt_after_the_last_result_takes_nothing_back(tmp_path, hooks_with, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trackers, "conclude", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_job(load_config(*WORDS), tmp_path, hooks_with())
    assert status_of(tmp_path) == "finished"


def test_a_folder_that_is_removed_in_mid_run_ends_it_and_is_not_made_again(tmp_path, hooks_with):
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(UserError, match=r"run: found nothing: it was removed or moved; allowed"):
        run_job(load_config(*WORDS), folder, hooks_with(on_evaluation=lambda *_: rmtree(folder)))
    assert not folder.exists()
