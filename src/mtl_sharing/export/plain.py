"""A task's tower as the plain model of its family in ``transformers``: weights and config."""

from dataclasses import replace
from typing import Any, cast

from torch import Tensor

from mtl_sharing.errors import UserError
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.checkpoint import checkpoint_weights
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.model.encoder.shape import EncoderShape, checkpoint_config
from mtl_sharing.model.planned_encoder import PlannedEncoder
from mtl_sharing.model.routing import StageCopies

CLASSES = {
    "bert": "BertModel",
    "roberta": "RobertaModel",
    "electra": "ElectraModel",
    "distilbert": "DistilBertModel",
}
# Families whose plain model has a pooler.
WITH_POOLER = ("bert", "roberta")


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
    pooling = {head.name: head.pooling for head in architecture.heads}[task]
    return pooling == "pooler" and architecture.encoder.family in WITH_POOLER


def plain_config(shape: EncoderShape, layers: int, padding: int) -> dict[str, Any]:
    """The content of the config.json of a plain model with ``layers`` layers.

    Args:
        padding: id of the padding token. RoBERTa counts positions from it.
    """
    head = {"model_type": shape.family, "architectures": [CLASSES[shape.family]]}
    return head | checkpoint_config(replace(shape, layers=layers), padding) | {"dtype": "float32"}


def task_tower(encoder: PlannedEncoder, task: str, layers: int, pooler: bool) -> Tower:
    """The weights of the task's embeddings, its lowest ``layers`` layers and its pooler."""
    stages = [encoder.embeddings, *list(encoder.layers)[:layers]]
    stages += [encoder.pooler] if pooler and encoder.pooler is not None else []
    copies = [cast(StageCopies, stage) for stage in stages]
    return {stage.name: copy_of(stage, task).state_dict() for stage in copies}


def copy_of(stage: StageCopies, task: str) -> Any:
    """The copy of a stage that the task owns, alone or with others."""
    number = next(n for n, owners in enumerate(stage.owners) if task in owners)
    return stage.copies[number]


def model_weights(
    encoder: PlannedEncoder, architecture: Architecture, task: str
) -> dict[str, Tensor]:
    """The plain model's weights by their names in ``transformers``."""
    layers, pooler = layers_read(architecture, task), pools_in_model(architecture, task)
    return checkpoint_weights(
        task_tower(encoder, task, layers, pooler), architecture.encoder.family
    )
