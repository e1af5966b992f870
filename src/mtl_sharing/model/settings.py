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
