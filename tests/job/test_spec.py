"""The spec of a run: a description without side effects, made ready for this machine on request."""

import logging

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.job import spec as spec_module
from mtl_sharing.job.preview import preview
from mtl_sharing.job.saved_settings import RunStart
from mtl_sharing.job.spec import resolve_spec, start_on_machine
from support import QUICK, load_config

WORDS = (*QUICK, "encoder.layers=2", "sharing.plan=S1-I1", "trainer.device=cpu")


def test_describing_has_no_side_effect(monkeypatch):
    for name in ("set_threads", "use_device", "choose_precision"):
        monkeypatch.setattr(spec_module, name, lambda *arguments: pytest.fail("a side effect"))
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    run_spec = resolve_spec(load_config(*WORDS, "trainer.threads=7", "trainer.precision=auto"))
    assert run_spec.runtime.precision == "auto"
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("overrides", "warning"),
    [
        ([], None),
        (["suite=planted", "encoder.checkpoint=null"], None),
        (["suite=cs224n", "encoder=minilm_l6"], None),
        (["suite=own", "+task@task.mine=sst"], None),
        (["suite=cs224n"], "encoder=tiny starts from random weights and knows no word of sst, "),
        (["+task@task.mine=sst"], "the generated text of suite=bundled, not on that of mine; "),
    ],
)
def test_an_encoder_that_does_not_know_the_text_is_told_once(tmp_path, caplog, overrides, warning):
    preview(load_config(*overrides), tmp_path, RunStart())
    found = [text for text in caplog.messages if "encoder=minilm_l6 was pretrained on" in text]
    assert len(found) == (warning is not None)
    assert warning is None or warning in found[0]


def test_describing_asks_for_no_checkpoint_where_the_shape_is_complete(monkeypatch):
    monkeypatch.setattr(spec_module, "checkpoint_folder", lambda source, **_: pytest.fail(source))
    run_spec = resolve_spec(load_config(*WORDS, "encoder.checkpoint=some/checkpoint"))
    with pytest.raises(pytest.fail.Exception, match="some/checkpoint"):
        start_on_machine(run_spec)


def test_starting_sets_threads_and_leaves_the_precision_to_timed_steps(monkeypatch):
    monkeypatch.setattr(spec_module, "most_threads", lambda: 3)
    threads = torch.get_num_threads()
    run_spec = resolve_spec(load_config(*WORDS, "trainer.threads=3", "trainer.precision=auto"))
    try:
        started = start_on_machine(run_spec)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert started.runtime.precision == "auto"
    assert started.architecture is run_spec.architecture


@pytest.mark.parametrize(
    ("cores", "message"),
    [
        (1, r"trainer\.threads: found 3, and this process may use 1 core; allowed: 1"),
        (2, r"trainer\.threads: found 3, and this process may use 2 cores; allowed: 1 to 2, or nu"),
    ],
)
def test_threads_above_the_cores_are_refused(monkeypatch, cores, message):
    monkeypatch.setattr(spec_module, "most_threads", lambda: cores)
    with pytest.raises(UserError, match=message):
        start_on_machine(resolve_spec(load_config(*WORDS, "trainer.threads=3")))


def test_an_unknown_precision_is_refused_in_the_description():
    with pytest.raises(UserError, match=r"trainer\.precision: found fp8.*auto, fp32, bf16"):
        resolve_spec(load_config(*WORDS, "trainer.precision=fp8"))


def test_a_description_writes_the_plan_and_the_settings(tmp_path):
    record = preview(load_config(*WORDS, "dry_run=true"), tmp_path, RunStart()).plan
    assert record["plan"] == "S1-I1"
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {".lock", "manifest.json", "plan.json", "settings.json"}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sharing.tie.strength=0.5",), "sharing.tie changes nothing"),
        (("sharing.plan=I2", "loss.aggregation=pcgrad"), "loss.aggregation and loss.cosines"),
    ],
)
def test_a_setting_without_effect_is_logged(caplog, words, message):
    with caplog.at_level(logging.WARNING):
        resolve_spec(load_config(*WORDS, *words))
    assert message in caplog.text


def test_a_task_twice_is_refused():
    with pytest.raises(UserError, match=r"suite\.tasks: found 'sst' twice; allowed: each name on"):
        resolve_spec(load_config(*WORDS, "suite.tasks=[sst,sst]"))
