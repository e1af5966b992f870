"""Times training steps of several configs in turn (A B A B), as ratios to the first config.

    python -m benchmarks.step_ratio 20 "sharing=shared" "sharing=pals" "sharing=soft"

Each argument after the number of steps has one config's overrides.
"""

import sys
from functools import partial
from statistics import median

from benchmarks.clock import timed
from benchmarks.project import assemble_learner

UNTIMED = 2


def main(steps: int, configs: list[str]) -> None:
    """Prints each config's median milliseconds, and its median ratio with the range."""
    learners = [assemble_learner(overrides) for overrides in configs]
    seconds: list[list[float]] = [[] for _ in learners]
    for step in range(steps + UNTIMED):
        for learner, taken in zip(learners, seconds, strict=True):
            work = partial(learner.update, step, steps + UNTIMED)
            taken.append(timed(learner.runtime.device, work))
    for overrides, taken in zip(configs, seconds, strict=True):
        ratios = [one / first for one, first in zip(taken, seconds[0], strict=True)][UNTIMED:]
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{median(taken[UNTIMED:]) * 1e3:8.1f} ms  {spread}  {overrides}")


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
