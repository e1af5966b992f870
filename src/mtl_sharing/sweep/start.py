"""From the sweeper's options to a running sweep: everything is checked before a trial begins."""

import logging
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from mtl_sharing.blueprint import make_blueprint
from mtl_sharing.config import Config
from mtl_sharing.errors import Stopped, SweepStopped, UserError, check_range, one_of
from mtl_sharing.score.score import reference_performance
from mtl_sharing.sweep.asking import FOR_EVERY_TRIAL, Asker, count_points, reference_overrides
from mtl_sharing.sweep.dry_run import Plan, describe_sweep
from mtl_sharing.sweep.ending import end_sweep
from mtl_sharing.sweep.existing import known_trials
from mtl_sharing.sweep.jobs import make_jobs
from mtl_sharing.sweep.regimes import Composer, Regime
from mtl_sharing.sweep.report import Report
from mtl_sharing.sweep.settings import KeepConfig, SweeperConfig
from mtl_sharing.sweep.space import Space
from mtl_sharing.sweep.space_config import make_space
from mtl_sharing.sweep.storage import STUDY_FILE, DatabaseGone, open_storage, patiently, place_of
from mtl_sharing.sweep.study import SECONDS, Book, is_grid, make_pruner, make_sampler, open_book
from mtl_sharing.sweep.sweep import Sweep, sweep_folder
from mtl_sharing.sweep.telling import Teller
from mtl_sharing.sweep.verdict import DIRECTIONS, check_objectives

log = logging.getLogger(__name__)

# What of a config two starts of one sweep may have otherwise.
_FREE = ("resume", "dry_run", "cache")
_FREE_TRAINER = ("device", "threads", "debug")
_SUBDIR = "${hydra.job.num}"


def run_sweep(
    options: SweeperConfig,
    config: DictConfig,
    context: HydraContext,
    launcher: Launcher,
    arguments: Sequence[str],
) -> None:
    """Searches to the end of the budget, or describes the sweep where ``dry_run`` is set.

    Raises:
        UserError: a mistake in the settings, or too many failed trials.
        SweepStopped: asked to stop; the same command goes on.
    """
    # Each launch would announce itself.
    for name in ("hydra", "hydra_plugins"):
        logging.getLogger(name).setLevel(logging.WARNING)
    composer = Composer(config, context)
    layers = _Layers(composer)
    choices = {name: str(option) for name, option in config.hydra.runtime.choices.items()}
    space, fixed = make_space(options, arguments, choices, layers)
    layers.fixed = fixed
    base = composer.compose([*fixed, *FOR_EVERY_TRIAL])
    objectives = list(options.objectives or [config.score.objective])
    _check_options(options, base, objectives)
    regimes = check_space(space, fixed, composer, is_grid(options))
    if options.reference:
        _check_reference(composer.regime([*reference_overrides(fixed), *FOR_EVERY_TRIAL]))
    subdir = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # type: ignore[index, call-overload]
    if subdir != _SUBDIR:
        raise UserError("hydra.sweep.subdir", subdir, f"{_SUBDIR}, a trial's number")
    if config.dry_run:
        made, folder = made_for(options, space, objectives, base), sweep_folder(config)
        trials = known_trials(options, folder, made | {"folder": str(folder)})
        points = count_points(space)
        wanted = _wanted(options, points)
        plan = Plan(options, objectives, folder, space, points, wanted, trials)
        if options.reference:
            regimes.append(composer.regime([*reference_overrides(fixed), *FOR_EVERY_TRIAL]))
        return describe_sweep(plan, regimes)
    jobs = make_jobs(options, config, launcher)
    book = _book(options, config, space, objectives, base)
    asker = Asker(book, space, options, fixed, composer, _deadline(options, book))
    report = Report(_wanted(options, asker.points), jobs.inline, objectives)
    held = bool(base.suite.select_fraction)
    known = reference_performance(base.score, tuple(regimes[0].blueprint.specs), held)
    teller = Teller(book, options, base.score, objectives, known, report)
    sweep = Sweep(book, asker, jobs, teller, options)
    _announce(book, options, asker)
    complete, readable = False, True
    try:
        with report:
            report.known(book.trials())
            sweep.run()
        complete = True
    except (Stopped, KeyboardInterrupt):
        raise SweepStopped from None
    except DatabaseGone:
        readable = False
        raise
    finally:
        if readable:
            end_sweep(teller, jobs, composer, complete)


