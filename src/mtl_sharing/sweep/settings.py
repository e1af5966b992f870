"""Config group ``hydra/sweeper``: hydra-optuna-sweeper's keys and the project's own.

Does not import optuna, so that the command line starts fast. A pruner's config has its arguments
beside ``_target_``. A step, or resource, is a percent of the training.
"""

from dataclasses import dataclass, field
from typing import Any

from hydra_plugins.hydra_optuna_sweeper.config import OptunaSweeperConf
from omegaconf import MISSING, OmegaConf


@dataclass
class SearchConfig:
    """Trains what sharpens the answer most, until it is sure; see docs/sweeps.md."""

    _target_: str = "mtl_sharing.sweep.loop.search.RegimeSearch"
    seed: int | None = 0


@dataclass
class NoPrunerConfig:
    """Prunes nothing."""

    _target_: str = "optuna.pruners.NopPruner"


@dataclass
class KeepConfig:
    """Prunes trials that cannot be the cheapest to keep enough, for ``score.objective=keep``."""

    _target_: str = "mtl_sharing.sweep.study.pruning.KeepPruner"
    slack: float = 0.2


@dataclass
class SuccessiveHalvingConfig:
    """ASHA: prunes all but the best third at 10, 30 and 90% of the training."""

    _target_: str = "optuna.pruners.SuccessiveHalvingPruner"
    min_resource: Any = 10
    reduction_factor: int = 3
    min_early_stopping_rate: int = 0
    bootstrap_count: int = 0


@dataclass
class HyperbandConfig:
    """Several ASHA brackets, which begin at 10, 30 or 90% of the training."""

    _target_: str = "optuna.pruners.HyperbandPruner"
    min_resource: int = 10
    max_resource: Any = 100
    reduction_factor: int = 3
    bootstrap_count: int = 0


@dataclass
class MedianConfig:
    """Prunes below the median of the earlier trials at the same percent of the training."""

    _target_: str = "optuna.pruners.MedianPruner"
    n_startup_trials: int = 5
    n_warmup_steps: int = 20
    interval_steps: int = 1
    n_min_trials: int = 1


@dataclass
class PercentileConfig(MedianConfig):
    """Prunes below a percentile of the earlier trials, as :class:`MedianConfig` does."""

    _target_: str = "optuna.pruners.PercentilePruner"
    percentile: float = 50.0


@dataclass
class ThresholdConfig:
    """Prunes below ``lower`` or above ``upper`` performance."""

    _target_: str = "optuna.pruners.ThresholdPruner"
    lower: float | None = None
    upper: float | None = None
    n_warmup_steps: int = 0
    interval_steps: int = 1


@dataclass
class WilcoxonConfig:
    """Prunes what is worse than the best trial over the same ``hydra.sweeper.seeds``."""

    _target_: str = "optuna.pruners.WilcoxonPruner"
    p_threshold: float = 0.1
    n_startup_steps: int = 2


@dataclass
class SweeperConfig(OptunaSweeperConf):
    """The ``hydra/sweeper=optuna`` keys; those not listed have their upstream meaning.

    Attributes:
        direction: follows from ``objectives``.
        storage: URL of a database; null is SQLite in the sweep's folder. Logs and configs never
            contain it.
        study_name: also the name of the sweep's folder. The same name continues the study.
        n_trials: trials to train; duplicates of earlier ones do not count. Null leaves the end to
            ``hours``, or to a grid's size.
        hours: no trial begins after so many hours of the sweep, added up over all its starts.
        n_jobs: trials at once. Hydra's basic launcher runs one after the other. With
            ``+cluster=local``, -1 is one for each GPU, or for each core where there is none.
        max_failure_rate: share of the trials that may fail.
        pruner: ends trials that fall behind.
        objectives: of ``weighted``, ``keep``, ``performance`` (higher is better), ``memory``,
            ``time`` (shares of separate models' cost, lower is better); null is
            ``score.objective``. Several give a Pareto set.
        reference: train separate models first, fully, as the reference of the others.
        when: conditions by parameter, such as ``sampler=annealed`` or, for several values,
            ``sampler=annealed|temperature``. Other trials do not draw the parameter.
        depths: lists of keys that are drawn as numbers of layers, together at most the encoder's.
        stands_for: overrides by choice, for a parameter that is no key of the config: values that
            only go together.
        seeds: a trial is one run for each; its value is their mean, and each is a pruner's step.
            For ``sampler=search`` they are the seeds that it chooses from, one for each trial;
            empty is 0 to 9.
        confidence: for ``sampler=search``: the probability at which it gives an answer.
        retries: how often a lost trial (killed, its node gone) is started again.
        grace_s: seconds without a heartbeat after which another process's trial counts as lost.
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
    confidence: float = 0.9
    retries: int = 2
    grace_s: float = 60.0


PRUNER_OPTIONS: dict[str, Any] = {
    "none": NoPrunerConfig,
    "keep": KeepConfig,
    "asha": SuccessiveHalvingConfig,
    "hyperband": HyperbandConfig,
    "median": MedianConfig,
    "percentile": PercentileConfig,
    "threshold": ThresholdConfig,
    "wilcoxon": WilcoxonConfig,
}


SAMPLER_OPTIONS: dict[str, Any] = {"search": SearchConfig}


def is_search(options: SweeperConfig) -> bool:
    """Whether the sweep decides between regimes, each trial being one training of one seed."""
    return str(options.sampler.get("_target_", "")) == SearchConfig._target_


def seeds_of_trial(options: SweeperConfig) -> list[int]:
    """The seeds that every trial is trained with; empty for one training with its own seed."""
    return [] if is_search(options) else list(options.seeds)


def search_seeds(options: SweeperConfig) -> tuple[int, ...]:
    """The seeds that a search chooses from."""
    return tuple(options.seeds) or tuple(range(10))


def sweeper_of(job: Any) -> SweeperConfig | None:
    """The options in a job's ``hydra`` node; None where another sweeper runs it."""
    if job.sweeper.get("_target_") != SweeperConfig._target_:
        return None
    values: Any = OmegaConf.to_container(job.sweeper, resolve=True)
    del values["_target_"]
    return SweeperConfig(**values)
