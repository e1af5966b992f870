"""A task's tower as the plain model of its family in ``transformers``, and its tokenizer."""

import json
from dataclasses import replace
from typing import Any, cast

from tokenizers import Tokenizer
from torch import Tensor

from mtl_sharing.errors import UserError
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.checkpoint import checkpoint_weights
from mtl_sharing.model.encoder.shape import POOLER_FAMILIES, EncoderShape, checkpoint_config
from mtl_sharing.model.planned_encoder import PlannedEncoder
from mtl_sharing.model.routing import StageCopies
from mtl_sharing.utils.checkpoint_names import TokenizerFile

CLASSES = {"bert": "BertModel", "roberta": "RobertaModel", "electra": "ElectraModel",
           "distilbert": "DistilBertModel"}  # fmt: skip
# In the vocabularies of BERT and of RoBERTa.
_SPECIAL = {
    "unk_token": ("[UNK]", "<unk>"), "sep_token": ("[SEP]", "</s>"),
    "pad_token": ("[PAD]", "<pad>"), "cls_token": ("[CLS]", "<s>"),
    "mask_token": ("[MASK]", "<mask>"),
}  # fmt: skip


def obstacles(architecture: Architecture) -> list[str]:
    """Descriptions of the network's parts that no plain model has."""
    parts = {
        "PALs beside its layers": architecture.pals is not None,
        "lanes between its heads": architecture.lanes is not None,
        "embeddings of tags": architecture.encoder.tagged,
    }
    return [description for description, present in parts.items() if present]


def check_shape(shape: EncoderShape) -> None:
    """Raises UserError for a field that the family's plain model cannot have."""
    family, roberta = shape.family, shape.family == "roberta"
    allowed = {
        "position_offset": (shape.position_offset > 0 if roberta else shape.position_offset == 0,
                            "1 or more" if roberta else "0"),
        "embedding": (family == "electra" or shape.embedding == shape.hidden,
                      f"encoder.hidden={shape.hidden}"),
        "token_types": ((shape.token_types > 0) != (family == "distilbert"),
                        "0" if family == "distilbert" else "1 or more"),
        "epsilon": (family != "distilbert" or shape.epsilon == 1e-12, "1e-12"),
    }  # fmt: skip
    for name, (fits, values) in allowed.items():
        if not fits:
            found = f"{getattr(shape, name)} in an encoder of family {family}"
            raise UserError(f"encoder.{name}", found, f"{values}, for a plain model of that family")


def layers_read(architecture: Architecture, task: str) -> int:
    """The number of encoder layers below the task's head."""
    return architecture.read.get(task, architecture.encoder.layers - 1) + 1


def pools_in_model(architecture: Architecture, task: str) -> bool:
    """Whether the plain model has the pooler that the task's head reads."""
    pooling = architecture.head_of(task).pooling
    return pooling == "pooler" and architecture.encoder.family in POOLER_FAMILIES


def drops_pooler(architecture: Architecture, task: str) -> bool:
    """Whether the family's plain model has a pooler that the task's head does not read."""
    family, pooling = architecture.encoder.family, architecture.head_of(task).pooling
    return pooling != "pooler" and family in POOLER_FAMILIES


def plain_config(shape: EncoderShape, layers: int, padding: int) -> dict[str, Any]:
    """The content of the config.json of a plain model with ``layers`` layers.

    Args:
        padding: id of the padding token. RoBERTa counts positions from it.
    """
    head = {"model_type": shape.family, "architectures": [CLASSES[shape.family]]}
    return head | checkpoint_config(replace(shape, layers=layers), padding) | {"dtype": "float32"}


def model_weights(
    encoder: PlannedEncoder, architecture: Architecture, task: str
) -> dict[str, Tensor]:
    """The plain model's weights by their names in ``transformers``."""
    poolers = [encoder.pooler] if pools_in_model(architecture, task) else []
    layers = list(encoder.layers)[: layers_read(architecture, task)]
    copies = [cast(StageCopies, stage) for stage in (encoder.embeddings, *layers, *poolers)]
    tower = {stage.name: stage.copy_of(task).state_dict() for stage in copies}
    return checkpoint_weights(tower, architecture.encoder.family)


def _special_tokens(tokenizer: Tokenizer) -> dict[str, str]:
    """The special tokens by role. Only those that the tokenizer has: a new one would change ids."""
    added = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
    present = {role: [n for n in names if n in added] for role, names in _SPECIAL.items()}
    return {role: names[0] for role, names in present.items() if names}


def padding_id(tokenizer: Tokenizer, offset: int) -> int:
    """The id of the padding token.

    Args:
        offset: of RoBERTa's positions; 0 for other families. ``transformers`` counts positions
            from the padding token's id, and skips tokens of this id.

    Raises:
        UserError: an offset that is not the padding token's id + 1.
    """
    token = _special_tokens(tokenizer).get("pad_token")
    number = None if token is None else tokenizer.token_to_id(token)
    if number is None and offset == 0:
        # Attention skips padding, so any token serves, but an ordinary one would become special.
        added = tokenizer.get_added_tokens_decoder().items()
        number = min((index for index, token in added if token.special), default=0)
    padding: int = offset - 1 if number is None else number
    if offset > 0 and padding != offset - 1:
        found = f"{offset}, where the tokenizer pads with {token} (id {padding})"
        raise UserError("encoder.position_offset", found, f"{padding + 1}, for a plain RoBERTa")
    return padding


def tokenizer_files(
    tokenizer: Tokenizer, max_length: int, token_types: int, padding: int
) -> dict[str, dict[str, Any]]:
    """The content of each JSON file, by name.

    Args:
        max_length: at which the run cut texts, in tokens.
        token_types: rows of the encoder's token-type embedding. With one or none the encoder
            reads every token as the first type, so no types are passed.
        padding: id of the padding token.
    """
    content = json.loads(tokenizer.to_str()) | {"truncation": None, "padding": None}
    special = _special_tokens(tokenizer) | {"pad_token": str(tokenizer.id_to_token(padding))}
    side = (tokenizer.truncation or {}).get("direction", "right")
    inputs = ["input_ids", *(["token_type_ids"] if token_types > 1 else []), "attention_mask"]
    # This class reads tokenizer.json unchanged, without rules of a model family.
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": max_length,
        "model_input_names": inputs, "padding_side": "right", "truncation_side": side,
        "clean_up_tokenization_spaces": False,
    }  # fmt: skip
    return {
        TokenizerFile.WHOLE: content,
        TokenizerFile.OPTIONS: settings | special,
        TokenizerFile.SPECIAL_TOKENS: special,
    }
