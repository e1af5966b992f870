"""Checks a sweep's settings before a trial begins."""

from importlib.util import find_spec

from mtl_sharing.errors import UserError, check_range, one_of
from mtl_sharing.job.spec import start_on_machine
from mtl_sharing.score.objectives import check_objectives
from mtl_sharing.score.reference import SEPARATE
from mtl_sharing.sweep.search.decision import FEWEST
from mtl_sharing.sweep.settings import (
    KeepConfig,
    NoPrunerConfig,
    SweeperConfig,
    is_search,
    seeds_of_trial,
)
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.components import is_grid, make_pruner, make_sampler

# Pruners with steps in percent of a training; over seeds each step is a whole training instead.
_BY_PERCENT = ("SuccessiveHalvingPruner", "HyperbandPruner", "MedianPruner", "PercentilePruner")
_SUBDIR = "${hydra.job.num}"


def check_sweep(spec: SweepSpec, subdir: str) -> list[ComposedTrial]:
    """Checks everything that needs no trained trial; returns the trials at the space's corners.

    Args:
        subdir: ``hydra.sweep.subdir`` before interpolation.

    Raises:
        UserError: naming the first setting that does not fit.
    """
    check_objectives(spec.objectives, spec.config.score)
    _check_options(spec.options)
    _check_seeds(spec)
    _check_pruner(spec)
    _check_search(spec)
    _check_reference(spec)
    if subdir != _SUBDIR:
        raise UserError("hydra.sweep.subdir", subdir, f"{_SUBDIR}, a trial's number")
    return _check_space(spec)


def _check_options(options: SweeperConfig) -> None:
    for name in ("direction", "custom_search_space"):
        if (value := getattr(options, name)) is not None:
            allowed = "null; objectives, when and depths take its place"
            raise UserError(f"hydra.sweeper.{name}", value, allowed)
    if options.n_trials is not None:
        if not isinstance(options.n_trials, int):
            raise UserError("hydra.sweeper.n_trials", options.n_trials, "a whole number, or null")
        if not is_search(options):
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


def _check_seeds(spec: SweepSpec) -> None:
    where, seeds = "hydra.sweeper.seeds", list(spec.options.seeds)
    if len(set(seeds)) < len(seeds) or any(not 0 <= seed < 2**32 for seed in seeds):
        raise UserError(where, seeds, "different whole numbers, 0 to 4294967295")
    if seeds and "seed" in spec.space.distributions:
        raise UserError(where, f"{seeds} and seed drawn as well", "one of the two")


def _check_search(spec: SweepSpec) -> None:
    """Checks what ``sampler=search`` needs."""
    options, where = spec.options, "hydra/sweeper/sampler"
    if not 0.5 < options.confidence <= 0.999:
        allowed = "above 0.5, up to 0.999"
        raise UserError("hydra.sweeper.confidence", options.confidence, allowed)
    if not is_search(options):
        return
    if (seed := options.sampler.get("seed")) is not None:
        check_range("hydra.sweeper.sampler.seed", seed, 0)
    if spec.config.score.reference is not None:
        allowed = "null: a search trains separate models itself"
        raise UserError("score.reference", spec.config.score.reference, allowed)
    if spec.objectives != ("keep",):
        found = f"search with the objective {one_of(spec.objectives)}"
        raise UserError(where, found, "search for score.objective=keep alone")
    if spec.config.score.clock != "flops":
        found = f"{spec.config.score.clock} with sampler=search"
        raise UserError("score.clock", found, "flops: costs are known before a training")
    if not options.reference:
        found = "false with sampler=search"
        raise UserError("hydra.sweeper.reference", found, "true: it is one of what a search trains")
    if options.n_trials is not None and options.n_trials < FEWEST:
        allowed = f"{FEWEST} or more: separate models, the cheapest regime, and one between"
        raise UserError("hydra.sweeper.n_trials", options.n_trials, allowed)
    if options.pruner["_target_"] != NoPrunerConfig._target_:
        found = f"{options.pruner['_target_'].rpartition('.')[2]} with sampler=search"
        raise UserError("hydra/sweeper/pruner", found, "none: a search needs whole trainings")
    if "seed" in spec.space.distributions:
        allowed = "no seed among the parameters: hydra.sweeper.seeds has those of a search"
        raise UserError("the sweep's space", "seed", allowed)


def _check_pruner(spec: SweepSpec) -> None:
    options, where = spec.options, "hydra/sweeper/pruner"
    make_pruner(options)
    target = options.pruner["_target_"]
    name = target.rpartition(".")[2]
    seeds = seeds_of_trial(options)
    if name == "WilcoxonPruner" and len(seeds) < 2:
        allowed = "two or more seeds for pruner=wilcoxon"
        raise UserError("hydra.sweeper.seeds", seeds, allowed)
    if name in _BY_PERCENT and seeds:
        found = f"{name} over seeds, which counts in percent of a training"
        raise UserError(where, found, "wilcoxon, threshold or none")
    if target == KeepConfig._target_ and (spec.objectives != ("keep",) or seeds):
        found = f"keep with {one_of(spec.objectives)}" + (" over seeds" if seeds else "")
        raise UserError(where, found, "keep for score.objective=keep alone")


def _check_reference(spec: SweepSpec) -> None:
    where, reference = "hydra.sweeper.reference", spec.config.score.reference
    if reference == SEPARATE:
        allowed = f"null, as a sweep trains separate models first ({where}=true)"
        allowed += ", or a number or the folder of a run"
        raise UserError("score.reference", f"{reference} in a sweep", allowed)
    if spec.options.reference:
        if not spec.reference.is_baseline:
            found = f"{spec.reference.regime}, of sharing=individual with this sweep's settings"
            raise UserError(where, found, "false, or score.reference=NUMBER")
    elif "keep" in spec.objectives and reference is None:
        allowed = "true for score.objective=keep, or score.reference=NUMBER"
        raise UserError(where, "false", allowed)


def _check_space(spec: SweepSpec) -> list[ComposedTrial]:
    """Composes the trials at the corners: every choice and both ends of every range."""
    if is_grid(spec.options) and not spec.space.finite:
        next(spec.space.points())  # raises, naming the parameter
    trials = [spec.compose_trial(point) for point in spec.space.corners()]
    if not trials:
        none = "parameters of which none is drawn with these settings"
        raise UserError("the sweep's space", none, "a parameter whose condition holds")
    # Composing does not check the machine, or whether the checkpoint is there and fits.
    start_on_machine(trials[0].run_spec)
    return trials
