"""Config groups ``pairing`` and ``head``, and the parts that ``sharing`` may add to a plan.

Without torch, so that the command line starts fast.
"""

from dataclasses import dataclass, field


@dataclass
class PairingConfig:
    """The ``pairing`` config group: how the two texts of a pair meet.

    Attributes:
        mode: ``joined`` puts both into one sequence, parted by [SEP]; ``separate`` encodes each
            by itself and joins ``features`` of the two vectors.
        features: any of u, v, absdiff, product, in the order of the head's input.
        place: where in the head separate texts meet: at its ``input``, or at its ``output`` layer,
            so that hidden head layers see one text at a time.
    """

    mode: str = "joined"
    features: list[str] = field(default_factory=lambda: ["u", "v", "absdiff", "product"])
    place: str = "input"


@dataclass
class HeadConfig:
    """The ``head`` config group.

    Attributes:
        depth: hidden layers between pooled text and output; 0 is a linear head.
        width: of each hidden layer, or a share of the encoder's width, like 256/768; null is the
            encoder's width.
        activation: relu, gelu or tanh, after each hidden layer.
        dropout: of what enters the head, and after each hidden layer.
        layer: encoder layer whose states the head reads: 0, 1, ... from below, or -1, -2, ...
            from above. Layers above it are left out of that task's way.
        pooling: ``pooler``, ``cls`` or ``mean``; null is ``mean`` for a layer below the last, else
            the pooler where the encoder has one, else ``cls``.
        regression: loss of regression tasks over pairs that name none themselves.
    """

    depth: int = 0
    width: int | str | None = None
    activation: str = "relu"
    dropout: float = 0.1
    layer: int = -1
    pooling: str | None = None
    regression: str = "mse"


@dataclass
class PalsConfig:
    """``sharing.pals``: projected attention layers (Stickland and Murray 2019), each task's own.

    Attributes:
        size: width s of the projection, or a share of the encoder's width, like 204/768 (taken to
            the nearest multiple of ``heads``); null adds none.
        heads: attention heads; null takes the encoder's number.
        kind: ``attention``, or ``low_rank`` for the projections alone.
        activation: gelu, tanh or identity, after V_D; of ``low_rank`` between V_E and V_D, where
            it may be relu too.
        projections: V_E and V_D ``shared`` by a task's layers or each layer's ``own``; null is
            shared for attention and own for low rank, as in the paper.
        layers: which encoder layers have one: ``all``, ``top`` (upper half), ``bottom``, or
            ``shared`` (those that two tasks or more own together).
    """

    size: int | str | None = None
    heads: int | None = None
    kind: str = "attention"
    activation: str = "gelu"
    projections: str | None = None
    layers: str = "all"


@dataclass
class LanesConfig:
    """``sharing.lanes``: heads that also read what other heads say of the same text.

    Attributes:
        fusion: ``concatenation`` or ``attention``; null has no lanes.
        upstream: for each task the heads that it reads; a task that is not named reads none. Empty
            lets each read all before it in the suite's order, a head of one text none of two.
        upstream_rate: share of the gradient that upstream heads take from other tasks' losses:
            0 freezes them there, 1 trains them fully.
        task_dropout: rate at which the whole output of an upstream head is dropped in training.
    """

    fusion: str | None = None
    upstream: dict[str, list[str]] = field(default_factory=dict)
    upstream_rate: float = 0.0
    task_dropout: float = 0.0
