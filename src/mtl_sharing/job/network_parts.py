"""Builds a network's parts from the config: PALs, lanes, heads and losses."""

import logging
from collections.abc import Sequence

from mtl_sharing.config import Config
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, check_known, one_of
from mtl_sharing.model.encoder.shape import EncoderShape
from mtl_sharing.model.heads import PAIRINGS, PLACES, POOLINGS, check_features
from mtl_sharing.model.specs import HeadShape, LaneShape, PalShape, TaskHead
from mtl_sharing.objectives.losses import Objective, make_objective
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.plan.settings import LanesConfig, PalsConfig
from mtl_sharing.plan.template import scaled_width

log = logging.getLogger(__name__)


def make_pals(config: PalsConfig, encoder: EncoderShape, plan: SharingPlan) -> PalShape | None:
    """The projected attention layers that ``sharing.pals`` describes; None where it has no size.

    Raises:
        UserError: a setting that does not fit the encoder or the plan.
    """
    if config.size is None:
        _check_unset("sharing.pals", config, PalsConfig(), "size")
        return None
    heads = encoder.heads if config.heads is None else config.heads
    attention = config.kind == "attention"
    multiple, default = (max(1, heads), "shared") if attention else (1, "own")
    return PalShape(
        size=scaled_width("sharing.pals.size", config.size, encoder.hidden, multiple),
        heads=heads,
        kind=config.kind,
        activation=config.activation,
        projections=default if config.projections is None else config.projections,
        layers=_pal_layers(config.layers, plan),
    )


def _pal_layers(name: str, plan: SharingPlan) -> tuple[int, ...]:
    half = plan.depth // 2
    tasks = plan.tasks
    choices: dict[str, Sequence[int]] = {
        "all": range(plan.depth),
        "top": range(half, plan.depth),
        "bottom": range(half),
        "shared": [n for n, x in enumerate(plan.layers) if len(x.owners(tasks)) < len(tasks)],
    }
    check_known("sharing.pals.layers", name, choices)
    if not choices[name]:
        raise UserError("sharing.pals.layers", f"{name}, which no layer is", one_of(choices))
    return tuple(choices[name])


def _check_unset(where: str, config: object, default: object, switch: str) -> None:
    """Raises UserError for a setting of a part that is switched off."""
    if config != default:
        changed = {k: v for k, v in vars(config).items() if v != getattr(default, k)}
        allowed = f"{where}.{switch} too, which adds the part"
        raise UserError(where, f"{changed} without {where}.{switch}", allowed)


def make_lanes(config: Config, heads: Sequence[TaskHead]) -> LaneShape | None:
    """The lanes that ``sharing.lanes`` describes; None where it names no fusion.

    Raises:
        UserError: an unknown task, a circle, or a setting out of range.
    """
    lanes, names = config.sharing.lanes, [head.name for head in heads]
    if lanes.fusion is None:
        _check_unset("sharing.lanes", lanes, LanesConfig(), "fusion")
        return None
    for task in lanes.upstream:
        check_known("sharing.lanes.upstream", task, names)
    if lanes.upstream:
        upstream = {name: tuple(lanes.upstream.get(name, ())) for name in names}
    else:
        upstream = {head.name: _readable(head, heads[:n]) for n, head in enumerate(heads)}
    if any(upstream.values()):
        return LaneShape(upstream, lanes.fusion, lanes.upstream_rate, lanes.task_dropout)
    log.warning("no lanes: no head has another to read")
    return None


def _readable(reader: TaskHead, before: Sequence[TaskHead]) -> tuple[str, ...]:
    """The earlier heads that a head can read: a head of one text reads no head of pairs."""
    readable = tuple(head.name for head in before if reader.pair or not head.pair)
    if len(readable) < len(before):
        others = one_of(head.name for head in before if head.name not in readable)
        log.info("%s, a head of one text, does not read %s", reader.name, others)
    return readable


def make_head_shape(config: Config, shape: EncoderShape) -> HeadShape:
    """The hidden head layers that ``head`` asks for."""
    head, hidden = config.head, shape.hidden
    width = hidden if head.width is None else scaled_width("head.width", head.width, hidden)
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
    """The head of a task: the states that it reads, and how the two texts of a pair meet."""
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
    layer = config.head.layer if spec.layer is None else spec.layer
    if not -shape.layers <= layer < shape.layers:
        where = "head.layer" if spec.layer is None else f"task.{spec.name}.layer"
        allowed = f"0 to {shape.layers - 1} from below, or -1 to -{shape.layers} from above"
        raise UserError(where, layer, allowed)
    number = layer % shape.layers
    return None if number == shape.layers - 1 else number


def _pooling(task: str, config: Config, shape: EncoderShape, last: bool) -> str:
    pooling = config.head.pooling
    if pooling is None:
        top = "pooler" if shape.pooler else "cls"
        return top if last else "mean"
    check_known("head.pooling", pooling, POOLINGS)
    if pooling == "pooler" and not last:
        value = f"pooler, for task {task}, which reads a layer below the last"
        raise UserError("head.pooling", value, "cls, mean")
    return pooling
