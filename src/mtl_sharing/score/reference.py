"""References of a run: separate models, given by ``score.reference`` or trained here."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError, one_of
from mtl_sharing.run_folder.layout import Status
from mtl_sharing.run_folder.results import read_result
from mtl_sharing.score.performance import TaskMetrics, performance_of
from mtl_sharing.score.settings import ScoreConfig
from mtl_sharing.utils.nested import get

METRICS = ("precision", "recall", "f1")
"""Compared for every task, beside its main metric."""
SEPARATE, UNTUNED = "separate", "untuned"
"""Separate models, fully trained; the pretrained encoder under untrained heads."""
SHARING_PARTS = ("pals", "lanes", "tie", "distillation")
"""Parts of a result that separate models lack; the others describe how the text is read."""


def percent_change(value: float, base: float) -> float | None:
    """``100 (value - base) / |base|``; above 0 is better. None if the base is 0.

    The absolute value makes a correlation that rises from below 0 count as a gain.
    """
    return None if base == 0 else 100 * (value - base) / abs(base)


def task_changes(tasks: TaskMetrics, baseline: TaskMetrics) -> dict[str, dict[str, float | None]]:
    """Percent change of each task's macro precision, recall, F1 and main metric.

    A metric that the baseline lacks gives None.
    """

    def change(task: str, name: str) -> float | None:
        base = baseline[task].get(name)
        return None if base is None else percent_change(tasks[task][name], base)

    return {
        task: {name: change(task, name) for name in (*METRICS, own["metric"])}
        for task, own in tasks.items()
    }


@dataclass(frozen=True)
class Reference:
    """The metrics that a run is compared with.

    Attributes:
        kind: ``number`` or ``run``, given by the user; ``separate`` or ``untuned``, made here.
        performance: counted as ``score.pearson`` says.
        tasks: empty if only a number is known.
        folder: the reference run's folder.
        key: digest of everything that decided the metrics, for references made here.
    """

    kind: str
    performance: float
    tasks: TaskMetrics = field(default_factory=dict)
    folder: str | None = None
    key: str | None = None

    def record(self) -> dict[str, Any]:
        """The reference's origin, for result.json."""
        return {name: getattr(self, name) for name in ("kind", "performance", "folder", "key")}


def is_separate_result(plan: str, parts: Iterable[str]) -> bool:
    """Whether a plan in canonical notation shares nothing, and no part adds to sharing."""
    return set(plan) <= set("I0123456789") and not set(parts) & set(SHARING_PARTS)


def differing_data(tasks: TaskMetrics, reference: TaskMetrics) -> list[str]:
    """Tasks whose metric or dev examples differ from the reference's, as far as results show."""
    names = ("metric", "examples", "floor", "digests.dev")

    def differs(own: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
        pairs = [(get(own, name), get(other, name)) for name in names]
        return any(a != b for a, b in pairs if a is not None and b is not None)

    return [task for task, metrics in reference.items() if differs(tasks[task], metrics)]


def reference_performance(
    config: ScoreConfig, tasks: Sequence[str], held_out: bool = False
) -> float | None:
    """The performance in :func:`read_reference`."""
    reference = read_reference(config, tasks, held_out)
    return None if reference is None else reference.performance


def read_reference(
    config: ScoreConfig, tasks: Sequence[str], held_out: bool = False
) -> Reference | None:
    """Fully trained separate models, if ``score.reference`` gives their metrics.

    Args:
        tasks: the tasks that the reference must have been trained on.
        held_out: take the performance on the part held out of train by
            ``suite.select_fraction``, not that on dev.

    Returns:
        None if the config names no reference or asks for one made here (``separate``).

    Raises:
        UserError: ``score.reference`` is none of these, no number above 0, and no folder of a
            finished run of separate models on these tasks.
    """
    if config.reference is None or config.reference == SEPARATE:
        return None
    try:
        reference = Reference("number", float(config.reference))
    except ValueError:
        reference = _of_run(Path(config.reference), config.pearson, tasks, held_out)
    if not 0 < reference.performance < math.inf:
        found = f"{config.reference}, whose performance is {reference.performance:.4g}"
        allowed = "a finite performance above 0, of which a share can be kept"
        raise UserError("score.reference", found, allowed)
    return reference


def _of_run(folder: Path, pearson: str, tasks: Sequence[str], held_out: bool) -> Reference:
    allowed = (
        f"a number, {SEPARATE}, "
        "or the folder of a finished run with nothing shared (sharing=individual) on "
        + one_of(tasks)
        + (" that holds out the same part of train (suite.select_fraction)" if held_out else "")
    )
    try:
        result = read_result(folder) or {}
        description = f"{result['plan']}, {result['status']}, on {one_of(result.get('tasks', {}))}"
        fits = (
            is_separate_result(result["plan"], result.get("parts", {}))
            and result["status"] == Status.FINISHED
            and set(result["tasks"]) == set(tasks)
        )
        performance = performance_of(result["selection"] if held_out else result, pearson)
        reference = Reference("run", performance, result["tasks"], str(folder.absolute()))
    except (UserError, OSError, ValueError, KeyError, TypeError):
        raise UserError("score.reference", folder, allowed) from None
    if not fits:
        raise UserError("score.reference", f"{folder} ({description})", allowed)
    return reference
