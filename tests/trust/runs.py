"""Makes the finished and the stopped run that the tests of trust damage and forge."""

from pathlib import Path

from mtl_sharing import train
from mtl_sharing.errors import Stopped
from support import QUICK, interrupted_at_step

OVERRIDES = (
    *QUICK, "encoder.layers=4", "sharing=hybrid", "split=2", "trainer.max_steps=6",
    "trainer.eval_every=2", "score.clock=flops", "trainer.device=cpu", "trainer.precision=fp32",
    "trainer.threads=1",
)  # fmt: skip
"""Nothing of the result is measured but times."""


def make_finished(folder: Path) -> Path:
    """A run that has ended."""
    train(OVERRIDES, folder)
    return folder


def make_stopped(folder: Path) -> Path:
    """A run that was interrupted after two evaluations, so that it has two checkpoints."""
    try:
        with interrupted_at_step(4):
            train(OVERRIDES, folder)
    except Stopped:
        return folder
    raise AssertionError("the run was not stopped")
