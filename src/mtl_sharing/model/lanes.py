"""Progressive lanes: each head reads the text's vector and other heads' outputs on the same text.

For a text of task t with vector z, the heads upstream of t run on z too, in topological order, and
the head of t joins their raw outputs with z. The encoder runs once. In that pass the upstream
weights take only a share of the gradient (0 freezes them), while the gradient to z is complete.
Where tasks have towers of their own, z comes from the tower of t.
"""

from collections.abc import Mapping

from torch import Tensor
from torch.func import functional_call

from mtl_sharing.model.heads import Heads
from mtl_sharing.model.routing import PackedRows, Stream
from mtl_sharing.model.specs import LaneShape


def upstream_outputs(
    heads: Heads, lanes: LaneShape, pooled: Mapping[str, PackedRows]
) -> dict[str, list[Tensor]]:
    """For each task, the raw outputs (E, K_u) of its upstream heads on its own text.

    Args:
        pooled: each task's vectors, as in :class:`Heads`.
    """
    rate = lanes.upstream_rate
    weights = {name: _scale_gradient(weight, rate) for name, weight in heads.named_parameters()}
    return {task: _outputs(heads, lanes, task, rows, weights) for task, rows in pooled.items()}


def _outputs(
    heads: Heads, lanes: LaneShape, task: str, rows: PackedRows, weights: dict[str, Tensor]
) -> list[Tensor]:
    outputs: dict[str, Tensor] = {}
    for name in lanes.ancestors(task):
        streams = tuple(Stream((name,), s.layout, s.rows) for s in rows.streams)
        inputs = {name: PackedRows(streams, rows.values)}
        upstream = {name: [outputs[other] for other in lanes.upstream[name]]}
        outputs |= functional_call(heads, weights, (inputs, upstream))
    return [outputs[name] for name in lanes.upstream[task]]


def _scale_gradient(weight: Tensor, rate: float) -> Tensor:
    """The weight with its gradient multiplied by ``rate``."""
    if rate == 1 or not weight.requires_grad:
        return weight
    frozen = weight.detach()
    return frozen if rate == 0 else frozen + rate * (weight - frozen)
