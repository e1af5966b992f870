"""Times the tie's penalty and gradient against a loop over tensors, on three copies of MiniLM.

python -m benchmarks.tie
"""

import time
from collections.abc import Callable
from itertools import combinations

import torch
from torch import Tensor, nn

from mtl_sharing.objectives.ties import Tie

HIDDEN, ROUNDS = 384, 4
LAYER = [(3 * HIDDEN, HIDDEN), (3 * HIDDEN,), (HIDDEN, HIDDEN), (4 * HIDDEN, HIDDEN),
         (4 * HIDDEN,), (HIDDEN, 4 * HIDDEN), *[(HIDDEN,)] * 6]  # fmt: skip
SHAPES = [(30522, HIDDEN), (512, HIDDEN), *LAYER * 6]

Copies = list[list[nn.Parameter]]


def pairs(copies: Copies) -> Tensor:
    """Squared distances of each pair, tensor by tensor."""
    both = [zip(a, b, strict=True) for a, b in combinations(copies, 2)]
    return torch.stack([(a - b).square().sum() for pair in both for a, b in pair]).sum()


def trace_norm(copies: Copies) -> Tensor:
    """Trace norm of the stacked copies, tensor by tensor."""
    stacked = [torch.stack([w.flatten() for w in tied]) for tied in zip(*copies, strict=True)]
    return torch.stack([torch.linalg.matrix_norm(x, ord="nuc") for x in stacked]).sum()


def seconds(copies: Copies, work: Callable[[], object]) -> float:
    """Wall time of ``work``, the gradients cleared before."""
    for weight in (weight for copy in copies for weight in copy):
        weight.grad = None
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    """Prints milliseconds of both, round by round; the first round warms up."""
    torch.manual_seed(0)
    copies = [[nn.Parameter(torch.randn(shape) * 0.02) for shape in SHAPES] for _ in range(3)]
    for kind, loop in (("pairs", pairs), ("trace_norm", trace_norm)):
        tie = Tie(kind, 1.0, copies)
        for number in range(ROUNDS):
            ours = seconds(copies, tie.add_gradient)
            theirs = seconds(copies, lambda loop=loop: loop(copies).backward())
            print(f"{kind:<12}round {number}  {ours * 1e3:6.0f} ms  loop {theirs * 1e3:6.0f} ms")


if __name__ == "__main__":
    main()
