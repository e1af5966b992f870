"""How many floating-point operations a step's matrix products nominally need."""

from collections.abc import Mapping, Sequence

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.parts import PalShape
from mtl_sharing.plan import Stage


def count_flops(
    architecture: Architecture,
    lengths: Mapping[str, Sequence[int]],
    training: bool,
    same_text: bool = False,
) -> int:
    """Operations of the matrix products over real tokens: 2 for a multiplication and addition.

    A product takes its size once forward. In training it takes it once more for the gradient of
    its weight where that trains, and once more for the gradient of its input where anything below
    trains. Attention's two products have two inputs each, so a trained layer counts three times.
    A frozen prefix counts once.

    The count is nominal: every layer is counted for every token, also where a program computes
    the last layer for first tokens only or reads frozen layers from a cache; padding, embeddings,
    norms and the optimiser are not counted. So it says the same of every loop.

    Args:
        lengths: real tokens of each sequence, of each task.
        same_text: all tasks read the same sequences, and a stage that they share runs once.

    Raises:
        ValueError: a network with lanes, whose heads run several times.
    """
    if architecture.lanes is not None:
        raise ValueError("operations of lanes are not counted")
    total, below = 0, False
    for stage in architecture.stages():
        for sequences in _rows(stage, architecture.read, lengths, same_text):
            total += _stage(architecture, stage, sequences, training, below)
        below = below or stage.trains
    for task, own in lengths.items():
        head = architecture.head_of(task)
        rows = len(own) // 2 if head.features else len(own)
        product = 2 * rows * architecture.output_input(task) * head.outputs
        total += product * _times(training, True, below)
        if architecture.pals is not None:
            pals = architecture.pals.up_to(architecture.read.get(task))
            total += _pals(pals, architecture.encoder.hidden, own) * (3 if training else 1)
    return total


def _rows(
    stage: Stage, read: Mapping[str, int], lengths: Mapping[str, Sequence[int]], same_text: bool
) -> list[list[int]]:
    """The sequences that each copy of a stage runs over."""
    kind, _, number = stage.name.partition(".")
    depth = int(number) if kind == "layer" else 0
    rows = []
    for owners in stage.owners:
        tasks = [t for t in owners if t in lengths and read.get(t, depth) >= depth]
        chosen = tasks[:1] if same_text and kind != "head" else tasks
        rows.append([length for task in chosen for length in lengths[task]])
    return rows


def _times(training: bool, trains: bool, below: bool) -> int:
    """How often a product's size is taken: forward, for its weight, for its input."""
    return 1 + (training and trains) + (training and below)


def _stage(a: Architecture, stage: Stage, sequences: list[int], training: bool, below: bool) -> int:
    """One copy of a stage over its sequences."""
    shape, tokens, count = a.encoder, sum(sequences), len(sequences)
    hidden, times = shape.hidden, _times(training, stage.trains, below)
    if stage.name == "embeddings":
        narrow = shape.embedding != hidden
        return 2 * tokens * shape.embedding * hidden * times if narrow else 0
    if stage.name == "pooler":
        return 2 * count * hidden**2 * times
    if stage.name.startswith("head."):
        owner = stage.owners[0][0]
        width = a.head_input(owner) if stage.name == "head.0" else a.head.width
        rows = count // 2 if a.head_of(owner).joins_first else count
        return 2 * rows * width * a.head.width * times
    entering = 2 * tokens * 3 * hidden**2
    # Above what enters a layer that trains, gradients pass through whether or not any go further.
    inner = 2 * tokens * (hidden**2 + 2 * hidden * shape.intermediate)
    passed = below or stage.trains
    products = _attention(hidden, sequences) * (3 if training and passed else 1)
    return entering * times + inner * _times(training, stage.trains, passed) + products


def _attention(width: int, sequences: Sequence[int]) -> int:
    """Scores and weighted values of each sequence over itself, all heads together."""
    return sum(4 * length**2 * width for length in sequences)


def _pals(pals: PalShape, hidden: int, sequences: Sequence[int]) -> int:
    """A task's projected attention layers, forward: two projections in each layer."""
    tokens, attention = sum(sequences), pals.kind == "attention"
    products = 2 * tokens * 2 * pals.size * hidden
    if attention:
        products += 2 * tokens * 3 * pals.size**2 + _attention(pals.size, sequences)
    return products * len(pals.layers)
