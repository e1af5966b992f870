"""Config to objects: the only place that knows both.

:class:`Blueprint` is everything that follows from the config alone; it reads no data and no
weights, so it also serves ``dry_run``. :class:`Material` is what was read for it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mtl_sharing.checks import check_reference, check_settings
from mtl_sharing.config import Config
from mtl_sharing.data.tagging import TagScheme, tag_scheme
from mtl_sharing.data.tasks import TaskSpec, task_spec
from mtl_sharing.errors import UserError, check_known
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.checkpoint import Tower
from mtl_sharing.model.network import Network
from mtl_sharing.model.shape import SHAPE_FIELDS, EncoderShape, resolve_shape
from mtl_sharing.model.sources import checkpoint_folder, read_config
from mtl_sharing.objectives.aggregation import SUM
from mtl_sharing.objectives.settings import TieConfig
from mtl_sharing.plan import SharingPlan
from mtl_sharing.regime import make_lanes, make_pals, make_plan
from mtl_sharing.run.evaluate import Runtime, TaskMeasure
from mtl_sharing.run.precision import choose_device, choose_precision
from mtl_sharing.run.threads import set_threads
from mtl_sharing.task_heads import (
    is_joined,
    make_head_shape,
    make_task_head,
    make_task_objective,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Blueprint:
    """What the config describes, checked, before anything is read.

    Attributes:
        joined: for each task, whether a pair is one sequence.
        tags: what the tags of words mean, where there are any.
    """

    config: Config
    specs: Mapping[str, TaskSpec]
    architecture: Architecture
    measures: Mapping[str, TaskMeasure]
    joined: Mapping[str, bool]
    runtime: Runtime
    tags: TagScheme | None = None

    @property
    def shape(self) -> EncoderShape:
        """One tower's shape."""
        return self.architecture.encoder

    @property
    def plan(self) -> SharingPlan:
        """Who owns which stage."""
        return self.architecture.plan

    @property
    def baseline(self) -> Architecture:
        """Nothing shared and nothing added: same encoder, tasks and heads."""
        plan = SharingPlan.split(0, self.plan.tasks, self.shape.layers)
        return replace(self.architecture, plan=plan, pals=None, lanes=None)

    def network(self, architecture: Architecture, tower: Tower) -> Network:
        """A network of ``architecture`` that starts from ``tower``."""
        return Network(architecture, tower, self.config.seed).to(self.runtime.device)


def make_blueprint(config: Config) -> Blueprint:
    """Checks the config and derives everything that needs no data.

    Raises:
        UserError: naming the first field that does not fit.
    """
    specs = _tasks(config)
    shape = _shape(config)
    check_settings(config, specs)
    tags = tag_scheme(config.suite.tags)
    if tags is not None:
        pos, entities = tags.rows
        shape = replace(shape, pos_tags=pos, entity_types=entities)
    plan = make_plan(config, tuple(specs), shape.layers)
    objectives = {name: make_task_objective(spec, config) for name, spec in specs.items()}
    heads = tuple(make_task_head(specs[n], objectives[n], config, shape) for n in specs)
    blueprint = Blueprint(
        config=config,
        specs=specs,
        architecture=Architecture(
            encoder=shape,
            plan=plan,
            heads=heads,
            head=make_head_shape(config, shape),
            pals=make_pals(config.sharing.pals, shape, plan),
            lanes=make_lanes(config, heads),
        ),
        measures={
            name: TaskMeasure(objectives[name], spec.kind, spec.metric, spec.classes or 0)
            for name, spec in specs.items()
        },
        joined={name: is_joined(spec, config) for name, spec in specs.items()},
        runtime=_runtime(config, shape),
        tags=tags,
    )
    check_reference(config, blueprint.architecture == blueprint.baseline)
    if config.sharing.tie != TieConfig() and not blueprint.architecture.tied:
        log.warning("sharing.tie changes nothing: %s has no tied stage (T)", plan)
    _warn_of_lone_owners(config, plan)
    if tags is not None and not plan.embeddings.trains:
        log.warning("suite.tags changes nothing: %s freezes the embeddings, tags among them", plan)
    if not config.dry_run:
        # Last, as it may ask the hub: every mistake that needs no network is told without.
        resolve_shape(config.encoder, _checkpoint_config(config))
    return blueprint


def _warn_of_lone_owners(config: Config, plan: SharingPlan) -> None:
    loss = config.loss
    asked = loss.aggregation != SUM or loss.cosines != "none"
    several = any(len(group) > 1 for stage in plan.stages(len(plan.head)) for group in stage.owners
                  if stage.trains)  # fmt: skip
    if asked and not several:
        log.warning("loss.aggregation and loss.cosines change nothing: %s shares no weight", plan)


def _runtime(config: Config, shape: EncoderShape) -> Runtime:
    options = config.trainer
    device = choose_device(options.device)
    set_threads(options.threads)  # before anything is timed
    # Nothing is multiplied in a dry run, so nothing needs to be tried.
    wanted = "fp32" if config.dry_run and options.precision == "auto" else options.precision
    precision = choose_precision(wanted, device, shape.hidden)
    return Runtime(device, precision, options.eval_batch_size)


def _tasks(config: Config) -> dict[str, TaskSpec]:
    names = list(config.task) if config.suite.tasks is None else config.suite.tasks
    for name in names:
        check_known("suite.tasks", name, config.task)
    if not names:
        raise UserError("suite.tasks", "no task", "at least one task")
    return {name: task_spec(name, config.task[name]) for name in names}


def _shape(config: Config) -> EncoderShape:
    """The encoder's shape: the config's where it says everything, else the checkpoint's."""
    complete = all(getattr(config.encoder, name) is not None for name in SHAPE_FIELDS)
    shape = resolve_shape(config.encoder, None if complete else _checkpoint_config(config))
    if not 8 <= config.suite.max_length <= shape.max_length:
        allowed = f"8 to {shape.max_length}, the encoder's positions"
        raise UserError("suite.max_length", config.suite.max_length, allowed)
    return shape


def _checkpoint_config(config: Config) -> dict[str, Any] | None:
    source = config.encoder.checkpoint
    return None if source is None else read_config(checkpoint_folder(source))
