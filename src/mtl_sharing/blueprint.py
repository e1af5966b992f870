"""Config to objects: the only place that knows both.

:class:`Blueprint` is everything that follows from the config alone; it reads no data and no
weights, so it also serves ``dry_run``. :class:`Material` is what was read for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from string import Formatter
from typing import Any

from mtl_sharing.checks import check_settings
from mtl_sharing.config import Config
from mtl_sharing.data.tasks import TaskSpec, task_spec
from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.model.checkpoint import Tower
from mtl_sharing.model.heads import (
    PAIRINGS,
    POOLINGS,
    HeadShape,
    TaskHead,
    check_features,
    check_shared_widths,
)
from mtl_sharing.model.network import Network
from mtl_sharing.model.shape import EncoderShape, resolve_shape
from mtl_sharing.model.sources import checkpoint_folder, read_config
from mtl_sharing.objectives.losses import Objective, make_objective
from mtl_sharing.plan import SharingPlan
from mtl_sharing.run.evaluate import Runtime, TaskMeasure
from mtl_sharing.run.precision import choose_device, choose_precision
from mtl_sharing.score.cost import HeadSize, PlanCost, plan_cost


@dataclass(frozen=True)
class Blueprint:
    """What the config describes, checked, before anything is read.

    Attributes:
        joined: for each task, whether a pair is one sequence.
    """

    config: Config
    specs: Mapping[str, TaskSpec]
    shape: EncoderShape
    plan: SharingPlan
    measures: Mapping[str, TaskMeasure]
    heads: tuple[TaskHead, ...]
    head_shape: HeadShape
    pooling: str
    joined: Mapping[str, bool]
    runtime: Runtime

    @property
    def baseline_plan(self) -> SharingPlan:
        """Nothing shared, same encoder and tasks."""
        return SharingPlan.split(0, self.plan.tasks, self.shape.layers)

    def cost(self, plan: SharingPlan) -> PlanCost:
        """Parameters of ``plan`` with this encoder and these heads."""
        sizes = [
            HeadSize(h.name, h.input_width(self.shape.hidden), h.outputs, h.cosine)
            for h in self.heads
        ]
        depth, width = self.head_shape.depth, self.head_shape.width
        return plan_cost(plan, self.shape, sizes, depth, width, self.pooling == "pooler")

    def network(self, plan: SharingPlan, tower: Tower) -> Network:
        """A network of ``plan`` that starts from ``tower``."""
        network = Network(
            self.shape, plan, tower, self.heads, self.head_shape, self.pooling, self.config.seed
        )
        return network.to(self.runtime.device)


def make_blueprint(config: Config) -> Blueprint:
    """Checks the config and derives everything that needs no data.

    Raises:
        UserError: naming the first field that does not fit.
    """
    specs = _tasks(config)
    shape = _shape(config)
    plan = make_plan(config, tuple(specs), shape.layers)
    check_settings(config, plan)
    joined = {name: _pairing(name, spec, config) == "joined" for name, spec in specs.items()}
    objectives = {name: _objective(spec, config, joined[name]) for name, spec in specs.items()}
    heads = tuple(_head(specs[n], objectives[n], config, joined[n]) for n in specs)
    head_shape = _head_shape(config, shape)
    check_shared_widths(
        plan, head_shape.depth, {h.name: h.input_width(shape.hidden) for h in heads}
    )
    blueprint = Blueprint(
        config=config,
        specs=specs,
        shape=shape,
        plan=plan,
        measures={
            name: TaskMeasure(objectives[name], spec.kind, spec.metric, spec.classes or 0)
            for name, spec in specs.items()
        },
        heads=heads,
        head_shape=head_shape,
        pooling=_pooling(config, shape),
        joined=joined,
        runtime=_runtime(config, shape),
    )
    if not config.dry_run:
        # Last, as it may ask the hub: every mistake that needs no network is told without.
        resolve_shape(config.encoder, _checkpoint_config(config))
    return blueprint


def _head_shape(config: Config, shape: EncoderShape) -> HeadShape:
    head = config.head
    width = shape.hidden if head.width is None else head.width
    return HeadShape(head.depth, width, head.activation, head.dropout)


def _runtime(config: Config, shape: EncoderShape) -> Runtime:
    options = config.trainer
    device = choose_device(options.device)
    # Nothing is multiplied in a dry run, so nothing needs to be tried.
    wanted = "fp32" if config.dry_run and options.precision == "auto" else options.precision
    precision = choose_precision(wanted, device, shape.hidden)
    return Runtime(device, precision, options.eval_batch_size)


def make_plan(config: Config, tasks: tuple[str, ...], layers: int) -> SharingPlan:
    """The plan that ``sharing`` and ``split`` describe for an encoder with ``layers`` layers.

    Raises:
        UserError: a depth outside 0..layers, or a plan that breaks a rule of the notation.
    """
    sharing, where = config.sharing, "sharing.plan"
    text = sharing.plan
    if text is None and not sharing.template:
        raise UserError(where, "null", "a plan, such as sharing.plan=F4-S4-I4")
    if text is None:
        where, text = "sharing.template", _fill(config, layers)
    return SharingPlan.parse(text, tasks, layers, config.head.depth, where=where)


def _fill(config: Config, layers: int) -> str:
    """The regime's template with its numbers."""
    known = {"split": config.split, "layers": layers} | dict(config.sharing.depths)
    template = config.sharing.template
    try:
        fields_named = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise UserError(
            "sharing.template", f"{template} ({error})", "{name} for a number"
        ) from None
    names = [name for name in fields_named if name != "rest"]
    for name in names:
        where = "split" if name == "split" else f"sharing.depths.{name}"
        if name not in known:
            raise UserError("sharing.template", f"{{{name}}}", f"names in sharing.depths, {known}")
        if not 0 <= known[name] <= layers:
            raise UserError(where, known[name], f"0 to {layers}, the encoder's layers")
    rest = layers - sum(known[name] for name in names)
    if rest < 0:
        used = one_of(f"{name}={known[name]}" for name in names)
        raise UserError("sharing.depths", used, f"depths that add up to at most {layers}")
    return template.format(**known, rest=rest)


