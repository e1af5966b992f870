"""The whole config as dataclasses: every key there is, its type and its default.

Imports no torch, so that ``mtl-train --help`` answers at once.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.data.settings import TagsConfig
from mtl_sharing.data.tasks import TaskConfig
from mtl_sharing.mixing.settings import SamplerConfig
from mtl_sharing.model.settings import HeadConfig, LanesConfig, PairingConfig, PalsConfig
from mtl_sharing.model.shape import EncoderConfig
from mtl_sharing.objectives.settings import LossConfig, RegularizerConfig, TieConfig
from mtl_sharing.run.settings import (
    OptimizerConfig,
    PhaseConfig,
    SchedulerConfig,
    TrackerConfig,
    TrainerConfig,
)
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.store.settings import CacheConfig

ROOT_NAME = "schema"
# Their keys are task names or names of the user's own, so that a new one needs no "+".
_OWN_KEYS = ("sharing.lanes.upstream", "sharing.depths", "loss.weights")


@dataclass
class SharingConfig:
    """The ``sharing`` config group: a plan with some numbers left open, and parts added to it.

    Attributes:
        template: a plan in which ``{split}`` stands for the top-level key, ``{layers}`` for the
            encoder's depth, ``{groups}`` for ``groups``, any other name for an entry of
            ``depths``, and ``{rest}`` for the layers that the others leave over.
        depths: numbers of layers that the template names, or shares of the encoder's, like 4/12.
        groups: groups of tasks, as after a G of the notation.
        plan: a plan in full; replaces the template.
        tie: the penalty over tied stages.
        pals: projected attention layers beside the encoder's.
        lanes: heads that read other heads.
    """

    name: str = ""
    template: str = "S{split}-I{rest}"
    depths: dict[str, int | str] = field(default_factory=dict)
    groups: str | None = None
    plan: str | None = None
    tie: TieConfig = field(default_factory=TieConfig)
    pals: PalsConfig = field(default_factory=PalsConfig)
    lanes: LanesConfig = field(default_factory=LanesConfig)


@dataclass
class SuiteConfig:
    """The ``suite`` config group: the data behind the tasks. The tasks stand under ``task``.

    Attributes:
        pretrained: checkpoint of a small encoder pretrained on this suite's text, from which
            ``encoder=tiny`` starts.
        tasks: names of the tasks to take, in this order; null takes all under ``task``.
        max_length: longest sequence in tokens; longer texts are cut, and counted.
        max_train_rows, max_dev_rows: take only the first rows of each source of a task (most
            tasks have one, their own files).
        select_fraction: share of each task's train examples, 0 to below 1, that does not train and
            takes dev's place in every choice: patience, best weights, a sweep's best trial. Dev is
            then only reported. 0 chooses by dev.
        on_bad_row: ``skip`` rows without text or label, or stop with an ``error``.
        relatedness: bundled suite only: share of concepts, 0 to 1, that the tasks word alike.
        data_seed: bundled suite only: which text is generated.
        clean: steps that change every text first, in this order: letters, lower, spaces,
            stop_words, stem, lemmas (see ``data/cleaning.py``).
        lemmatizer: a spaCy pipeline, by its name or folder, for ``lemmas``.
        tags: parts of speech and named entities beside the tokens, read off the clean texts.
    """

    name: str = ""
    pretrained: str | None = None
    tasks: list[str] | None = None
    max_length: int = 128
    max_train_rows: int | None = None
    max_dev_rows: int | None = None
    select_fraction: float = 0.0
    on_bad_row: str = "skip"
    relatedness: float = 0.8
    data_seed: int = 0
    clean: list[str] = field(default_factory=list)
    lemmatizer: str | None = None
    tags: TagsConfig = field(default_factory=TagsConfig)


@dataclass
class Config:
    """Every key of ``mtl-train``.

    Attributes:
        split: how many lower layers ``sharing=hybrid`` shares, or a share of the encoder's.
        data_dir: folder that the tasks' files are relative to.
        phases: trainings before and after the main one, by names of their own.
        resume: folder of a stopped run to go on with.
        dry_run: print and write the plan; read no weights and train nothing.
    """

    seed: int = 0
    split: int | str = "6/12"
    data_dir: str | None = None
    resume: str | None = None
    dry_run: bool = False
    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    sharing: SharingConfig = field(default_factory=SharingConfig)
    head: HeadConfig = field(default_factory=HeadConfig)
    pairing: PairingConfig = field(default_factory=PairingConfig)
    suite: SuiteConfig = field(default_factory=SuiteConfig)
    task: dict[str, TaskConfig] = field(default_factory=dict)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    regularizer: RegularizerConfig = field(default_factory=RegularizerConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    phases: dict[str, PhaseConfig] = field(default_factory=dict)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    score: ScoreConfig = field(default_factory=ScoreConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)


@cache
def _schema() -> Any:
    """The dataclasses as OmegaConf's nodes; whoever reads them takes a copy."""
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
    """
    # Through plain values: a key added to a node that is typed already would pass unseen.
    plain = OmegaConf.create(OmegaConf.to_container(values, resolve=True, throw_on_missing=True))
    merged: Any = OmegaConf.merge(_schema(), plain)
    config = OmegaConf.to_object(merged)
    assert isinstance(config, Config)
    return config
