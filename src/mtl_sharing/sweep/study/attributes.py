"""Attributes of studies and trials. Databases hold these strings: never change them."""

from collections.abc import Iterable

from optuna.trial import FrozenTrial

MADE_FOR = "made for"
INPUTS = "inputs"
VERSION = "results_version"
"""The key of the results' version in what a study is made for."""
ALIVE = "alive"
REFERENCE = "reference"
SAME_AS, IDENTITY, REASON = "same as", "identity", "reason"
OVERRIDES, REGIME, ATTEMPTS = "overrides", "regime", "attempts"
METRICS, SECONDS = "figures", "seconds"
SEED = "seed"
"""The seed of a trial of a search, which is one training."""
SAVED = "saved"
"""The cost that the regime saves by the score's ratios, where it is known before training."""


def is_reference(trial: FrozenTrial) -> bool:
    """Whether it is the trial of separate models."""
    return REFERENCE in trial.user_attrs


def trained(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    """The trials that are trained themselves, without duplicates of earlier ones."""
    return [trial for trial in trials if SAME_AS not in trial.user_attrs]