def _tasks(config: Config) -> dict[str, TaskSpec]:
    names = list(config.task) if config.suite.tasks is None else config.suite.tasks
    for name in names:
        if name not in config.task:
            found = name + did_you_mean(name, config.task)
            raise UserError("suite.tasks", found, one_of(config.task))
    if not names:
        raise UserError("suite.tasks", "no task", "at least one task")
    return {name: task_spec(name, config.task[name]) for name in names}


def _shape(config: Config) -> EncoderShape:
    """The encoder's shape: the config's where it says everything, else the checkpoint's."""
    complete = all(
        getattr(config.encoder, field.name) is not None for field in fields(EncoderShape)
    )
    shape = resolve_shape(config.encoder, None if complete else _checkpoint_config(config))
    if not 8 <= config.suite.max_length <= shape.max_length:
        allowed = f"8 to {shape.max_length}, the encoder's positions"
        raise UserError("suite.max_length", config.suite.max_length, allowed)
    return shape


def _checkpoint_config(config: Config) -> dict[str, Any] | None:
    source = config.encoder.checkpoint
    return None if source is None else read_config(checkpoint_folder(source))


def _pairing(name: str, spec: TaskSpec, config: Config) -> str:
    field = "pairing.mode" if spec.pairing is None else f"task.{name}.pairing"
    mode = config.pairing.mode if spec.pairing is None else spec.pairing
    if mode not in PAIRINGS:
        raise UserError(field, mode + did_you_mean(mode, PAIRINGS), one_of(PAIRINGS))
    return mode


def _objective(spec: TaskSpec, config: Config, joined: bool) -> Objective:
    """The task's loss; ``head.regression`` is for pairs of texts, which a cosine can compare."""
    name, loss, field = spec.name, spec.loss, f"task.{spec.name}.loss"
    if loss is None and spec.kind == "regression" and spec.is_pair:
        loss, field = config.head.regression, "head.regression"
    low, high = spec.low or 0.0, spec.high or 0.0
    objective = make_objective(loss, spec.kind, field, spec.classes or 0, low, high)
    if objective.cosine and (joined or not spec.is_pair):
        allowed = "pairs of texts with pairing=separate"
        raise UserError(field, f"{loss} for task {name}, whose input is one sequence", allowed)
    return objective


def _head(spec: TaskSpec, objective: Objective, config: Config, joined: bool) -> TaskHead:
    separate = spec.is_pair and not joined and not objective.cosine
    features = check_features(config.pairing.features) if separate else ()
    return TaskHead(spec.name, objective.outputs, features, objective.cosine, objective.bias)


def _pooling(config: Config, shape: EncoderShape) -> str:
    pooling = config.head.pooling
    if pooling is None:
        return "pooler" if shape.pooler else "cls"
    if pooling not in POOLINGS:
        raise UserError("head.pooling", pooling + did_you_mean(pooling, POOLINGS), one_of(POOLINGS))
    if pooling == "pooler" and not shape.pooler:
        raise UserError("head.pooling", f"pooler, which {shape.family} lacks", "cls, mean")
    return pooling
