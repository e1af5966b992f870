"""Answers of a search, made up."""

from dataclasses import replace

from mtl_sharing.run_folder.decision import (
    Decision,
    DevComparison,
    NextTraining,
    Question,
    RegimeEstimate,
)
from mtl_sharing.run_folder.decision_sentence import sentence

DEV = DevComparison((0, 1), 0.871, 0.875, 0.871 / 0.875, -0.004, -0.012, 0.004, 0.31, "a test", "")


def estimate(regime, probability=1.0, performances=(), mean=0.8, point=None, **changes):
    """What is known of a regime, whose seeds count from 0."""
    seeds = tuple(range(len(performances)))
    values = {"regime": regime, "label": regime, "point": point, "trials": seeds, "seeds": seeds,
              "performances": tuple(performances), "mean": mean, "low": mean - 0.03,
              "high": mean + 0.03, "kept": mean / 0.8, "probability": probability, "cost": 0.5,
              "parameters": 0.5}  # fmt: skip
    return RegimeEstimate(**values | changes)


def split(shared, probability, performances=(), mean=0.8, **changes):
    """What is known of a split of 12 layers."""
    regime = "S12" if shared == 12 else f"S{shared}-I{12 - shared}"
    size = {"parameters": 1 - shared / 18, "cost": 1 - shared / 18}
    return estimate(regime, probability, performances, mean, {"split": shared}, **size | changes)


SEPARATE = estimate("I12", 1.0, (0.79, 0.81), parameters=1.0, cost=1.0)
SPLITS = (
    SEPARATE,
    split(3, 0.97, (0.80,), 0.802),
    split(6, 0.95, mean=0.801),
    split(8, 0.934, (0.79, 0.81, 0.80), 0.8),
    split(9, 0.40, (0.78,), 0.785),
    split(12, 0.02, (0.70,), 0.70),
)


def decision(
    regimes=SPLITS, chosen=3, decided=True, rivals=(), following=(4, 2), missing=0, dev=DEV,
    held_out=0.0,
):  # fmt: skip
    """The answer of a search over a few splits."""
    made = Decision(
        question=Question(0.99, 0.9, (0, 1, 2, 3)), decided=decided, sentence="", chosen=chosen,
        rivals=rivals, next=None if following is None else NextTraining(*following),
        missing=missing, regimes=tuple(regimes), dev=dev, held_out=held_out,
    )  # fmt: skip
    return replace(made, sentence=sentence(made))
