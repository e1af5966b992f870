"""Texts on splits, times and states, for the ends of all sweeps."""

from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.score.clock import machine_text, range_text
from mtl_sharing.sweep.jobs.launcher import Measurement
from mtl_sharing.sweep.study.attributes import METRICS, trained


def split_text(trial: FrozenTrial) -> str | None:
    """The split that selects, such as ``on dev``; None for a trial of an old study."""
    split = trial.user_attrs[METRICS].get("split")
    held_out = ", held out of train to choose by" if split == "select" else ""
    return None if split is None else f"on {split}{held_out}"


def measured_text(measured: Measurement) -> str:
    """The times of separate models relative to the best regime's, the pairs and the machine."""
    kinds = {"train": "the time to train", "predict": "to predict"}
    times = []
    for name, text in kinds.items():
        ends = measured.get(f"{name}_ratio_range")  # missing in old sweeps
        spread = f" ({range_text(tuple(ends))})" if ends else ""
        times.append(f"{measured['time'][name]:.2f} x {text}{spread}")
    machine = machine_text(measured.get("machine"))
    return " and ".join(times) + (f", on {machine}" if machine else "")


def state_counts(trials: Sequence[FrozenTrial]) -> str:
    """Numbers of trials by state, then of duplicates."""
    states = [trial.state for trial in trained(trials)]
    text = ", ".join(f"{states.count(s)} {s.name.lower()}" for s in TrialState if s in states)
    equal = len(trials) - len(states)
    return text + (f"; {equal} more equal to earlier ones" if equal else "")
