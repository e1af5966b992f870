"""The spec of a run: a description without side effects, made ready for this machine on request."""

import logging

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.job import spec as spec_module
from mtl_sharing.job.run import describe
from mtl_sharing.job.spec import resolve_spec, start_on_machine
from mtl_sharing.job.start import Start
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


def test_describing_asks_for_no_checkpoint_where_the_shape_is_complete(monkeypatch):
    monkeypatch.setattr(spec_module, "checkpoint_folder", lambda source, **_: pytest.fail(source))
    run_spec = resolve_spec(load_config(*WORDS, "encoder.checkpoint=some/checkpoint"))
    with pytest.raises(pytest.fail.Exception, match="some/checkpoint"):
        start_on_machine(run_spec)


def test_starting_sets_threads_and_chooses_a_precision():
    threads = torch.get_num_threads()
    run_spec = resolve_spec(load_config(*WORDS, "trainer.threads=3", "trainer.precision=auto"))
    try:
        started = start_on_machine(run_spec)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert started.runtime.precision in ("fp32", "bf16")
    assert started.architecture is run_spec.architecture


def test_an_unknown_precision_is_refused_in_the_description():
    with pytest.raises(UserError, match=r"trainer\.precision: found fp8.*auto, fp32, bf16"):
        resolve_spec(load_config(*WORDS, "trainer.precision=fp8"))


def test_a_description_writes_the_plan_and_the_settings(tmp_path):
    record = describe(load_config(*WORDS), tmp_path, Start())
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
