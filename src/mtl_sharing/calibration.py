"""Regime and separate models as learners, for :mod:`mtl_sharing.score.calibrate` to time."""

import logging
from collections.abc import Callable
from dataclasses import replace

import torch

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.build import make_learner, training_sizes
from mtl_sharing.material import Material
from mtl_sharing.mixing.samplers import RoundRobin
from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.checkpoint import random_tower
from mtl_sharing.outcome import describe_regime
from mtl_sharing.run.learner import Learner
from mtl_sharing.score.calibrate import Calibration, calibrate, timed_text

log = logging.getLogger(__name__)


def score_calibration(blueprint: Blueprint, material: Material) -> Calibration | None:
    """What the score of a run needs to be measured; None where it counts operations, or nothing."""
    score = blueprint.config.score
    if not score.pairs or score.clock == "flops":
        return None
    return measured_pairs(blueprint, material, score.pairs)


def measured_pairs(blueprint: Blueprint, material: Material, pairs: int) -> Calibration | None:
    """Interleaved timings of the blueprint's regime and its baseline on its own data.

    None, with a warning, where both do not fit into memory together.
    """
    architecture, unshared = blueprint.architecture, blueprint.baseline
    log.info("measuring %s and the baseline %s side by side", describe_regime(blueprint),
             unshared.plan)  # fmt: skip

    # Random weights cost the same as others. No states from a cache: what is cached here must
    # not decide the score.
    started = replace(material, tower=random_tower(blueprint.shape, blueprint.config.seed))

    unified = blueprint.config.sampler.name == "unified"
    tasks = tuple(training_sizes(blueprint, material))

    def learner(of: Architecture) -> Callable[[], Learner]:
        def make() -> Learner:
            made = make_learner(blueprint, started, of)
            # By turns, so that no task is left out of what is measured.
            made.sampler = made.sampler if unified else RoundRobin(tasks)
            return made

        return make

    baseline = None if architecture == unshared else learner(unshared)
    try:
        return calibrate(learner(architecture), baseline, timed_text(material.dev), pairs,
                         turns=1 if unified else len(tasks))  # fmt: skip
    except (torch.OutOfMemoryError, MemoryError):
        log.warning("the baseline does not fit into memory beside the regime: no score")
        return None
