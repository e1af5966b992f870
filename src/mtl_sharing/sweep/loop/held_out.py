"""How much regimes' performances depend on which examples were held out to choose by."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.inputs.runs import Run, finished_run
from mtl_sharing.score.performance import scale
from mtl_sharing.sweep.search.candidates import Training
from mtl_sharing.sweep.search.kernel import Values


@dataclass(frozen=True)
class HeldOutNoise:
    """Measures it on the dev predictions of a sweep's finished trials, each read once.

    Only how often regimes are right on different examples counts, not which is right more often,
    so that dev makes no choice.

    Attributes:
        folder: the sweep's, with a folder for each trial.
        pearson: how correlations count, ``unit`` or ``raw``.
    """

    folder: Path
    pearson: str = "unit"
    _resampled: dict[int, Values | None] = field(default_factory=dict, repr=False)

    def deviation(self, trainings: Sequence[Training]) -> float:
        """Standard deviation of a regime's performance relative to others', over held-out examples.

        Two regimes differ in a bootstrap resample by what the resample gives either, and by what
        their seeds do; two seeds of one regime differ by the latter alone. So half of what the
        variance of the first difference has more than that of the second belongs to a regime. While
        no regime has two trainings, all of it does. Medians over the pairs leave out regimes that
        are wrong on many examples, which are no answer.
        """
        resampled = [(t.candidate, self._of(t.number)) for t in trainings if t.number is not None]
        known = [(candidate, values) for candidate, values in resampled if values is not None]
        if len(known) < 2:
            return 0.0
        covariance = np.cov([values for _, values in known])
        variances = np.diag(covariance)
        differences = variances[:, None] + variances - 2 * covariance
        candidates = np.array([candidate for candidate, _ in known])
        same = candidates[:, None] == candidates
        others = ~np.eye(len(known), dtype=bool)
        if same.all():
            return 0.0
        seeds = np.median(differences[same & others]) if (same & others).any() else 0.0
        return math.sqrt(max(0.0, (np.median(differences[~same]) - seeds) / 2))

    def _of(self, number: int) -> Values | None:
        """A trial's performance in each resample; None where it cannot be told."""
        if number not in self._resampled:
            run = finished_run(self.folder / str(number))
            values = None if run is None else _performances(run, self.pearson)
            if values is None:
                return None  # it may be read later, as on a shared disk
            self._resampled[number] = values
        return self._resampled[number]

    def unknown(self, trainings: Sequence[Training]) -> list[int]:
        """The trials of these trainings whose predictions cannot be read, or tell nothing."""
        return [t.number for t in trainings if t.number is not None and self._of(t.number) is None]


def _performances(run: Run, pearson: str) -> Values | None:
    """Performance in bootstrap resamples of as many examples as were held out, around its mean.

    None where a task has no predictions or no labels, where its metric is undefined on dev, and
    where result.json is not as a run writes it.
    """
    predictions = RunPredictions((run,))
    try:
        tasks, selection = run.result["tasks"], (run.result.get("selection") or run.result)["tasks"]
        return np.asarray(np.mean([
            _around_mean(predictions.resampled(run, name), task, selection[name], pearson)
            for name, task in tasks.items()
        ], axis=0))  # fmt: skip
    except (LookupError, TypeError, ValueError, AttributeError):
        return None


def _around_mean(
    resampled: Values, task: Mapping[str, Any], selection: Mapping[str, Any], pearson: str
) -> Values:
    """A task's metric in resamples of dev, spread as one of the held-out examples would be."""
    metric = task["metric"]
    if metric in task["undefined"]:
        raise ValueError(f"{metric} undefined on dev")
    size = math.sqrt(task["examples"] / selection["examples"])
    return scale(metric, pearson) * size * (resampled - resampled.mean())
