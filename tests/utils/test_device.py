"""Precisions: what a device has, and whether products in bf16 gain from it."""

from contextlib import nullcontext
from itertools import cycle

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.utils import device as module
from mtl_sharing.utils.device import bf16_speedup, choose_precision, has_bf16

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("fp32", "bf16", "gains"),
    [
        ([3], [1], True),
        ([1], [1], False),
        ([1], [3], False),
        # Most rounds of fp32 were disturbed, or all but one of bf16 were not.
        ([9, 9, 9, 9, 9, 9, 1], [3], False),
        ([1], [3, 3, 3, 3, 3, 3, 0.1], False),
        ([3], [1, 9, 1, 9, 1, 1, 1], True),
    ],
)
def test_products_gain_only_without_noise(monkeypatch, fp32, bf16, gains):
    clocks = {torch.float32: cycle(fp32), torch.bfloat16: cycle(bf16)}
    monkeypatch.setattr(module, "time_product", lambda left, right: next(clocks[left.dtype]))
    assert (bf16_speedup(32) > 1.2) == gains


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("flags : fpu sse2 avx512f avx512_bf16", True),
        ("flags : fpu sse2 amx_bf16", True),
        ("Features : fp asimd bf16", True),
        ("flags : fpu sse2 avx512f", False),
        ("Features : fp asimd", False),
        ("a system that says nothing", True),
        (None, True),
    ],
)
def test_a_cpu_s_flags_name_bf16(tmp_path, flags, expected):
    file = tmp_path / "cpuinfo"
    if flags is not None:
        file.write_text(flags)
    assert has_bf16(CPU, file) == expected


def test_a_cpu_without_bf16_is_slow_with_it_and_told_so(monkeypatch, caplog):
    for supported, lines in ((True, 0), (False, 1)):
        monkeypatch.setattr(module, "has_bf16", lambda device, supported=supported: supported)
        chosen = [choose_precision(name, CPU) for name in ("fp32", "bf16", "auto")]
        assert chosen == ["fp32", "bf16", "auto"]
        assert caplog.text.count("trainer.precision=bf16: ") == lines


def test_a_gpu_without_bf16_takes_fp32_and_no_other(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    asked = []
    monkeypatch.setattr(torch.cuda, "device", lambda own: asked.append(own) or nullcontext())
    assert [choose_precision(name, GPU) for name in ("auto", "fp32")] == ["fp32", "fp32"]
    with pytest.raises(UserError) as refused:
        choose_precision("bf16", GPU)
    assert str(refused.value) == (
        "trainer.precision: found bf16, which Old GPU lacks; allowed: fp32, or auto"
    )
    assert asked and set(asked) == {GPU}  # not the current one
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert [choose_precision(n, GPU) for n in ("auto", "fp32", "bf16")] == ["bf16", "fp32", "bf16"]
