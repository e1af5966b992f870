"""Config groups ``pairing`` and ``head``. No torch, so that the command line starts fast."""

from dataclasses import dataclass, field


@dataclass
class PairingConfig:
    """The ``pairing`` config group: how the two texts of a pair are joined.

    Attributes:
        mode: ``joined`` puts both into one sequence, separated by [SEP]. ``separate`` encodes each
            by itself and joins ``features`` of the two vectors.
        features: any of u, v, absdiff, product, in the order of the head's input.
        place: where separate texts are joined: at the head's ``input``, or at its ``output``
            layer, so that hidden head layers see one text at a time.
    """

    mode: str = "joined"
    features: list[str] = field(default_factory=lambda: ["u", "v", "absdiff", "product"])
    place: str = "input"


@dataclass
class HeadConfig:
    """The ``head`` config group.

    Attributes:
        depth: hidden layers between pooled text and output; 0 is a linear head.
        width: width of each hidden layer, or a fraction of the encoder's width, like 256/768;
            null is the encoder's width.
        activation: relu, gelu or tanh, after each hidden layer.
        dropout: dropout rate before the head, and after each hidden layer.
        layer: encoder layer whose states the head reads: 0, 1, ... from below, or -1, -2, ...
            from above. The task does not run the layers above it.
        pooling: ``pooler``, ``cls`` or ``mean``; null is ``mean`` for a layer below the last, else
            the pooler where the encoder has one, else ``cls``.
        regression: default loss of regression tasks over pairs.
    """

    depth: int = 0
    width: int | str | None = None
    activation: str = "relu"
    dropout: float = 0.1
    layer: int = -1
    pooling: str | None = None
    regression: str = "mse"
