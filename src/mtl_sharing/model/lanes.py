"""Progressive lanes: each head reads the text's vector and other heads' outputs on the same text.

For a text of task t with vector z, the heads upstream of t run on z too, in the order of the
lanes, and the head of t joins their raw outputs with z. The encoder runs once. In that pass their
weights take only a share of the gradient (0 freezes them), while the gradient to z is whole. Where
tasks have towers of their own, z comes from the tower of t.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.func import functional_call

from mtl_sharing.model.heads import Heads
from mtl_sharing.model.routing import JoinedRow, Stream
from mtl_sharing.model.specs import LaneShape


def upstream_outputs(
    heads: Heads, lanes: LaneShape, pooled: Mapping[str, JoinedRow]
) -> dict[str, list[Tensor]]:
    """For each task, the raw outputs (R, K_u) of the heads it reads, on its own text.

    Args:
        pooled: each task's vectors, as :class:`Heads` takes them.
    """
    weights = {name: _scaled(w, lanes.upstream_rate) for name, w in heads.named_parameters()}
    return {task: _of_task(heads, lanes, task, row, weights) for task, row in pooled.items()}


def _of_task(
    heads: Heads, lanes: LaneShape, task: str, row: JoinedRow, weights: dict[str, Tensor]
) -> list[Tensor]:
    outputs: dict[str, Tensor] = {}
    for name in lanes.ancestors(task):
        streams = tuple(Stream((name,), s.layout, s.rows) for s in row.streams)
        inputs = {name: JoinedRow(streams, row.values)}
        upstream = {name: [outputs[other] for other in lanes.upstream[name]]}
        outputs |= functional_call(heads, weights, (inputs, upstream))
    return [outputs[name] for name in lanes.upstream[task]]


def _scaled(weight: Tensor, rate: float) -> Tensor:
    """The same weight, which passes on ``rate`` of its gradient."""
    if rate == 1 or not weight.requires_grad:
        return weight
    frozen = weight.detach()
    return frozen if rate == 0 else frozen + rate * (weight - frozen)
