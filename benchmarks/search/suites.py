"""What the truth tables are trained on."""

from dataclasses import dataclass
from pathlib import Path

TRUTH = Path(__file__).parent / "truth"
"""The folder of the tables."""

_ALL = (
    "sharing=hybrid", "suite.select_fraction=0.1", "score.clock=flops", "score.time=predict",
    # Any number: without one, each seed's separate models would be trained first.
    "score.reference=1", "trainer.eval_every=null",
    "trainer.device=cpu", "trainer.precision=fp32", "trainer.threads=1",
)  # fmt: skip


@dataclass(frozen=True)
class Suite:
    """The trainings of one truth table.

    Attributes:
        settings: overrides that say what is trained, beside those of every table.
        layers: the encoder's. Every split from 0 to all of them is trained.
        seeds: how many seeds each split is trained with.
        needs_data: whether ``data_dir`` names its files.
    """

    name: str
    settings: tuple[str, ...]
    layers: int
    seeds: int
    needs_data: bool = False

    @property
    def splits(self) -> range:
        """The splits, separate models first."""
        return range(self.layers + 1)

    def overrides(self, split: int, seed: int) -> list[str]:
        """The overrides of one training."""
        return [*_ALL, *self.settings, f"split={split}", f"seed={seed}"]


SUITES = {
    suite.name: suite
    for suite in (
        Suite("planted", ("suite=planted",), 12, 10),
        Suite("bundled", ("suite=bundled",), 12, 10),
        Suite(
            "minilm",
            (
                "encoder=minilm_l6", "suite=cs224n", "pairing=joined", "head.pooling=mean",
                "optimizer.lr=1e-4", "trainer.batch_size=12", "trainer.max_steps=100",
                "suite.max_train_rows=2500", "suite.max_dev_rows=500", "trainer.eval_every=25",
            ),
            layers=6, seeds=5, needs_data=True,
        ),
    )
}  # fmt: skip
