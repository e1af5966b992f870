"""The shape of one encoder tower, and how many parameters each of its stages has. No torch."""

from dataclasses import dataclass, fields
from typing import Any

from mtl_sharing.errors import UserError, check_above, check_known, check_range, check_rate, one_of

FAMILIES = ("bert", "roberta", "electra", "distilbert")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")

# ``model_type`` of a checkpoint's config.json to the family whose architecture it has.
_MODEL_TYPES = {name: name for name in FAMILIES} | {
    "xlm-roberta": "roberta",
    "camembert": "roberta",
}


_LOWEST = {
    "layers": 1, "hidden": 1, "heads": 1, "intermediate": 1, "vocabulary": 5, "positions": 8,
    "position_offset": 0, "token_types": 0, "embedding": 1,
}  # fmt: skip


@dataclass
class EncoderConfig:
    """The ``encoder`` config group. A null field is taken from the checkpoint's config.json.

    Attributes:
        checkpoint: local folder, hub id or ``pkg://package/folder``; null gives random weights.
        tokenizer: where the tokenizer comes from, same forms; null takes the checkpoint's own,
            or without one trains a WordPiece vocabulary on the suite's training texts.
        vocabulary: rows of the token embedding.
        positions: rows of the position embedding.
        position_offset: row of the first position (RoBERTa: padding id + 1).
        embedding: width of the embeddings (ELECTRA: may differ from ``hidden``).
        dropout: dropout of hidden states.
    """

    name: str = ""
    checkpoint: str | None = None
    tokenizer: str | None = None
    family: str | None = None
    layers: int | None = None
    hidden: int | None = None
    heads: int | None = None
    intermediate: int | None = None
    vocabulary: int | None = None
    positions: int | None = None
    position_offset: int | None = None
    token_types: int | None = None
    embedding: int | None = None
    activation: str | None = None
    epsilon: float | None = None
    pooler: bool | None = None
    dropout: float | None = None
    attention_dropout: float | None = None


@dataclass(frozen=True)
class EncoderShape:
    """Everything that fixes an encoder but its weights; fields as in :class:`EncoderConfig`.

    Attributes:
        pos_tags, entity_types: rows of the embeddings that tags add; 0 adds none. They come from
            the text, neither from config group ``encoder`` nor from a checkpoint.
    """

    family: str
    layers: int
    hidden: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    position_offset: int
    token_types: int
    embedding: int
    activation: str
    epsilon: float
    pooler: bool
    dropout: float = 0.1
    attention_dropout: float = 0.1
    pos_tags: int = 0
    entity_types: int = 0

    def __post_init__(self) -> None:
        check_known("encoder.family", self.family, FAMILIES)
        check_known("encoder.activation", self.activation, ACTIVATIONS)
        for name, low in _LOWEST.items():
            check_range(f"encoder.{name}", getattr(self, name), low)
        check_above("encoder.epsilon", self.epsilon, 0)
        if self.hidden % self.heads:
            found = f"{self.heads} heads for hidden width {self.hidden}"
            raise UserError("encoder.heads", found, "a divisor of encoder.hidden")
        for name in ("dropout", "attention_dropout"):
            check_rate(f"encoder.{name}", getattr(self, name))

    @property
    def tagged(self) -> bool:
        """Whether the embeddings read tags."""
        return self.pos_tags > 0 or self.entity_types > 0

    @property
    def max_length(self) -> int:
        """The longest sequence that the position embedding holds, in tokens."""
        return self.positions - self.position_offset

    def stage_parameters(self, stage: str) -> int:
        """Parameters of one copy of a stage: ``embeddings``, ``layer.<i>`` or ``pooler``."""
        hidden, inner, embedding = self.hidden, self.intermediate, self.embedding
        if stage == "embeddings":
            rows = self.vocabulary + self.positions + self.token_types
            tables = (rows + self.pos_tags + self.entity_types) * embedding
            projection = embedding * hidden + hidden if embedding != hidden else 0
            return tables + 2 * embedding + projection
        if stage == "pooler":
            return hidden * hidden + hidden
        attention = 4 * (hidden * hidden + hidden)
        return attention + 2 * hidden * inner + inner + hidden + 4 * hidden


