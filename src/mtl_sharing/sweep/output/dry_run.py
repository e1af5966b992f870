"""A sweep's dry run: its space, how many trials, how long, how much memory; starts none."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial
from rich import get_console
from rich.table import Table

from mtl_sharing.sweep.loop.ask import hours_left_s, known_points
from mtl_sharing.sweep.output.forecast import Forecast, forecast, memory_here, most_costly
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.sweep.space.space import Space
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.study import trained
from mtl_sharing.utils.files import short_path
from mtl_sharing.utils.logging import log_level

log = logging.getLogger("mtl_sharing")

# Longer lists of choices are counted.
_LONGEST = 60


@dataclass(frozen=True)
class Plan:
    """What a sweep is going to do.

    Attributes:
        trials: those that the study has already.
    """

    search: SweepSpec
    trials: Sequence[FrozenTrial]

    @property
    def options(self) -> SweeperConfig:
        """The sweeper's."""
        return self.search.options

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials that have ended."""
        return [trial for trial in self.trials if trial.state.is_finished()]

    @property
    def left(self) -> int | None:
        """Trials that are still to be trained, at most."""
        bounds, points = [], self.search.points
        if self.options.n_trials is not None:
            bounds.append(self.options.n_trials - len(trained(self.ended)))
        if points is not None:
            first = self.options.reference and not self.ended
            bounds.append(points - len(known_points(self.ended)) + first)
        return max(0, min(bounds)) if bounds else None

    @property
    def left_s(self) -> float | None:
        """What is left of the sweep's hours, in seconds; None where it has no such end."""
        return hours_left_s(self.options, self.trials)


def describe_sweep(plan: Plan, regimes: Sequence[ComposedTrial]) -> None:
    """Prints the space and the number of trials, then measures and prints what they will take.

    Args:
        regimes: at the corners of the space, and separate models where they come first.

    Raises:
        UserError: data or a checkpoint that is not there or does not fit.
    """
    _print()
    _print(space_table(plan.search.space))
    _print()
    _print_lines(trial_lines(plan))
    chosen = most_costly(regimes)
    # Each trial's log says what was found in its data.
    with log_level("mtl_sharing", logging.WARNING):
        found = forecast(chosen)
    device = chosen.run_spec.runtime.device
    _print_lines(cost_lines(plan, found, memory_here(device)))


def space_table(space: Space) -> Table:
    """A row for each parameter."""
    table = Table("parameter", "values", "drawn where", box=None, header_style="bold",
                  pad_edge=False)  # fmt: skip
    rows = {name: words_of(each) for name, each in space.distributions.items()}
    for group in space.depths:
        together = "" if len(group) == 1 else "what is left of "
        rows |= dict.fromkeys(space.free_depths(group), f"0 to {together}{space.layers([])}")
    for name, values in rows.items():
        condition = space.when.get(name)
        where = "" if condition is None else f"{condition.key}={'|'.join(condition.values)}"
        table.add_row(name, values, where)
    return table


def words_of(distribution: BaseDistribution) -> str:
    """A parameter's values in words."""
    if isinstance(distribution, CategoricalDistribution):
        words = ", ".join(map(str, distribution.choices))
        return words if len(words) <= _LONGEST else f"{len(distribution.choices)} choices"
    found = vars(distribution)
    words = f"{found['low']:g} to {found['high']:g}"
    if found["log"]:
        return f"{words}, log-uniform"
    step = found["step"]
    return words if step in (None, 1) else f"{words} in steps of {step:g}"


def trial_lines(plan: Plan) -> list[tuple[str, str]]:
    """How many trials, of what."""
    points = "more points than will be counted, or no end of them"
    if plan.search.points is not None:
        points = f"{plan.search.points:,} points"
    return [
        ("sweep", f"{plan.options.study_name} in {short_path(plan.search.folder)}"),
        ("objective", ", ".join(plan.search.objectives)),
        ("space", points),
        ("trials", _trials(plan)),
    ]


def _trials(plan: Plan) -> str:
    wanted = plan.search.total_trials
    words = "without end" if wanted is None else f"{wanted} at most"
    if wanted is not None and plan.search.points is not None:
        words = str(wanted)
    if plan.options.reference:
        words += ", the first of them separate models"
    if plan.trials:
        left = "" if plan.left is None else f", {plan.left} to go"
        words += f"; {len(plan.ended)} ended{left}"
    return words


def cost_lines(plan: Plan, found: Forecast, memory: int) -> list[tuple[str, str]]:
    """What the trials will take.

    Args:
        memory: bytes that the machine has.
    """
    step, evaluation = _duration(found.step_s), _duration(found.evaluation_s)
    runs = len(plan.options.seeds) or 1
    each = found.train_s * runs
    seeds = f", {runs} seeds" if runs > 1 else ""
    counts = f"{_count(found.steps, 'step')}, {_count(found.evaluations, 'evaluation')}{seeds}"
    return [
        ("measured", f"{found.regime}, the costliest: {step} a step, {evaluation} an "
                     "evaluation"),
        ("a trial", f"{_duration(each)} at most: {counts}"),
        ("time", _time(plan, each)),
        ("memory", _memory(plan, found, memory)),
        ("disk", _disk(plan, found, runs)),
    ]  # fmt: skip


def _time(plan: Plan, each: float) -> str:
    jobs = plan.options.n_jobs
    at_once = "" if jobs == 1 else f", {jobs} at once as fast as one alone"
    wanted = None if plan.left is None else -(-plan.left // jobs) * each
    ends = [end for end in (wanted, plan.left_s) if end is not None]
    if not ends:
        return "without end: hydra.sweeper.n_trials or hydra.sweeper.hours ends it"
    if plan.left_s is not None and plan.left_s == min(ends):
        return f"{_duration(plan.left_s)}, as hydra.sweeper.hours says"
    return f"{_duration(min(ends))} for {_count(plan.left or 0, 'trial')}, none pruned{at_once}"


def _memory(plan: Plan, found: Forecast, memory: int) -> str:
    needed = found.peak_bytes * plan.options.n_jobs
    words = f"{_size(found.peak_bytes)} at a trial's peak"
    if plan.options.n_jobs > 1:
        words += f", {_size(needed)} for {plan.options.n_jobs} at once"
    fits = "" if needed <= memory else ": TOO LITTLE"
    return f"{words}; there are {_size(memory)}{fits}"


def _disk(plan: Plan, found: Forecast, runs: int) -> str:
    weights, checkpoint = _size(found.weight_bytes), _size(found.checkpoint_bytes)
    words = f"{weights} of weights a trial"
    if plan.left is not None:
        words += f", {_size(found.weight_bytes * runs * plan.left)} for all"
    return f"{words} at most; {checkpoint} of checkpoint while one trains"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _print_lines(lines: Sequence[tuple[str, str]]) -> None:
    for label, text in lines:
        _print(f"{label:<11}{text}")


def _print(what: object = "") -> None:
    get_console().print(what, soft_wrap=isinstance(what, str), highlight=False, markup=False)
