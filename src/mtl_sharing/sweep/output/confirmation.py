"""Confirms a search's choice on dev, which made no choice, by the paired test of reports."""

from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

from mtl_sharing.report.analysis.comparisons import compare
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.inputs.groups import Group
from mtl_sharing.report.inputs.runs import finished_run
from mtl_sharing.run_folder.decision import DevComparison
from mtl_sharing.score.performance import kept


def confirm_on_dev(
    chosen: Sequence[Path], separate: Sequence[Path], notes: Sequence[str] = ()
) -> DevComparison | None:
    """Compares a regime with separate models on dev over the seeds that both were trained with.

    Args:
        chosen: the run folders of the regime, one for each seed.
        separate: those of separate models.
        notes: on what the comparison shows, beside its own.

    Returns:
        None where one of the two has no run that can be read.
    """
    group, other = _group("chosen", chosen), _group("separate", separate)
    if group is None or other is None:
        return None
    comparison = compare(group, other, RunPredictions.of([group, other]))[0]
    performance, reference = (_mean(one, comparison.seeds) for one in (group, other))
    difference = comparison.difference
    return DevComparison(
        seeds=comparison.seeds,
        performance=performance,
        reference=reference,
        kept=kept(performance, reference),
        difference=None if difference is None else difference.mean,
        low=None if difference is None else difference.low,
        high=None if difference is None else difference.high,
        p=None if difference is None else difference.p,
        test=comparison.test,
        note="; ".join(filter(None, [comparison.note, *notes])),
    )


def _group(label: str, folders: Sequence[Path]) -> Group | None:
    runs = sorted(filter(None, map(finished_run, folders)), key=lambda run: run.name)
    return Group(label, tuple(runs), runs[0].plan, {}, label == "separate") if runs else None


def _mean(group: Group, seeds: Sequence[int]) -> float:
    runs = group.by_seed()
    return fmean(float(runs[seed].result["performance"]) for seed in seeds or runs)