SHAPE_FIELDS = tuple(
    field.name for field in fields(EncoderShape) if hasattr(EncoderConfig, field.name)
)
"""Fields of a shape that a config or a checkpoint gives."""
# Fields that describe how weights are used in training, not what they are.
_FREE_FIELDS = ("dropout", "attention_dropout")


def resolve_shape(config: EncoderConfig, checkpoint: dict[str, Any] | None) -> EncoderShape:
    """The shape that the config names, completed and checked by the checkpoint's config.json.

    Raises:
        UserError: the two disagree, or a field is in neither.
    """
    found = None if checkpoint is None else checkpoint_shape(checkpoint)
    values: dict[str, Any] = {}
    for name in SHAPE_FIELDS:
        wanted = getattr(config, name)
        theirs = None if found is None else getattr(found, name)
        if wanted is not None and theirs is not None and wanted != theirs:
            _refuse_difference(name, wanted, theirs)
        values[name] = theirs if wanted is None else wanted
        if values[name] is None:
            allowed = "a value, or an encoder.checkpoint that has one"
            raise UserError(f"encoder.{name}", "null", allowed)
    return EncoderShape(**values)


def _refuse_difference(name: str, wanted: object, theirs: object) -> None:
    if name in _FREE_FIELDS or name == "pooler":
        return
    raise UserError(
        f"encoder.{name}",
        wanted,
        f"{theirs}, which the checkpoint's config.json says (null takes the checkpoint's)",
    )


def checkpoint_shape(config: dict[str, Any]) -> EncoderShape:
    """The shape that a checkpoint's config.json describes, with that family's defaults.

    Raises:
        UserError: another family, or a variant that is not a plain encoder of its family.
    """
    kind = str(config.get("model_type", "none"))
    if kind not in _MODEL_TYPES:
        where = "encoder.checkpoint: model_type in config.json"
        raise UserError(where, kind, one_of(_MODEL_TYPES))
    if config.get("position_embedding_type", "absolute") != "absolute":
        where = "encoder.checkpoint: position_embedding_type in config.json"
        raise UserError(where, config["position_embedding_type"], "absolute")
    family = _MODEL_TYPES[kind]
    try:
        return _distilbert(config) if family == "distilbert" else _bert_like(family, config)
    except KeyError as error:
        where = f"encoder.checkpoint: {error.args[0]} in config.json"
        raise UserError(where, "nothing", "a complete config.json") from None


def _padding(config: dict[str, Any]) -> int:
    found = config.get("pad_token_id")
    return 1 if found is None else int(found)


def _bert_like(family: str, config: dict[str, Any]) -> EncoderShape:
    roberta, hidden = family == "roberta", config["hidden_size"]
    return EncoderShape(
        family=family,
        layers=config["num_hidden_layers"],
        hidden=hidden,
        heads=config["num_attention_heads"],
        intermediate=config["intermediate_size"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        position_offset=_padding(config) + 1 if roberta else 0,
        token_types=config.get("type_vocab_size", 2),
        embedding=config.get("embedding_size", 128) if family == "electra" else hidden,
        activation=config.get("hidden_act", "gelu"),
        epsilon=config.get("layer_norm_eps", 1e-12),
        pooler=family != "electra",
        dropout=config.get("hidden_dropout_prob", 0.1),
        attention_dropout=config.get("attention_probs_dropout_prob", 0.1),
    )


def _distilbert(config: dict[str, Any]) -> EncoderShape:
    return EncoderShape(
        family="distilbert",
        layers=config["n_layers"],
        hidden=config["dim"],
        heads=config["n_heads"],
        intermediate=config["hidden_dim"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        position_offset=0,
        token_types=0,
        embedding=config["dim"],
        activation=config.get("activation", "gelu"),
        epsilon=1e-12,
        pooler=False,
        dropout=config.get("dropout", 0.1),
        attention_dropout=config.get("attention_dropout", 0.1),
    )
