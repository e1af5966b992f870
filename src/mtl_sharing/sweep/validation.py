"""Mistakes in a sweep's settings are told before a trial begins."""

from importlib.util import find_spec

from mtl_sharing.errors import UserError, check_range, one_of
from mtl_sharing.job.spec import start_on_machine
from mtl_sharing.score.objectives import check_objectives
from mtl_sharing.score.reference import SEPARATE
from mtl_sharing.sweep.settings import KeepConfig, SweeperConfig
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.study import is_grid, make_pruner, make_sampler

# Pruners whose settings are percents of a training; over seeds a report is a whole training.
_BY_PERCENT = ("SuccessiveHalvingPruner", "HyperbandPruner", "MedianPruner", "PercentilePruner")
_SUBDIR = "${hydra.job.num}"


def check_sweep(search: SweepSpec, subdir: str) -> list[ComposedTrial]:
    """Checks everything that can be known before a trial begins.

    Args:
        subdir: ``hydra.sweep.subdir``, as it is written.

    Returns:
        The regimes at the space's corners.

    Raises:
        UserError: naming the first setting that does not fit.
    """
    check_objectives(search.objectives, search.config.score)
    _check_options(search.options)
    _check_seeds(search)
    _check_pruner(search)
    _check_reference(search)
    if subdir != _SUBDIR:
        raise UserError("hydra.sweep.subdir", subdir, f"{_SUBDIR}, a trial's number")
    return _check_space(search)


def _check_options(options: SweeperConfig) -> None:
    for name in ("direction", "custom_search_space"):
        if getattr(options, name) is not None:
            found, allowed = getattr(options, name), "null; objectives, when and depths say it"
            raise UserError(f"hydra.sweeper.{name}", found, allowed)
    if options.n_trials is not None:
        if not isinstance(options.n_trials, int):
            raise UserError("hydra.sweeper.n_trials", options.n_trials, "a whole number, or null")
        check_range("hydra.sweeper.n_trials", options.n_trials, 1)
    check_range("hydra.sweeper.max_failure_rate", options.max_failure_rate, 0, 1)
    check_range("hydra.sweeper.retries", options.retries, 0)
    check_range("hydra.sweeper.grace_s", options.grace_s, 10)
    check_range("hydra.sweeper.hours", options.hours or 0.0, 0)
    if not options.study_name:
        raise UserError("hydra.sweeper.study_name", options.study_name, "a name")
    make_sampler(options, 0)
    if str(options.sampler["_target_"]).endswith("CmaEsSampler") and find_spec("cmaes") is None:
        raise UserError("hydra/sweeper/sampler", "cmaes, which is not there", "pip install cmaes")


def _check_seeds(search: SweepSpec) -> None:
    where, seeds = "hydra.sweeper.seeds", list(search.options.seeds)
    if len(set(seeds)) < len(seeds) or any(seed < 0 for seed in seeds):
        raise UserError(where, seeds, "different whole numbers, 0 or more")
    if seeds and "seed" in search.space.distributions:
        raise UserError(where, f"{seeds} and seed drawn as well", "one of the two")


def _check_pruner(search: SweepSpec) -> None:
    options, objectives = search.options, search.objectives
    make_pruner(options)
    target = options.pruner["_target_"]
    name = target.rpartition(".")[2]
    if name == "WilcoxonPruner" and len(options.seeds) < 2:
        allowed = "two or more seeds for pruner=wilcoxon"
        raise UserError("hydra.sweeper.seeds", list(options.seeds), allowed)
    if name in _BY_PERCENT and options.seeds:
        found = f"{name} over seeds, which counts in percent of a training"
        raise UserError("hydra/sweeper/pruner", found, "wilcoxon, threshold or none")
    if target == KeepConfig._target_ and (objectives != ("keep",) or options.seeds):
        found = f"keep with {one_of(objectives)}" + (" over seeds" if options.seeds else "")
        raise UserError("hydra/sweeper/pruner", found, "keep for score.objective=keep alone")


def _check_reference(search: SweepSpec) -> None:
    where, given = "hydra.sweeper.reference", search.config.score.reference
    if given == SEPARATE:
        allowed = f"null, as a sweep trains separate models first ({where}=true), or a number"
        raise UserError(
            "score.reference", f"{given} in a sweep", f"{allowed} or the folder of a run"
        )
    if search.options.reference:
        if not search.reference.is_baseline:
            found = f"{search.reference.regime}, of sharing=individual with this sweep's settings"
            raise UserError(where, found, "false, or score.reference=NUMBER")
    elif "keep" in search.objectives and given is None:
        allowed = "true for score.objective=keep, or score.reference=NUMBER"
        raise UserError(where, "false", allowed)


def _check_space(search: SweepSpec) -> list[ComposedTrial]:
    """Regimes at the space's corners: every choice and both ends of every range.

    Raises:
        UserError: one of them does not fit, as a split above the encoder's layers; or a grid
            over a parameter without end.
    """
    if is_grid(search.options) and not search.space.finite:
        next(search.space.points())
    found = [search.compose_trial(point) for point in search.space.corners()]
    if not found:
        none = "parameters of which none is drawn with these settings"
        raise UserError("the sweep's space", none, "a parameter whose condition holds")
    # What a dry run leaves out, as whether the checkpoint is there and fits.
    start_on_machine(found[0].run_spec)
    return found
