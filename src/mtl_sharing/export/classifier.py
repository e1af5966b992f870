"""A task's tower and head as the sequence classifier of its family in ``transformers``."""

from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from mtl_sharing.export.head import head_weights
from mtl_sharing.export.plain import model_weights
from mtl_sharing.model.routing import StageCopies
from mtl_sharing.objectives import losses
from mtl_sharing.predict.answer_columns import class_names
from mtl_sharing.predict.loaded_run import LoadedRun


@dataclass(frozen=True)
class Classifier:
    """A class of ``AutoModelForSequenceClassification``.

    All of them map the first token's last state, of the encoder's width, by a dense layer of that
    width, an activation and an output layer.

    Attributes:
        name: of the class.
        dense, output: names of the two layers' weights.
        activation: between the layers.
        dropout: the head's dropout in config.json.
    """

    name: str
    dense: str
    output: str
    activation: str
    dropout: str = "classifier_dropout"


_HEAD = ("classifier.dense", "classifier.out_proj")
CLASSIFIERS = {
    "bert": Classifier("BertForSequenceClassification", "bert.pooler.dense", "classifier", "tanh"),
    "roberta": Classifier("RobertaForSequenceClassification", *_HEAD, "tanh"),
    "electra": Classifier("ElectraForSequenceClassification", *_HEAD, "gelu"),
    "distilbert": Classifier("DistilBertForSequenceClassification", "pre_classifier", "classifier",
                             "relu", "seq_classif_dropout"),
}  # fmt: skip


def obstacle(run: LoadedRun, task: str) -> str | None:
    """Why the family's classifier cannot have the task's head; None where it can."""
    objective = run.run_spec.measures[task].objective
    if run.run_spec.architecture.head_of(task).pair:
        return "its head joins two texts that are encoded apart"
    if isinstance(objective, losses.ExpectedClass):
        return "its value is the mean of a distribution over classes"
    if isinstance(objective, losses.SquaredError) and objective.whole:
        return "its probabilities come from no logits"
    return None if _fits(run, task) else f"its head is {_describe_head(run, task)}"


def _fits(run: LoadedRun, task: str) -> bool:
    """Whether the layers of a head of one vector can be those of the classifier."""
    architecture = run.run_spec.architecture
    head, shape = architecture.head_of(task), architecture.head
    hidden, activation = architecture.encoder.hidden, _classifier(run).activation
    if head.pooling == "pooler":
        return shape.depth == 0 and activation == "tanh"
    if head.pooling != "cls" or shape.depth > 1:
        return False
    if shape.depth == 1:
        return shape.activation == activation and shape.width <= hidden
    return activation != "tanh" and 2 * head.outputs <= hidden


def _describe_head(run: LoadedRun, task: str) -> str:
    architecture, shape = run.run_spec.architecture, run.run_spec.architecture.head
    count = "1 hidden layer" if shape.depth == 1 else f"{shape.depth} hidden layers"
    layers = f"{count} of width {shape.width} with {shape.activation}"
    read = {"pooler": "the pooler", "cls": "the first token", "mean": "the mean of all tokens"}
    pooled = read[architecture.head_of(task).pooling]
    return f"{layers if shape.depth else 'linear'} on {pooled}"


def _classifier(run: LoadedRun) -> Classifier:
    return CLASSIFIERS[run.run_spec.shape.family]


def classifier_config(run: LoadedRun, task: str) -> dict[str, Any]:
    """The fields of config.json beside those of the plain model."""
    spec, classifier = run.run_spec.specs[task], _classifier(run)
    names = [str(name) for name in class_names(spec)] or [task]
    return {
        "architectures": [classifier.name],
        "problem_type": "single_label_classification" if spec.classes else "regression",
        "id2label": {str(number): name for number, name in enumerate(names)},
        "label2id": {name: number for number, name in enumerate(names)},
        classifier.dropout: run.run_spec.architecture.head.dropout,
    }


def classifier_weights(run: LoadedRun, task: str) -> dict[str, Tensor]:
    """The classifier's weights by their names in ``transformers``."""
    architecture, classifier = run.run_spec.architecture, _classifier(run)
    tower = model_weights(run.network.encoder, architecture, task)
    family = architecture.encoder.family
    # Of these classes BERT's alone has a pooler, which is the dense layer.
    tower = {name: value for name, value in tower.items() if not name.startswith("pooler.")}
    weights = {f"{family}.{name}": value for name, value in tower.items()}
    dense, output = _layers(run, task)
    width = architecture.encoder.hidden - len(dense.bias)
    # Zero units fill a narrower layer up: each activation of 0 is 0.
    return weights | {
        f"{classifier.dense}.weight": F.pad(dense.weight, (0, 0, 0, width)),
        f"{classifier.dense}.bias": F.pad(dense.bias, (0, width)),
        f"{classifier.output}.weight": F.pad(output.weight, (0, width)).contiguous(),
        f"{classifier.output}.bias": output.bias,
    }


class _Linear(NamedTuple):
    weight: Tensor
    bias: Tensor


def _layers(run: LoadedRun, task: str) -> tuple[_Linear, _Linear]:
    """The dense layer, which may be narrower than the encoder, and the output layer."""
    weights = head_weights(run, task)
    output = _Linear(weights["output.weight"], weights["output.bias"])
    if run.run_spec.architecture.head_of(task).pooling == "pooler":
        pooler: Any = cast(StageCopies, run.network.encoder.pooler).copy_of(task)
        pooled = {name: value.float().cpu() for name, value in pooler.dense.state_dict().items()}
        dense = _Linear(pooled["weight"], pooled["bias"])
    elif run.run_spec.architecture.head.depth:
        dense = _Linear(weights["hidden.0.weight"], weights["hidden.0.bias"])
    else:
        dense, output = _through_activation(output)
    if isinstance(run.run_spec.measures[task].objective, losses.BinaryCrossEntropy):
        output = _two_logits(output)
    return dense, output


def _through_activation(linear: _Linear) -> tuple[_Linear, _Linear]:
    """A linear layer as two with ReLU or exact GELU between them: ``z = a(z) - a(-z)``."""
    outputs = len(linear.bias)
    dense = _Linear(*(torch.cat([value, -value]) for value in linear))
    identity = torch.eye(outputs)
    return dense, _Linear(torch.cat([identity, -identity], dim=1), torch.zeros(outputs))


def _two_logits(output: _Linear) -> _Linear:
    """Logits 0 and z of one logit z: the softmax of (0, z) is (1 - sigmoid(z), sigmoid(z))."""
    return _Linear(F.pad(output.weight, (0, 0, 1, 0)), F.pad(output.bias, (1, 0)))
