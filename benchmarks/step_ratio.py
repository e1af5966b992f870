"""Seconds of a training step of several configs, taken in turn (A B A B), as ratios to the first.

    python benchmarks/step_ratio.py 20 "sharing=shared" "sharing=pals" "sharing=soft"

Each argument after the number of steps holds one config's overrides.
"""

import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from hydra import compose, initialize_config_module

from mtl_sharing.blueprint import make_blueprint
from mtl_sharing.build import make_learner
from mtl_sharing.config import register, to_config
from mtl_sharing.material import read_material
from mtl_sharing.run.learner import Learner

UNTIMED = 2


def learner_of(words: str) -> Learner:
    """A fresh learner of the config that these overrides make."""
    with initialize_config_module("mtl_sharing.conf"):
        config = to_config(compose("train", overrides=words.split()))
    blueprint = make_blueprint(config)
    with TemporaryDirectory() as folder:
        material = read_material(blueprint, Path(folder))
    return make_learner(blueprint, material, blueprint.architecture)


def main(steps: int, configs: list[str]) -> None:
    """Prints median milliseconds, and the median ratio with its range, of each config."""
    register()
    learners = [learner_of(words) for words in configs]
    seconds: list[list[float]] = [[] for _ in learners]
    for step in range(steps + UNTIMED):
        for learner, taken in zip(learners, seconds, strict=True):
            began = time.perf_counter()
            learner.update(step, steps + UNTIMED)
            taken.append(time.perf_counter() - began)
    for words, taken in zip(configs, seconds, strict=True):
        ratios = [own / first for own, first in zip(taken, seconds[0], strict=True)][UNTIMED:]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{median(taken[UNTIMED:]) * 1e3:8.1f} ms  {spread}  {words}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
