"""The nominal count of operations against torch's own counter, on plain loops."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.flops import count_prediction, count_training
from benchmarks.plain_network import PlainNetwork, pad
from mtl_sharing.batch import PackedBatch

# Of each task equally long, so that the plain network has no padding to multiply.
LENGTHS = {"sst": (5, 5, 5), "quora": (11, 11), "sts": (7, 7, 7, 7)}


def text(lengths):
    tokens = torch.arange(sum(lengths)) % 600 + 7
    return pad(PackedBatch(tokens, torch.zeros_like(tokens), lengths))


@pytest.mark.parametrize("plan", ["S1-I2", "I3", "S3", "F1-S1-I1", "F3", "F2-I1", "EF-S3"])
def test_training_is_counted_as_torch_counts_it(made, plan):
    run_spec, inputs = made(plan)
    network = run_spec.network(run_spec.architecture, inputs.tower)
    plain = PlainNetwork(network, "eager").train()
    with FlopCounterMode(display=False) as counter:
        raw = plain({task: text(lengths) for task, lengths in LENGTHS.items()})
        torch.stack([one.sum() for one in raw.values()]).sum().backward()
    assert count_training(run_spec.architecture, LENGTHS) == counter.get_total_flops()


@pytest.mark.parametrize("plan", ["S1-I2", "I3", "S3"])
def test_prediction_on_one_text_is_counted_as_torch_counts_it(made, plan):
    run_spec, inputs = made(plan)
    plain = PlainNetwork(run_spec.network(run_spec.architecture, inputs.tower), "eager").eval()
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        plain.predict_all(text((11, 11)))
    assert count_prediction(run_spec.architecture, (11, 11)) == counter.get_total_flops()
