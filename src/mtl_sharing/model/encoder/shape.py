"""The shape of an encoder tower, from the config and a checkpoint's config.json. No torch."""

from dataclasses import dataclass, fields
from typing import Any

from mtl_sharing.errors import UserError, check_above, check_known, check_range, check_rate, one_of

FAMILIES = ("bert", "roberta", "electra", "distilbert")
ACTIVATIONS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "relu", "silu", "swish", "tanh")

# ``model_type`` of a checkpoint's config.json to the family that has its architecture.
_MODEL_TYPES = {n: n for n in FAMILIES} | {"xlm-roberta": "roberta", "camembert": "roberta"}

# Field to its name in config.json, in the order that a written config.json has.
_BERT_NAMES = {
    "vocabulary": "vocab_size", "hidden": "hidden_size", "heads": "num_attention_heads",
    "intermediate": "intermediate_size", "activation": "hidden_act",
    "dropout": "hidden_dropout_prob", "attention_dropout": "attention_probs_dropout_prob",
    "positions": "max_position_embeddings", "token_types": "type_vocab_size",
    "epsilon": "layer_norm_eps", "layers": "num_hidden_layers",
}  # fmt: skip
_NAMES = {
    "bert": _BERT_NAMES,
    "roberta": _BERT_NAMES,
    "electra": _BERT_NAMES | {"embedding": "embedding_size"},
    "distilbert": {
        "vocabulary": "vocab_size", "hidden": "dim", "heads": "n_heads",
        "intermediate": "hidden_dim", "activation": "activation", "dropout": "dropout",
        "attention_dropout": "attention_dropout", "positions": "max_position_embeddings",
        "layers": "n_layers",
    },
}  # fmt: skip
# Values of fields that a config.json may leave out, or that a family has no name for.
_DEFAULTS: dict[str, Any] = {
    "activation": "gelu", "dropout": 0.1, "attention_dropout": 0.1, "token_types": 2,
    "epsilon": 1e-12,
}  # fmt: skip
_FAMILY_DEFAULTS = {"electra": {"embedding": 128}, "distilbert": {"token_types": 0}}
POOLER_FAMILIES = ("bert", "roberta")
"""Families whose plain model has a pooler."""

_MINIMUM = {
    "layers": 1, "hidden": 1, "heads": 1, "intermediate": 1, "vocabulary": 5, "positions": 8,
    "position_offset": 0, "token_types": 0, "embedding": 1,
}  # fmt: skip


@dataclass
class EncoderConfig:
    """The ``encoder`` config group. A null field takes the value of the checkpoint's config.json.

    Attributes:
        name: the encoder's name for people.
        checkpoint: local folder, hub id or ``pkg://package/folder``; null gives random weights.
        tokenizer: source of the tokenizer, in the same forms. Null takes the checkpoint's own, or
            without a checkpoint trains a WordPiece vocabulary on the suite's training texts.
        family: architecture of the encoder.
        layers: depth of the encoder.
        hidden: width of the hidden states.
        heads: attention heads of each layer, which divide ``hidden``.
        intermediate: width of each layer's feed-forward part.
        vocabulary: rows of the token embedding.
        positions: rows of the position embedding.
        position_offset: row of the first position (RoBERTa: padding id + 1).
        token_types: rows of the embedding that tells a pair's texts apart; 0 has none.
        embedding: width of the embeddings (ELECTRA: may differ from ``hidden``).
        activation: function of the feed-forward parts.
        epsilon: added to the variance in layer norms.
        pooler: whether the encoder has a dense layer above the first token.
        dropout: dropout of hidden states.
        attention_dropout: dropout of attention weights.
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
    """An encoder without its weights. Fields as in :class:`EncoderConfig`.

    Attributes:
        pos_tags, entity_types: rows of the tag embeddings; 0 has none. They depend on the text,
            neither on config group ``encoder`` nor on a checkpoint.
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
        for name, minimum in _MINIMUM.items():
            check_range(f"encoder.{name}", getattr(self, name), minimum)
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


SHAPE_FIELDS = tuple(f.name for f in fields(EncoderShape) if hasattr(EncoderConfig, f.name))
"""Fields of a shape that a config or a checkpoint sets."""
# Fields in which a config may differ from its checkpoint: the weights fit either value.
_FREE_FIELDS = ("dropout", "attention_dropout", "pooler")

_SOURCES = "a folder, a hub id or pkg://package/folder that the shape is read from, or the shape"


def resolve_shape(config: EncoderConfig, checkpoint: dict[str, Any] | None) -> EncoderShape:
    """The shape of the config, completed and checked by the checkpoint's config.json.

    Raises:
        UserError: the two disagree, or a field is in neither.
    """
    loaded = None if checkpoint is None else checkpoint_shape(checkpoint)
    values: dict[str, Any] = {}
    for name in SHAPE_FIELDS:
        value, theirs = getattr(config, name), getattr(loaded, name, None)
        if None not in (value, theirs) and value != theirs and name not in _FREE_FIELDS:
            allowed = f"{theirs}, as in the checkpoint's config.json (null takes the checkpoint's)"
            raise UserError(f"encoder.{name}", value, allowed)
        values[name] = theirs if value is None else value
        if values[name] is None:
            if config.checkpoint is None:
                raise UserError("encoder.checkpoint", f"null, and encoder.{name} null", _SOURCES)
            raise UserError(f"encoder.{name}", "null", "a value: the checkpoint has none")
    return EncoderShape(**values)


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
    names = _NAMES[family]
    values = _DEFAULTS | _FAMILY_DEFAULTS.get(family, {})
    values |= {field: config[name] for field, name in names.items() if name in config}
    missing = [name for field, name in names.items() if field not in values]
    if missing:
        where = f"encoder.checkpoint: {missing[0]} in config.json"
        raise UserError(where, "nothing", "a complete config.json")
    padding = config.get("pad_token_id")
    # RoBERTa counts positions from the row after the padding id, which is 1 by default.
    offset = (1 if padding is None else int(padding)) + 1 if family == "roberta" else 0
    pooler = family in POOLER_FAMILIES
    values = {"embedding": values["hidden"], "position_offset": offset, "pooler": pooler} | values
    return EncoderShape(family=family, **values)


def checkpoint_config(shape: EncoderShape, padding: int) -> dict[str, Any]:
    """The config.json of an encoder, by the names of ``transformers``.

    The inverse of :func:`checkpoint_shape`, for shapes that the family can have.

    Args:
        padding: id of the padding token. RoBERTa counts positions from it.
    """
    values = {name: getattr(shape, field) for field, name in _NAMES[shape.family].items()}
    return {"model_type": shape.family, **values, "pad_token_id": padding}
