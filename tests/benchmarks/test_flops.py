"""The count of operations against torch's own counter."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops import count_flops
from benchmarks.plain import PlainNetwork, pad
from mtl_sharing.model.attention import SequenceLayout
from mtl_sharing.model.pals import TaskPal
from mtl_sharing.types import PackedBatch

# Of each task equally long, so that the plain network has no padding to multiply.
LENGTHS = {"sst": (5, 5, 5), "quora": (11, 11), "sts": (7, 7, 7, 7)}


def text(lengths):
    tokens = torch.arange(sum(lengths)) % 600 + 7
    return pad(PackedBatch(tokens, torch.zeros_like(tokens), lengths))


@pytest.mark.parametrize("plan", ["S1-I2", "I3", "S3", "F1-S1-I1", "F3", "F2-I1", "EF-S3"])
def test_training_is_counted_as_torch_counts_it(made, plan):
    blueprint, material = made(plan)
    network = blueprint.network(blueprint.architecture, material.tower)
    plain = PlainNetwork(network, "eager").train()
    with FlopCounterMode(display=False) as counter:
        raw = plain({task: text(lengths) for task, lengths in LENGTHS.items()})
        torch.stack([one.sum() for one in raw.values()]).sum().backward()
    assert count_flops(blueprint.architecture, LENGTHS, training=True) == counter.get_total_flops()


@pytest.mark.parametrize("plan", ["S1-I2", "I3", "S3"])
def test_prediction_on_one_text_is_counted_as_torch_counts_it(made, plan):
    blueprint, material = made(plan)
    plain = PlainNetwork(blueprint.network(blueprint.architecture, material.tower), "eager").eval()
    lengths = dict.fromkeys(LENGTHS, (11, 11))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        plain.predict_all(text((11, 11)))
    counted = count_flops(blueprint.architecture, lengths, training=False, same_text=True)
    assert counted == counter.get_total_flops()


@pytest.mark.parametrize("kind", ["attention", "low_rank"])
def test_pals_are_counted_as_torch_counts_them(made, kind):
    words = ("sharing.pals.size=6", f"sharing.pals.kind={kind}")
    with_pals, without = made("S3", *words)[0].architecture, made("S3")[0].architecture
    lengths, layers = {"quora": (11, 11)}, range(3)
    pal, rows = TaskPal(with_pals.pals, with_pals.encoder), torch.randn(22, 12)
    layout = SequenceLayout.of((11, 11), torch.device("cpu"))
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        for number in layers:
            pal(number, rows, layout)
    counts = [count_flops(a, lengths, training=False) for a in (with_pals, without)]
    assert counts[0] - counts[1] == counter.get_total_flops()


def test_lanes_are_not_counted(made):
    blueprint, _ = made("S3", "sharing.lanes.fusion=concatenation")
    with pytest.raises(ValueError, match="lanes"):
        count_flops(blueprint.architecture, LENGTHS, training=True)
