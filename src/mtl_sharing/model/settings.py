"""Config groups ``pairing`` and ``head``. Without torch, so that the command line starts fast."""

from dataclasses import dataclass, field


@dataclass
class PairingConfig:
    """The ``pairing`` config group: how the two texts of a pair meet.

    Attributes:
        mode: ``joined`` puts both into one sequence, parted by [SEP]; ``separate`` encodes each
            by itself and joins ``features`` of the two pooled vectors.
        features: any of u, v, absdiff, product, in the order of the head's input.
    """

    mode: str = "joined"
    features: list[str] = field(default_factory=lambda: ["u", "v", "absdiff", "product"])


@dataclass
class HeadConfig:
    """The ``head`` config group.

    Attributes:
        depth: hidden layers between pooled text and output; 0 is a linear head.
        width: of each hidden layer; null is the encoder's hidden width.
        activation: relu, gelu or tanh, after each hidden layer.
        dropout: of what enters the head, and after each hidden layer.
        pooling: ``pooler``, ``cls`` or ``mean``; null is the pooler where the encoder has one,
            else cls.
        regression: loss of regression tasks over pairs that name none themselves.
    """

    depth: int = 0
    width: int | None = None
    activation: str = "relu"
    dropout: float = 0.1
    pooling: str | None = None
    regression: str = "mse"
