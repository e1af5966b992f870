"""Rate of matrix products, at the shape of an encoder's feed-forward layer."""

from functools import partial
from multiprocessing.connection import Connection

import torch
import torch.nn.functional as F

from benchmarks.clock import timed
from benchmarks.worker_pipe import serve
from mtl_sharing.utils.device import choose_device

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
_ROWS = {"cpu": 2048, "cuda": 16384}
# Several products in a timing, to hide the launch time of a GPU's kernels.
_PRODUCTS, _TIMINGS = {"cpu": 4, "cuda": 64}, 5


class ProductRate:
    """Products of rows of tokens with a feed-forward layer's weight, in both precisions.

    Args:
        hidden: width of the encoder; the weight is ``hidden`` by ``4 hidden``.
    """

    def __init__(self, hidden: int, device: torch.device) -> None:
        self.device = device
        rows = _ROWS[device.type]
        self.flops = 2 * rows * hidden * 4 * hidden
        self.pairs = {
            name: (
                torch.randn(rows, hidden, device=device).to(dtype),
                torch.randn(4 * hidden, hidden, device=device).to(dtype),
            )
            for name, dtype in PRECISIONS.items()
        }

    def measure(self) -> dict[str, float]:
        """Operations a second in each precision, the best of several timings."""
        rates, products = {}, _PRODUCTS[self.device.type]
        for name, pair in self.pairs.items():
            work = partial(_multiply, *pair, products)
            seconds = [timed(self.device, work) for _ in range(1 + _TIMINGS)]
            rates[name] = products * self.flops / min(seconds[1:])
        return rates


def measure_products(connection: Connection, hidden: int) -> None:
    """Sends the rate of matrix products at width ``hidden`` for each message."""
    serve(connection, lambda: _measure_products(connection, hidden))


def _measure_products(connection: Connection, hidden: int) -> None:
    rate = ProductRate(hidden, choose_device("auto"))
    while connection.recv():
        connection.send(rate.measure())


def _multiply(rows: torch.Tensor, weight: torch.Tensor, products: int) -> None:
    for _ in range(products):
        F.linear(rows, weight)
