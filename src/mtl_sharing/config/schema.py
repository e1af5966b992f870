"""The whole config as dataclasses: every key there is, its type and its default.

Imports no torch, so that ``mtl-train --help`` answers at once.
"""

import re
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.cache.settings import CacheConfig
from mtl_sharing.config.fields import allowed_values, misplaced
from mtl_sharing.data.settings import SuiteConfig
from mtl_sharing.data.tasks.task import TaskConfig
from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.shape import EncoderConfig
from mtl_sharing.model.settings import HeadConfig, PairingConfig
from mtl_sharing.objectives.settings import DistillationConfig, LossConfig, RegularizerConfig
from mtl_sharing.plan.settings import DEFAULT_SPLIT, SharingConfig
from mtl_sharing.sampling.settings import SamplerConfig
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.tracking.settings import TrackerConfig
from mtl_sharing.training.settings import (
    OptimizerConfig,
    PhaseConfig,
    SchedulerConfig,
    TrainerConfig,
)

ROOT_NAME = "schema"
# Their keys are task names or names of the user's own, so that a new one needs no "+".
_OWN_KEYS = ("sharing.lanes.upstream", "sharing.depths", "loss.weights")


@dataclass
class Config:
    """Every key of ``mtl-train``.

    Attributes:
        name: name of the run's folder: outputs/NAME, of a sweep's outputs/sweeps/NAME. Null is
            the time.
        seed: seed of every random draw of a training.
        split: how many lower layers ``sharing=hybrid`` shares, or a share of the encoder's.
        data_dir: folder that the tasks' files are relative to.
        phases: trainings before and after the main one, by names of their own.
        resume: folder of a stopped run to go on with.
        dry_run: print and write the plan; read no weights and train nothing.
        check_data: read the data of all tasks, print and write what is in it; train nothing.
        task: the tasks, by names of their own.
    """

    name: str | None = None
    seed: int = 0
    split: int | str = DEFAULT_SPLIT
    data_dir: str | None = None
    resume: str | None = None
    dry_run: bool = False
    check_data: bool = False
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    sharing: SharingConfig = field(default_factory=SharingConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    pairing: PairingConfig = field(default_factory=PairingConfig)
    suite: SuiteConfig = field(default_factory=SuiteConfig)
    task: dict[str, TaskConfig] = field(default_factory=dict)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    phases: dict[str, PhaseConfig] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)


@cache
def _schema() -> Any:
    """The dataclasses as OmegaConf's nodes; readers take a copy."""
    return OmegaConf.structured(Config)


@cache
def _open_schema() -> Any:
    schema = deepcopy(_schema())
    for name in _OWN_KEYS:
        OmegaConf.set_struct(OmegaConf.select(schema, name), False)
    return schema


def register() -> None:
    """Makes the dataclasses Hydra's schema, so that unknown keys and wrong types are refused."""
    ConfigStore.instance().store(name=ROOT_NAME, node=_open_schema(), replace=True)


def to_config(values: DictConfig) -> Config:
    """The composed or loaded config as plain dataclasses.

    Raises:
        OmegaConfBaseException: an unknown key or a value of another type.
        UserError: a list or fields where another kind of value belongs.
    """
    # Through plain values: a key added to a node that is typed already would pass unseen.
    plain: Any = OmegaConf.to_container(values, resolve=True, throw_on_missing=True)
    return plain_config(plain)


def plain_config(plain: Any) -> Config:
    """The config of nested values, in which a text stands for itself: nothing is resolved.

    Raises:
        OmegaConfBaseException, UserError: as for :func:`to_config`.
    """
    if (found := misplaced("", plain, Config, resolved=True)) is not None:
        key, value, hint = found
        raise UserError(key, value, allowed_values(hint))
    merged: Any = OmegaConf.merge(_schema(), OmegaConf.create(literal(plain)))
    config = OmegaConf.to_object(merged)
    assert isinstance(config, Config)
    return config


def literal(value: Any) -> Any:
    """Nested values with each text written so that OmegaConf gives back the text itself."""
    if isinstance(value, dict):
        return {name: literal(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [literal(item) for item in value]
    if not isinstance(value, str) or "${" not in value:
        return value
    return re.sub(r"(\\*)\$\{", lambda match: match[1] * 2 + r"\${", value)