class _Layers:
    """The encoder's layers under a point's overrides; composes once for each encoder."""

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self.fixed: list[str] = []
        self._known: dict[tuple[str, ...], int] = {}

    def __call__(self, words: Sequence[str]) -> int:
        found = tuple(word for word in words if word.startswith("encoder"))
        if found not in self._known:
            overrides = [*reference_overrides(self.fixed), *found, *FOR_EVERY_TRIAL]
            self._known[found] = self._composer.regime(overrides).blueprint.shape.layers
        return self._known[found]


def _check_options(options: SweeperConfig, base: Config, objectives: Sequence[str]) -> None:
    check_objectives(objectives, base.score)
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
    if options.hours is not None:
        check_range("hydra.sweeper.hours", options.hours, 0)
    if not options.study_name:
        raise UserError("hydra.sweeper.study_name", options.study_name, "a name")
    make_sampler(options, 0)
    make_pruner(options)
    if "Wilcoxon" in options.pruner["_target_"] and not options.seeds:
        raise UserError("hydra.sweeper.seeds", "[]", "two or more seeds for pruner=wilcoxon")
    keeps = options.pruner["_target_"] == KeepConfig._target_
    if keeps and (list(objectives) != ["keep"] or options.seeds):
        found = f"keep with {one_of(objectives)}" + (" over seeds" if options.seeds else "")
        raise UserError("hydra/sweeper/pruner", found, "keep for score.objective=keep alone")
    if "keep" in objectives and not options.reference and base.score.reference is None:
        raise UserError("hydra.sweeper.reference", "false",
                        "true for score.objective=keep, or score.reference=NUMBER")  # fmt: skip


def _check_reference(regime: Regime) -> None:
    """Raises UserError where nothing of the sweep's own makes the reference separate models."""
    if not regime.separate:
        found = f"{regime.words}, of sharing=individual with this sweep's settings"
        raise UserError("hydra.sweeper.reference", found, "false, or score.reference=NUMBER")


def check_space(space: Space, fixed: Sequence[str], composer: Composer, grid: bool) -> list[Regime]:
    """Regimes at the space's corners: every choice and both ends of every range.

    Raises:
        UserError: one of them does not fit, as a split above the encoder's layers; or a grid
            over a parameter without end.
    """
    if grid and not space.finite:
        next(space.points())
    found = [
        composer.regime([*fixed, *space.words(point), *FOR_EVERY_TRIAL])
        for point in space.corners()
    ]
    # What a dry run leaves out, as whether the checkpoint is there and fits.
    make_blueprint(replace(found[0].config, dry_run=False))
    return found


def _wanted(options: SweeperConfig, points: int | None) -> int | None:
    """How many trials there will be, where that can be said."""
    all_points = None if points is None else points + options.reference
    found = [number for number in (options.n_trials, all_points) if number is not None]
    return min(found, default=None)


def made_for(
    options: SweeperConfig, space: Space, objectives: Sequence[str], base: Config
) -> dict[str, Any]:
    """What makes a study this one: trials of another could not be compared."""
    settings = {name: value for name, value in asdict(base).items() if name not in _FREE}
    for name in _FREE_TRAINER:
        del settings["trainer"][name]
    return {
        "space": space.record(),
        "objectives": list(objectives),
        "seeds": list(options.seeds),
        "reference": options.reference,
        "settings": settings,
    }


def _book(
    options: SweeperConfig,
    config: DictConfig,
    space: Space,
    objectives: Sequence[str],
    base: Config,
) -> Book:
    folder = sweep_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    storage = open_storage(options.storage, folder)
    directions = [DIRECTIONS[name] for name in objectives]
    wanted = made_for(options, space, objectives, base) | {"folder": str(folder)}
    return patiently(
        lambda: open_book(storage, str(options.study_name), folder, directions, wanted),
        STUDY_FILE if options.storage is None else place_of(options.storage),
    )


def _deadline(options: SweeperConfig, book: Book) -> float:
    if options.hours is None:
        return float("inf")
    used = sum(trial.user_attrs.get(SECONDS) or 0.0 for trial in book.trials()) / options.n_jobs
    return time.monotonic() + max(0.0, options.hours * 3600 - used)


def _announce(book: Book, options: SweeperConfig, asker: Asker) -> None:
    trials = book.trials()
    place = "study.db" if options.storage is None else place_of(options.storage)
    wanted = _wanted(options, asker.points)
    words = "trials without end" if wanted is None else f"{wanted} trials"
    log.info("sweep %s: %s, study in %s", options.study_name, words, place)
    if trials:
        ended = sum(trial.state.is_finished() for trial in trials)
        log.info("going on: %d of its trials have ended, %d have not", ended, len(trials) - ended)
