"""Operations of the matrix products in each part of a network. No torch.

In all functions ``trains`` is whether the part's own weights take a gradient, and ``entering``
whether the rows that enter it do. Both are false in prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.specs import PalShape


@dataclass(frozen=True)
class TextSize:
    """The sums over texts that the number of operations depends on.

    Attributes:
        sequences: number of sequences, B; a pair encoded separately is two, a joined one is one.
        tokens: sum of their lengths, N.
        squares: sum of their squared lengths.
    """

    sequences: int
    tokens: int
    squares: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "TextSize":
        """The size of sequences with these lengths in tokens."""
        return cls(len(lengths), sum(lengths), sum(length**2 for length in lengths))


def stage_flops(
    shape: EncoderShape, name: str, text: TextSize, first_only: bool, trains: bool, entering: bool
) -> int:
    """Operations of one copy of ``embeddings``, ``layer.<i>`` or ``pooler`` over one text.

    Args:
        first_only: a layer computes the states of first tokens alone.
    """
    hidden = shape.hidden
    if name == "embeddings":
        narrow = shape.embedding != hidden
        # The tables below the projection train whenever it does.
        return 2 * text.tokens * shape.embedding * hidden * (1 + 2 * trains) if narrow else 0
    if name == "pooler":
        return 2 * text.sequences * hidden**2 * (1 + trains + entering)
    return _layer(shape, text, first_only, trains, entering)


def _layer(
    shape: EncoderShape, text: TextSize, first_only: bool, trains: bool, entering: bool
) -> int:
    queries, pairs = (text.sequences, text.tokens) if first_only else (text.tokens, text.squares)
    projections = 2 * (queries + 2 * text.tokens) * shape.hidden**2
    above = 2 * queries * (shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    # Above this layer's first weight gradients flow even if none leaves the layer.
    inner = trains or entering
    attention = _attention(pairs, shape.hidden) * (1 + 2 * inner)
    return projections * (1 + trains + entering) + above * (1 + trains + inner) + attention


def _attention(pairs: int, width: int) -> int:
    """Forward operations of all heads' scores and weighted values, over pairs of query and key."""
    return 2 * 2 * pairs * width


def pal_flops(pals: PalShape, hidden: int, text: TextSize, trains: bool, entering: bool) -> int:
    """Operations of one task's projected attention beside one layer."""
    projection, inner = 2 * text.tokens * pals.size * hidden, 0
    if pals.kind == "attention":
        inner = 2 * text.tokens * 3 * pals.size**2 + _attention(text.squares, pals.size)
    return projection * (1 + trains + entering) + (inner + projection) * (1 + 2 * trains)


def head_flops(
    a: Architecture, task: str, sequences: int, trains: bool, entering: Sequence[bool]
) -> int:
    """Operations of the head of ``task`` over the vectors of some sequences.

    Args:
        trains: whether the head's weights train on this text, unless the plan freezes them.
        entering: one value for each hidden layer, and one for the output layer.
    """
    head, width = a.head_of(task), a.head_input(task)
    rows = sequences // 2 if head.joins_first else sequences
    count = _fusion(a, task, rows, trains, entering[0])
    hidden = [stage for stage in a.stages() if stage.name.startswith("head.")]
    for stage, gradient in zip(hidden, entering, strict=False):
        count += 2 * rows * width * a.head.width * (1 + (trains and stage.trains) + gradient)
        width = a.head.width
    if head.cosine:
        return count
    examples = sequences // 2 if head.pair else sequences
    output = 2 * examples * a.output_input(task) * head.outputs
    return count + output * (1 + trains + entering[-1])


def _fusion(a: Architecture, task: str, rows: int, trains: bool, entering: bool) -> int:
    """Operations of a head's attention to upstream outputs; concatenation has none."""
    lanes = a.lane_widths(task)
    if a.lanes is None or a.lanes.fusion != "attention" or not lanes:
        return 0
    own, inner = a.head_input(task), a.encoder.hidden
    linear = 2 * rows * sum(lanes) * own
    if len(lanes) > 1:
        linear += 2 * rows * (own + sum(lanes)) * inner
    scores = 2 * rows * len(lanes) * inner if len(lanes) > 1 else 0
    return linear * (1 + trains + entering) + scores * (1 + 2 * entering)
