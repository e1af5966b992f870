"""Operations of the matrix products in each part of a network, over given texts. No torch.

Everywhere ``trains`` says whether the part's own weights take a gradient, and ``below`` whether the
rows that enter it do; in prediction neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.specs import PalShape


@dataclass(frozen=True)
class TextSize:
    """All of some texts' lengths that their products depend on.

    Attributes:
        sequences: how many, B; a pair encoded separately is two, a joined one is one.
        tokens: their lengths' sum, N.
        squares: the sum of their squared lengths.
    """

    sequences: int
    tokens: int
    squares: int

    @classmethod
    def of(cls, lengths: Sequence[int]) -> "TextSize":
        """The size of sequences with these lengths in tokens."""
        return cls(len(lengths), sum(lengths), sum(length**2 for length in lengths))


def stage_flops(
    shape: EncoderShape, name: str, text: TextSize, first_only: bool, trains: bool, below: bool
) -> int:
    """One copy of ``embeddings``, ``layer.<i>`` or ``pooler`` over one text.

    Args:
        first_only: a layer gives the states of first tokens alone.
    """
    hidden = shape.hidden
    if name == "embeddings":
        narrow = shape.embedding != hidden
        # The tables below the projection train whenever it does.
        return 2 * text.tokens * shape.embedding * hidden * (1 + 2 * trains) if narrow else 0
    if name == "pooler":
        return 2 * text.sequences * hidden**2 * (1 + trains + below)
    return _layer(shape, text, first_only, trains, below)


def _layer(shape: EncoderShape, text: TextSize, first_only: bool, trains: bool, below: bool) -> int:
    asked, pairs = (text.sequences, text.tokens) if first_only else (text.tokens, text.squares)
    entering = 2 * (asked + 2 * text.tokens) * shape.hidden**2
    above = 2 * asked * (shape.hidden**2 + 2 * shape.hidden * shape.intermediate)
    # Gradients pass what lies above a weight of this layer whether or not they go further down.
    passed = trains or below
    attention = _attention(pairs, shape.hidden) * (1 + 2 * passed)
    return entering * (1 + trains + below) + above * (1 + trains + passed) + attention


def _attention(pairs: int, width: int) -> int:
    """Scores and weighted values of so many pairs of tokens, all heads together, forward."""
    return 2 * 2 * pairs * width


def pal_flops(pals: PalShape, hidden: int, text: TextSize, trains: bool, below: bool) -> int:
    """One task's projected attention beside one layer."""
    projection, inner = 2 * text.tokens * pals.size * hidden, 0
    if pals.kind == "attention":
        inner = 2 * text.tokens * 3 * pals.size**2 + _attention(text.squares, pals.size)
    return projection * (1 + trains + below) + (inner + projection) * (1 + 2 * trains)


def head_flops(
    a: Architecture, task: str, sequences: int, trains: bool, below: Sequence[bool]
) -> int:
    """The head of ``task`` over the vectors of some sequences.

    Args:
        trains: whether it learns here, as far as the plan lets it.
        below: of each hidden layer, and of the output layer.
    """
    head, width = a.head_of(task), a.head_input(task)
    rows = sequences // 2 if head.joins_first else sequences
    found = _fusion(a, task, rows, trains, below[0])
    hidden = [stage for stage in a.stages() if stage.name.startswith("head.")]
    for stage, enters in zip(hidden, below, strict=False):
        found += 2 * rows * width * a.head.width * (1 + (trains and stage.trains) + enters)
        width = a.head.width
    if head.cosine:
        return found
    examples = sequences // 2 if head.pair else sequences
    return found + 2 * examples * a.output_input(task) * head.outputs * (1 + trains + below[-1])


def _fusion(a: Architecture, task: str, rows: int, trains: bool, below: bool) -> int:
    """How a head attends to upstream outputs; joining them end to end takes no product."""
    lanes = a.lane_widths(task)
    if a.lanes is None or a.lanes.fusion != "attention" or not lanes:
        return 0
    own, inner = a.head_input(task), a.encoder.hidden
    linear = 2 * rows * sum(lanes) * own
    if len(lanes) > 1:
        linear += 2 * rows * (own + sum(lanes)) * inner
    scores = 2 * rows * len(lanes) * inner if len(lanes) > 1 else 0
    return linear * (1 + trains + below) + scores * (1 + 2 * below)
