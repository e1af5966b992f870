"""The plain loop's prediction of a long file."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.file_prediction import PairFile
from benchmarks.plain_loops import DEFAULT_MODE, Mode, PlainLoop, padded
from benchmarks.records import StepWork
from mtl_sharing.data.tokens.batches import pack
from mtl_sharing.data.tokens.tokenizing import TokenRows
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.utils.device import autocast

_TRIAL_ROWS = 96


class PlainFilePrediction(PlainLoop):
    """Tokenises a file and predicts every task, in padded batches of similar length.

    Shared layers run once over the joined pairs that several tasks read.
    """

    def __init__(
        self, run_spec: RunSpec, inputs: RunInputs, folder: Path, mode: Mode | None = None
    ) -> None:
        super().__init__(run_spec, inputs, mode or DEFAULT_MODE)
        self.network.eval()
        self.file = PairFile.read(run_spec, inputs, folder)
        self.pair_tasks = {name: spec.is_pair for name, spec in run_spec.specs.items()}

    def step(self, number: int) -> None:
        """One pass over the file."""
        self.predict(self.file)

    def predict(self, file: PairFile) -> dict[str, Tensor]:
        """Raw outputs of each task, in the file's order."""
        outputs: dict[str, Tensor] = {}
        with torch.inference_mode(), autocast(self.precision, self.device):
            for rows, is_pair in zip(file.encode(), (False, True), strict=True):
                tasks = [name for name, pair in self.pair_tasks.items() if pair == is_pair]
                outputs |= self._predict(rows, tasks)
        return outputs

    def _predict(self, rows: TokenRows, tasks: Sequence[str]) -> dict[str, Tensor]:
        order = torch.from_numpy(np.argsort(rows.lengths, kind="stable"))
        batches = padded(pack([rows], order.numpy()))
        raw = [self.network.predict_all(text.to(self.device), tasks) for text in batches]
        return {
            task: torch.cat([one[task] for one in raw]).cpu()[order.argsort()] for task in tasks
        }

    def work(self, number: int) -> StepWork:
        """The work of a pass."""
        return self.file.work

    def trial(self) -> None:
        """A pass over some rows, to time a mode."""
        self.predict(self.file.take(_TRIAL_ROWS))
