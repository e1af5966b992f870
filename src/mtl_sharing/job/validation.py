"""Checks settings that need neither data nor weights, before either is read."""

from collections.abc import Mapping

from mtl_sharing.cache.settings import check_cache
from mtl_sharing.config import Config
from mtl_sharing.data.examples.examples import BAD_ROW_CHOICES
from mtl_sharing.data.examples.splits import GENERATORS
from mtl_sharing.data.settings import SuiteConfig
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.data.text.cleaning import Cleaning
from mtl_sharing.data.tokens.positive_pairs import check_ranked
from mtl_sharing.errors import UserError, check_above, check_known, check_range, check_rate, one_of
from mtl_sharing.objectives.aggregation import check_aggregation
from mtl_sharing.objectives.distillation import check_distillation
from mtl_sharing.objectives.pretraining import ranked_pairs
from mtl_sharing.objectives.regularizers import check_regularizer
from mtl_sharing.objectives.ties import check_tie
from mtl_sharing.objectives.weighting import check_weighting
from mtl_sharing.run_folder.results import MAIN
from mtl_sharing.sampling.samplers import SAMPLERS, check_sampler
from mtl_sharing.score.objectives import check_score
from mtl_sharing.tracking.trackers import check_trackers
from mtl_sharing.training.optimizer import check_optimizer, rate_factor
from mtl_sharing.training.settings import KINDS_WITH, PHASE_KINDS, PhaseConfig, TrainerConfig
from mtl_sharing.utils.files import expand_user


def check_paths(config: Config) -> None:
    """Raises UserError for a path in the home of an unknown user."""
    paths = {
        "data_dir": config.data_dir,
        "encoder.checkpoint": config.encoder.checkpoint,
        "encoder.tokenizer": config.encoder.tokenizer,
        "distillation.teacher": config.distillation.teacher,
        "tracker.mlflow.folder": config.tracker.mlflow.folder,
    }
    for where, path in paths.items():
        if path is not None:
            expand_user(where, path)


def check_settings(config: Config, specs: Mapping[str, TaskSpec]) -> None:
    """Raises UserError for a setting that no run on the tasks of ``specs`` could use."""
    check_range("head.depth", config.head.depth, 0)
    check_cache(config.cache)
    check_score(config.score)
    check_tie(config.sharing.tie)
    check_optimizer(config.optimizer)
    check_sampler(config.sampler)
    check_weighting(config.loss, tuple(specs))
    check_aggregation(config.loss)
    check_regularizer(config.regularizer)
    check_distillation(config.distillation)
    rate_factor(config.scheduler, 0, 1)
    _check_suite(config.suite)
    _check_phases(config.phases, specs)
    _check_trainer(config.trainer)
    check_trackers(config.tracker)


def check_reference(config: Config, separate: bool) -> None:
    """Raises UserError where ``keep`` is wanted but nothing says what to keep.

    Args:
        separate: whether the run itself is one of separate models.
    """
    if config.score.objective == "keep" and config.score.reference is None and not separate:
        raise UserError("score.reference", "null", "a reference for score.objective=keep")


def _check_suite(suite: SuiteConfig) -> None:
    if suite.on_bad_row not in BAD_ROW_CHOICES:
        raise UserError("suite.on_bad_row", suite.on_bad_row, one_of(BAD_ROW_CHOICES))
    check_known("suite.generator", suite.generator, GENERATORS)
    check_range("suite.relatedness", suite.relatedness, 0, 1)
    check_rate("suite.select_fraction", suite.select_fraction)
    Cleaning(tuple(suite.clean), suite.lemmatizer)  # checks what it is made of
    for name in ("max_train_rows", "max_dev_rows"):
        if getattr(suite, name) is not None:
            check_range(f"suite.{name}", getattr(suite, name), 1)


def _check_trainer(trainer: TrainerConfig) -> None:
    at_least_one = ("steps_per_epoch", "batch_size", "accumulation", "eval_every",
                    "eval_examples", "eval_batch_size", "patience", "threads")  # fmt: skip
    for name in at_least_one:
        if getattr(trainer, name) is not None:
            check_range(f"trainer.{name}", getattr(trainer, name), 1)
    check_above("trainer.epochs", trainer.epochs, 0)
    if trainer.max_steps is not None:
        check_range("trainer.max_steps", trainer.max_steps, 0)


def _check_phases(phases: Mapping[str, PhaseConfig], specs: Mapping[str, TaskSpec]) -> None:
    for name, phase in phases.items():
        if name == MAIN:
            raise UserError("phases", name, "another name: this is the main training's")
        where = f"phases.{name}"
        check_known(f"{where}.kind", phase.kind, PHASE_KINDS)
        check_known(f"{where}.when", phase.when, ("before", "after"))
        _check_kind(where, phase)
        if phase.sampler is not None:
            check_known(f"{where}.sampler", phase.sampler, SAMPLERS)
        _check_numbers(where, phase)
        if phase.kind == "ranking":
            ranked_pairs(where, 1, phase.similarity, phase.scale)
            task = str(phase.task)
            check_known(f"{where}.task", task, specs)
            check_ranked(f"{where}.task", specs[task])


def _check_kind(where: str, phase: PhaseConfig) -> None:
    """Raises UserError for a setting that has no effect in a phase of this kind."""
    plain = PhaseConfig()
    for key, kinds in KINDS_WITH.items():
        value, default = getattr(phase, key), getattr(plain, key)
        if phase.kind not in kinds and value != default:
            neutral = "null" if default is None else str(default).lower()
            allowed = f"{neutral}, or a phase of kind {one_of(kinds)}"
            raise UserError(f"{where}.{key}", f"{value} in a phase of kind {phase.kind}", allowed)


def _check_numbers(where: str, phase: PhaseConfig) -> None:
    check_above(f"{where}.epochs", phase.epochs, 0)
    if not 0 < phase.rate <= 1:
        raise UserError(f"{where}.rate", phase.rate, "above 0, up to 1")
    for key, least in (("steps", 1), ("batch_size", 1), ("lr", 0)):
        if getattr(phase, key) is not None:
            check_range(f"{where}.{key}", getattr(phase, key), least)
