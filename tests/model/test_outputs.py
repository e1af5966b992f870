"""Outputs leave the network in float32, whatever the precision of its products."""

import numpy as np
import pytest
import torch

from mtl_sharing.evaluation.evaluate import answers_of
from mtl_sharing.model.network import Network
from mtl_sharing.model.specs import TaskHead
from mtl_sharing.objectives.losses import make_objective
from mtl_sharing.utils.device import autocast
from support import architecture_of

CPU = torch.device("cpu")
LENGTHS = (5, 3, 11, 5, 2, 3, 7, 9, 4, 6, 8, 10)
HEADS = {
    "mse": TaskHead("a", 1, bias=2.5),
    "mse of a pair": TaskHead("a", 1, ("u", "absdiff"), late=True, bias=2.5),
    "expected_class": TaskHead("a", 6),
    "scaled_cosine": TaskHead("a", 1, cosine=True),
    "sigmoid_cosine": TaskHead("a", 1, cosine=True),
}


def on_the_grid(values: np.ndarray) -> np.ndarray:
    """Which values bf16 can hold."""
    given = torch.tensor(values)
    return (given.float().bfloat16().double() == given).numpy()


@pytest.mark.parametrize("depth", [0, 2])
@pytest.mark.parametrize("loss", HEADS)
@pytest.mark.parametrize("training", [False, True])
def test_values_of_a_regression_are_not_rounded_to_bf16(
    make_shape, make_tower, make_batch, loss, depth, training
):
    shape = make_shape(dropout=0.0, attention_dropout=0.0)
    architecture = architecture_of(shape, "S3", [HEADS[loss]], depth, dropout=0.0, pooling="mean")
    tower = {n: {k: v.float() for k, v in part.items()} for n, part in make_tower(shape).items()}
    network = Network(architecture, tower, seed=1).train(training)
    objective = make_objective(loss.partition(" ")[0], "regression", "loss", 0, 0.0, 5.0)
    batch, values = make_batch(LENGTHS), {}
    for precision in ("fp32", "bf16"):
        with torch.no_grad(), autocast(precision, CPU):
            raw = network({"a": batch})["a"]
            assert raw.dtype == torch.float32
            unknown = np.full(len(raw), np.nan)
            values[precision] = answers_of(objective, raw, unknown).values
    assert np.mean(on_the_grid(values["bf16"])) < 0.2
    assert np.allclose(values["bf16"], values["fp32"], atol=0.1)
    assert not np.array_equal(values["bf16"], values["fp32"])  # the encoder ran in bf16
