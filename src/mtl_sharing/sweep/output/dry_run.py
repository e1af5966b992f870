"""Describes a sweep without a trial: its space, number of trials, time, memory and disk."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial

from mtl_sharing.sweep.loop.ask import hours_left_s, known_points
from mtl_sharing.sweep.output.forecast import Forecast, forecast, machine_memory, most_costly
from mtl_sharing.sweep.settings import search_seeds, seeds_of_trial
from mtl_sharing.sweep.space.composer import ComposedTrial
from mtl_sharing.sweep.space.space import Space
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.attributes import trained
from mtl_sharing.utils.files import short_path
from mtl_sharing.utils.logging import log_level
from mtl_sharing.utils.summary import Summary, print_summary
from mtl_sharing.utils.tables import FoldingTable

# Longer lists of choices are counted.
_LONGEST = 60


@dataclass(frozen=True)
class Plan:
    """The work ahead of a sweep that has made these trials in earlier starts.

    Attributes:
        regimes: the number that a search decides between; None for a sweep that ranks trials.
    """

    spec: SweepSpec
    trials: Sequence[FrozenTrial]
    regimes: int | None = None

    @property
    def ended(self) -> list[FrozenTrial]:
        """Trials that have ended."""
        return [trial for trial in self.trials if trial.state.is_finished()]

    @property
    def left(self) -> int | None:
        """Trials that are still to be trained, at most."""
        bounds, points, options = [], self.spec.points, self.spec.options
        if options.n_trials is not None:
            bounds.append(options.n_trials - len(trained(self.ended)))
        if points is not None and self.regimes is None:
            first = options.reference and not self.ended
            bounds.append(points - len(known_points(self.ended)) + first)
        return max(0, min(bounds)) if bounds else None


def describe_sweep(plan: Plan, candidates: Sequence[ComposedTrial]) -> None:
    """Measures the cost of a trial and prints it, the space and the number of trials.

    Args:
        candidates: trials at the corners of the space, and separate models if they are trained.

    Raises:
        UserError: data or a checkpoint that is not there or does not fit.
    """
    costliest = most_costly(candidates)
    # Messages about the data go to the log of each trial.
    with log_level("mtl_sharing", logging.WARNING):
        cost = forecast(costliest)
    memory = machine_memory(costliest.run_spec.runtime.device)
    lines = [*trial_lines(plan), *cost_lines(plan, cost, memory)]
    print_summary(Summary(
        answer=f"{dict(lines)['time']}; nothing was trained",
        contents=[space_table(plan.spec.space)],
        details=lines,
        record={**dict(lines), "folder": str(plan.spec.folder)},
    ))  # fmt: skip


def space_table(space: Space) -> FoldingTable:
    """A table with a row for each parameter."""
    values = {name: format_values(d) for name, d in space.distributions.items()}
    for group in space.depths:
        together = "" if len(group) == 1 else "what is left of "
        values |= dict.fromkeys(space.free_depths(group), f"0 to {together}{space.layers([])}")
    columns = {
        "parameter": list(values),
        "values": list(values.values()),
        "drawn where": [str(space.when.get(name, "")) for name in values],
    }
    return FoldingTable(columns, tuple(columns))


def format_values(distribution: BaseDistribution) -> str:
    """The values of a parameter, such as ``0 to 1 in steps of 0.1``."""
    if isinstance(distribution, CategoricalDistribution):
        text = ", ".join(map(str, distribution.choices))
        return text if len(text) <= _LONGEST else f"{len(distribution.choices)} choices"
    attributes = vars(distribution)
    text, step = f"{attributes['low']:g} to {attributes['high']:g}", attributes["step"]
    if attributes["log"]:
        return f"{text}, log-uniform"
    return text if step in (None, 1) else f"{text} in steps of {step:g}"


def trial_lines(plan: Plan) -> list[tuple[str, str]]:
    """Labelled lines on the number of trials."""
    many, points = "more points than will be counted, or no end of them", plan.spec.points
    lines = [
        ("sweep", f"{plan.spec.options.study_name} in {short_path(plan.spec.folder)}"),
        ("objective", ", ".join(plan.spec.objectives)),
        ("space", many if points is None else f"{points:,} points"),
    ]
    if plan.regimes is None:
        return [*lines, ("trials", _trials(plan) + _progress(plan))]
    regimes = f"{plan.regimes} to decide between, separate models among them"
    return [*lines, ("regimes", regimes), ("trainings", _trainings(plan) + _progress(plan)),
            ("seeds", _seeds(search_seeds(plan.spec.options)))]  # fmt: skip


def _trials(plan: Plan) -> str:
    total = plan.spec.total_trials
    text = "without end" if total is None else str(total)
    if total is not None and plan.spec.points is None:
        text += " at most"
    return text + (", the first of them separate models" if plan.spec.options.reference else "")


def _trainings(plan: Plan) -> str:
    total, confidence = plan.spec.total_trials, plan.spec.options.confidence
    text = f"until the answer is sure (probability {confidence:g})"
    return text if total is None else f"{text}, at most {total}"


def _seeds(seeds: Sequence[int]) -> str:
    is_range = tuple(seeds) == tuple(range(seeds[0], seeds[0] + len(seeds)))
    text = (
        f"{seeds[0]} to {seeds[-1]}" if is_range and len(seeds) > 2 else ", ".join(map(str, seeds))
    )
    return f"{text}: one for each training"


def _progress(plan: Plan) -> str:
    """How many trials have ended in earlier starts; empty for a new sweep."""
    if not plan.trials:
        return ""
    left = "" if plan.left is None else f", {plan.left} to go"
    return f"; {len(plan.ended)} ended{left}"


def cost_lines(plan: Plan, cost: Forecast, memory: int) -> list[tuple[str, str]]:
    """Labelled lines on the cost of the trials, on a machine with so many bytes of memory."""
    step, evaluation = _duration(cost.step_s), _duration(cost.evaluation_s)
    runs = len(seeds_of_trial(plan.spec.options)) or 1
    trial_s = cost.train_s * runs
    seeds = f", {runs} seeds" if runs > 1 else ""
    counts = f"{_count(cost.steps, 'step')}, {_count(cost.evaluations, 'evaluation')}{seeds}"
    return [
        ("measured", f"{cost.regime}, the costliest: {step} a step, {evaluation} an evaluation"),
        ("a trial", f"{_duration(trial_s)} at most: {counts}"),
        ("time", _time(plan, trial_s)),
        ("memory", _memory(plan, cost, memory)),
        ("disk", _disk(plan, cost, runs)),
    ]


def _time(plan: Plan, trial_s: float) -> str:
    jobs = plan.spec.options.n_jobs
    at_once = "" if jobs == 1 else f", {jobs} at once as fast as one alone"
    all_s = None if plan.left is None else -(-plan.left // jobs) * trial_s
    left_s = hours_left_s(plan.spec.options, plan.trials)
    ends = [end for end in (all_s, left_s) if end is not None]
    if not ends and plan.regimes is not None:
        return "until the answer is sure: hydra.sweeper.n_trials or hydra.sweeper.hours bounds it"
    if not ends:
        return "without end: hydra.sweeper.n_trials or hydra.sweeper.hours ends it"
    if (end := min(ends)) == left_s:
        return f"{_duration(end)}, as hydra.sweeper.hours says"
    if plan.regimes is not None:
        return f"{_duration(end)} at most, for {_count(plan.left or 0, 'training')}{at_once}"
    return f"{_duration(end)} for {_count(plan.left or 0, 'trial')}, none pruned{at_once}"


def _memory(plan: Plan, cost: Forecast, memory: int) -> str:
    needed = cost.peak_bytes * plan.spec.options.n_jobs
    text = f"{_size(cost.peak_bytes)} at a trial's peak"
    if plan.spec.options.n_jobs > 1:
        text += f", {_size(needed)} for {plan.spec.options.n_jobs} at once"
    return f"{text}; there are {_size(memory)}{'' if needed <= memory else ': TOO LITTLE'}"


def _disk(plan: Plan, cost: Forecast, runs: int) -> str:
    text = f"{_size(cost.weight_bytes)} of weights a trial"
    if plan.left is not None:
        text += f", {_size(cost.weight_bytes * runs * plan.left)} for all"
    return f"{text} at most; {_size(cost.checkpoint_bytes)} of checkpoint while one trains"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _size(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
