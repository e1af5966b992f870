"""Config group ``hydra/sweeper``: hydra-optuna-sweeper's keys and those that it lacks.

Without optuna, so that the command line starts fast.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra_plugins.hydra_optuna_sweeper.config import OptunaSweeperConf
from omegaconf import MISSING, OmegaConf

# Optuna's samplers and pruners are what a config file may name here, nothing else.
SAMPLERS = ("hydra_plugins.hydra_optuna_sweeper.*", "optuna.samplers.*")
PRUNERS = ("optuna.pruners.*", "mtl_sharing.sweep.study.pruning.KeepPruner")


@dataclass
class PrunerConfig:
    """Any of ``optuna.pruners``; its arguments stand beside ``_target_``.

    A step, or resource, is a percent of the training.
    """

    _target_: str = MISSING


@dataclass
class NoPrunerConfig(PrunerConfig):
    """Every trial runs to its end."""

    _target_: str = "optuna.pruners.NopPruner"


@dataclass
class KeepConfig(PrunerConfig):
    """For ``score.objective=keep``: ends what cannot be the cheapest regime that keeps enough."""

    _target_: str = "mtl_sharing.sweep.study.pruning.KeepPruner"
    slack: float = 0.2


@dataclass
class SuccessiveHalvingConfig(PrunerConfig):
    """ASHA: a trial goes on past 10, 30 and 90% of its training only among the best third there."""

    _target_: str = "optuna.pruners.SuccessiveHalvingPruner"
    min_resource: Any = 10
    reduction_factor: int = 3
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0


@dataclass
class HyperbandConfig(PrunerConfig):
    """Several ASHA brackets, which begin at 10, 30 or 90% of the training."""

    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: int = 10
    max_resource: Any = 100
    reduction_factor: int = 3
    bootstrap_count: int = 0


@dataclass
class MedianConfig(PrunerConfig):
    """Worse than the median of the earlier trials at the same share of the training."""

    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 5
    n_warmup_steps: int = 20
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class PercentileConfig(PrunerConfig):
    """As median, with another share than the better half."""

    _target_: str = "optuna.pruners.PercentilePruner"
    percentile: float = 50.0
    n_startup_trials: int = 5
    n_warmup_steps: int = 20
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class ThresholdConfig(PrunerConfig):
    """Below (or above) a fixed performance."""

    _target_: str = "optuna.pruners.ThresholdPruner"
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 0
    interval_steps: int = 1


@dataclass
class WilcoxonConfig(PrunerConfig):
    """Worse than the best trial over the same seeds; wants ``hydra.sweeper.seeds``."""

    _target_: str = "optuna.pruners.WilcoxonPruner"
    p_threshold: float = 0.1
    n_startup_steps: int = 2


@dataclass
class SweeperConfig(OptunaSweeperConf):
    """The ``hydra/sweeper=optuna`` keys; those not named here mean what they mean upstream.

    Attributes:
        direction: follows from ``objectives``.
        storage: a database's URL; null is SQLite in the sweep's folder. It is never written to
            a log or a config.
        study_name: also the name of the sweep's folder; the same name goes on with that study.
        n_trials: trials to train; those that equal an earlier one are answered, not counted.
            Null leaves it to ``hours``, or to a grid's size.
        hours: no trial begins after so many hours of the sweep, all its starts together.
        n_jobs: trials in flight at once. Hydra's basic launcher runs one after the other; -1 with
            ``+cluster=local`` is one for each GPU, or for each core where there is none.
        max_failure_rate: share of the trials that may fail.
        pruner: ends trials that fall behind.
        objectives: of ``weighted``, ``keep``, ``performance`` (higher is better), ``memory``,
            ``time`` (of separate models' cost, lower is better); null is ``score.objective``.
            With several, the sweep keeps the Pareto set.
        reference: begin with separate models, fully trained, which the others are held against.
        when: for a parameter, the choice that it is drawn under, as ``sampler=annealed``; several
            values of it are parted by a bar, as ``sampler=annealed|temperature``.
        depths: lists of keys that are drawn as numbers of layers, together at most the encoder's.
        stands_for: for a parameter that is no key of the config, the overrides that each of its
            choices stands for: values that only go together.
        seeds: a trial is one run for each of these; its value is their mean, and the pruner sees
            each as a step.
        retries: how often a trial that was lost (killed, its node gone) is taken up again.
        grace_s: silence after which a trial of another process counts as lost, in seconds.
    """

    _target_: str = "mtl_sharing.sweep.plugin.RegimeSweeper"
    sampler: Any = MISSING
    defaults: list[Any] = field(default_factory=lambda: [{"sampler": "tpe"}, {"pruner": "none"}])
    direction: Any = None
    study_name: str | None = "sweep"
    n_trials: Any = 20
    hours: float | None = None
    n_jobs: int = 1
    max_failure_rate: float = 0.3
    pruner: Any = MISSING
    objectives: list[str] | None = None
    reference: bool = True
    when: dict[str, str] = field(default_factory=dict)
    depths: list[list[str]] = field(default_factory=list)
    stands_for: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    retries: int = 2
    grace_s: float = 60.0


PRUNER_OPTIONS = {
    "none": NoPrunerConfig,
    "keep": KeepConfig,
    "asha": SuccessiveHalvingConfig,
    "hyperband": HyperbandConfig,
    "median": MedianConfig,
    "percentile": PercentileConfig,
    "threshold": ThresholdConfig,
    "wilcoxon": WilcoxonConfig,
}


def sweeper_of(job: Any) -> SweeperConfig | None:
    """The options of the sweep that a job belongs to; None where another sweeper runs it."""
    if job.sweeper.get("_target_") != SweeperConfig._target_:
        return None
    values: Any = OmegaConf.to_container(job.sweeper, resolve=True)
    del values["_target_"]
    return SweeperConfig(**values)
