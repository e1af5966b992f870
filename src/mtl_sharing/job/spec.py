"""Resolves a config into the spec of a run: everything that needs neither data nor weights.

A spec also serves ``dry_run``. :class:`RunInputs` holds the data and weights that it names.
"""

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from mtl_sharing.config import Config
from mtl_sharing.config.interpolations import as_written, hidden_texts
from mtl_sharing.data.tasks.task import TaskSpec, task_spec
from mtl_sharing.data.text.tagging import tag_scheme
from mtl_sharing.data.tokens.encoding import TextSettings
from mtl_sharing.errors import UserError, check_different, check_known
from mtl_sharing.evaluation.evaluate import TaskMeasure
from mtl_sharing.job.network_parts import (
    is_joined,
    make_head_shape,
    make_lanes,
    make_pals,
    make_task_head,
    make_task_objective,
)
from mtl_sharing.job.validation import check_paths, check_reference, check_settings
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.encoder.checkpoint_files import checkpoint_folder, read_config
from mtl_sharing.model.encoder.initialization import Tower
from mtl_sharing.model.encoder.shape import SHAPE_FIELDS, EncoderShape, resolve_shape
from mtl_sharing.model.network import Network
from mtl_sharing.objectives.aggregation import SUM
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.plan.settings import TieConfig
from mtl_sharing.plan.template import make_plan
from mtl_sharing.utils.device import (
    PRECISIONS,
    Runtime,
    choose_device,
    choose_precision,
    most_threads,
    set_threads,
    use_device,
)

log = logging.getLogger(__name__)

_NO_TEXTS: Mapping[str, str] = {}


@dataclass(frozen=True)
class RunSpec:
    """A run as its config describes it, checked, before data or weights are read.

    Attributes:
        joined: for each task, whether a pair is one sequence.
        runtime: as the config asks for it; its precision may still be ``auto``, until
            :func:`mtl_sharing.job.autotune.autotune` chooses one.
        text: how text is cleaned, tokenised and tagged.
        texts: what the config says of each interpolated key (``config/interpolations.py``).
    """

    config: Config
    specs: Mapping[str, TaskSpec]
    architecture: Architecture
    measures: Mapping[str, TaskMeasure]
    joined: Mapping[str, bool]
    runtime: Runtime
    text: TextSettings
    texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def settings(self) -> dict[str, Any]:
        """The nested config as the run's files show it."""
        return as_written(asdict(self.config), self.texts)

    @cached_property
    def hidden(self) -> dict[str, str]:
        """The texts of interpolated keys whose values no file shows, by value."""
        return hidden_texts(asdict(self.config), self.texts)

    @property
    def shape(self) -> EncoderShape:
        """The encoder's shape."""
        return self.architecture.encoder

    @property
    def plan(self) -> SharingPlan:
        """The sharing plan."""
        return self.architecture.plan

    @property
    def baseline(self) -> Architecture:
        """Separate models: nothing shared and nothing added, same encoder, tasks and heads."""
        plan = SharingPlan.parse(f"I{self.shape.layers}", self.plan.tasks)
        return replace(self.architecture, plan=plan, pals=None, lanes=None)

    @property
    def is_separate(self) -> bool:
        """Whether the run trains separate models, which others are held against or learn from."""
        return self.architecture == self.baseline and not self.config.distillation.enabled

    def network(self, architecture: Architecture, tower: Tower) -> Network:
        """A network of ``architecture`` that starts from ``tower``."""
        return Network(architecture, tower, self.config.seed).to(self.runtime.device)


def resolve_spec(config: Config, texts: Mapping[str, str] = _NO_TEXTS) -> RunSpec:
    """Checks the config and derives everything that needs no data, without side effects.

    Reads the checkpoint's own config only where the shape is incomplete (``encoder=auto``).

    Args:
        texts: from :func:`mtl_sharing.config.interpolations.interpolation_texts`.

    Raises:
        UserError: naming the first field that does not fit.
    """
    check_paths(config)
    specs = _tasks(config)
    shape = _shape(config)
    check_settings(config, specs)
    tags = tag_scheme(config.suite.tags)
    if tags is not None:
        pos, entities = tags.rows
        shape = replace(shape, pos_tags=pos, entity_types=entities)
    plan = make_plan(config.sharing, config.split, tuple(specs), shape.layers, config.head.depth)
    objectives = {name: make_task_objective(spec, config) for name, spec in specs.items()}
    heads = tuple(make_task_head(specs[n], objectives[n], config, shape) for n in specs)
    architecture = Architecture(
        encoder=shape,
        plan=plan,
        heads=heads,
        head=make_head_shape(config, shape),
        pals=make_pals(config.sharing.pals, shape, plan),
        lanes=make_lanes(config, heads),
    )
    trainer, suite = config.trainer, config.suite
    check_known("trainer.precision", trainer.precision, PRECISIONS)
    run_spec = RunSpec(
        config=config,
        specs=specs,
        architecture=architecture,
        measures={
            name: TaskMeasure(objectives[name], spec.kind, spec.metric, spec.classes or 0)
            for name, spec in specs.items()
        },
        joined={name: is_joined(spec, config) for name, spec in specs.items()},
        runtime=Runtime(choose_device(trainer.device), trainer.precision, trainer.eval_batch_size),
        text=TextSettings(tuple(suite.clean), suite.lemmatizer, tags, suite.max_length),
        texts=texts,
    )
    check_reference(config, run_spec.is_separate)
    if config.sharing.tie != TieConfig() and not architecture.tied:
        log.warning("sharing.tie changes nothing: %s has no tied stage (T)", plan)
    merges = config.loss.aggregation != SUM or config.loss.cosines != "none"
    stages = plan.stages(len(plan.head))
    if merges and not any(len(owners) > 1 for s in stages for owners in s.owners if s.trains):
        log.warning("loss.aggregation and loss.cosines change nothing: %s shares no weight", plan)
    if tags is not None and not plan.embeddings.trains:
        log.warning("suite.tags changes nothing: %s freezes the embeddings, tags among them", plan)
    return run_spec


def start_on_machine(run_spec: RunSpec) -> RunSpec:
    """Prepares this process for the run: threads, GPU, and the precision that a GPU supports.

    Compares the checkpoint's own config with the encoder's shape, too. That may ask the hub, so it
    follows every check that needs no network.

    Raises:
        UserError: the checkpoint does not fit the encoder, or cannot be found; or this machine
            lacks the threads or the precision.
    """
    config, runtime, threads = run_spec.config, run_spec.runtime, run_spec.config.trainer.threads
    if threads is not None and threads > (most := most_threads()):
        found = f"{threads}, and this process may use {most} core{'' if most == 1 else 's'}"
        raise UserError("trainer.threads", found, f"1 to {most}, or null" if most > 1 else "1")
    precision = choose_precision(runtime.precision, runtime.device)
    resolve_shape(config.encoder, _checkpoint_config(config))
    set_threads(threads)
    use_device(runtime.device)
    return replace(run_spec, runtime=replace(runtime, precision=precision))


def _tasks(config: Config) -> dict[str, TaskSpec]:
    names = list(config.task) if config.suite.tasks is None else config.suite.tasks
    for name in names:
        check_known("suite.tasks", name, config.task)
    check_different("suite.tasks", names)
    if not names:
        allowed = "at least one task, as by --config-dir=MINE +task@task.NAME=NAME"
        raise UserError("suite.tasks", "no task", allowed)
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
    return None if source is None else read_config(checkpoint_folder(source, config_only=True))
