"""From the config to each task's loss and head."""

from mtl_sharing.config import Config
from mtl_sharing.data.tasks import TaskSpec
from mtl_sharing.errors import UserError, check_known
from mtl_sharing.model.heads import PAIRINGS, PLACES, POOLINGS, check_features
from mtl_sharing.model.parts import HeadShape, TaskHead
from mtl_sharing.model.shape import EncoderShape
from mtl_sharing.objectives.losses import Objective, make_objective
from mtl_sharing.regime import scaled_width


def make_head_shape(config: Config, shape: EncoderShape) -> HeadShape:
    """The hidden head layers that ``head`` asks for."""
    head, width = config.head, shape.hidden
    if head.width is not None:
        width = scaled_width("head.width", head.width, shape.hidden)
    return HeadShape(head.depth, width, head.activation, head.dropout)


def is_joined(spec: TaskSpec, config: Config) -> bool:
    """Whether a pair of texts is one sequence."""
    field = "pairing.mode" if spec.pairing is None else f"task.{spec.name}.pairing"
    mode = config.pairing.mode if spec.pairing is None else spec.pairing
    check_known(field, mode, PAIRINGS)
    return mode == "joined"


def make_task_objective(spec: TaskSpec, config: Config) -> Objective:
    """The task's loss; ``head.regression`` is for pairs of texts, which a cosine can compare."""
    name, loss, field = spec.name, spec.loss, f"task.{spec.name}.loss"
    if loss is None and spec.kind == "regression" and spec.is_pair:
        loss, field = config.head.regression, "head.regression"
    low, high = spec.low or 0.0, spec.high or 0.0
    objective = make_objective(loss, spec.kind, field, spec.classes or 0, low, high)
    if objective.cosine and (is_joined(spec, config) or not spec.is_pair):
        allowed = "pairs of texts with pairing=separate"
        raise UserError(field, f"{loss} for task {name}, whose input is one sequence", allowed)
    return objective


def make_task_head(
    spec: TaskSpec, objective: Objective, config: Config, shape: EncoderShape
) -> TaskHead:
    """The task's head: what it reads of the encoder, and how the two texts of a pair meet."""
    check_known("pairing.place", config.pairing.place, PLACES)
    separate = spec.is_pair and not is_joined(spec, config) and not objective.cosine
    layer = _read_layer(spec, config, shape)
    return TaskHead(
        name=spec.name,
        outputs=objective.outputs,
        features=check_features(config.pairing.features) if separate else (),
        late=separate and config.pairing.place == "output",
        cosine=objective.cosine,
        bias=objective.bias,
        layer=layer,
        pooling=_pooling(spec.name, config, shape, last=layer is None),
    )


def _read_layer(spec: TaskSpec, config: Config, shape: EncoderShape) -> int | None:
    """The layer that the task's head reads, counted from below; None for the last."""
    own = spec.layer is not None
    layer = spec.layer if spec.layer is not None else config.head.layer
    if not -shape.layers <= layer < shape.layers:
        where = f"task.{spec.name}.layer" if own else "head.layer"
        allowed = f"0 to {shape.layers - 1} from below, or -1 to -{shape.layers} from above"
        raise UserError(where, layer, allowed)
    number = layer % shape.layers
    return None if number == shape.layers - 1 else number


def _pooling(task: str, config: Config, shape: EncoderShape, last: bool) -> str:
    pooling = config.head.pooling
    if pooling is None and not last:
        return "mean"
    if pooling is None:
        return "pooler" if shape.pooler else "cls"
    check_known("head.pooling", pooling, POOLINGS)
    if pooling == "pooler" and not last:
        found = f"pooler, for task {task}, which reads a layer below the last"
        raise UserError("head.pooling", found, "cls, mean")
    return pooling
