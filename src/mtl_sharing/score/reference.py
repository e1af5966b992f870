"""What a run is held against: separate models, as ``score.reference`` names them, and others."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError, check_above, one_of
from mtl_sharing.run_folder.layout import RESULT
from mtl_sharing.score.settings import ScoreConfig

FIGURES = ("precision", "recall", "f1")
"""Compared for every task, beside its main metric."""


def percent_change(value: float, base: float) -> float | None:
    """``100 (value - base) / |base|``; above 0 is better. None where the baseline has 0.

    By the absolute value, so that a correlation that rises from below 0 counts as a gain.
    """
    return None if base == 0 else 100 * (value - base) / abs(base)


def task_changes(
    tasks: Mapping[str, Mapping[str, Any]], baseline: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, float | None]]:
    """Each task's macro precision, recall and F1 and its main metric against the baseline's.

    Args:
        tasks, baseline: figures by task, as in result.json. A figure that the baseline lacks gives
            None.
    """
    return {
        task: {name: _change(found, baseline[task], name) for name in (*FIGURES, found["metric"])}
        for task, found in tasks.items()
    }


def _change(found: Mapping[str, Any], baseline: Mapping[str, Any], name: str) -> float | None:
    base = baseline.get(name)
    return None if base is None else percent_change(found[name], base)


SEPARATE, UNTUNED = "separate", "untuned"
"""Separate models, fully trained; the encoder as it is, under heads that have learnt nothing."""
SHARING_PARTS = ("pals", "lanes", "tie")
"""Parts of a result that belong to the sharing; the others say how the text is read."""


@dataclass(frozen=True)
class Reference:
    """Figures that a run is held against.

    Attributes:
        kind: ``number`` or ``run``, which the user names; ``separate`` or ``untuned``, which the
            project makes.
        performance: counted as ``score.pearson`` says.
        tasks: figures of each task, as in result.json; none where only a number is known.
        folder: where they lie.
        key: a digest of all that decided them, where the project made them.
    """

    kind: str
    performance: float
    tasks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    folder: str | None = None
    key: str | None = None

    def record(self) -> dict[str, Any]:
        """What result.json says of where the figures come from."""
        return {
            "kind": self.kind,
            "performance": self.performance,
            "folder": self.folder,
            "key": self.key,
        }


def is_separate_result(plan: str, parts: Iterable[str]) -> bool:
    """Whether a result is one of separate models: nothing shared, and nothing added to sharing.

    Args:
        plan: canonical.
        parts: names of what the regime adds to it.
    """
    return set(plan) <= set("I0123456789") and not set(parts) & set(SHARING_PARTS)


def differing_data(
    tasks: Mapping[str, Mapping[str, Any]], reference: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    """Tasks whose dev examples are not the reference's, as far as two results can tell.

    Args:
        tasks, reference: figures by task, as in result.json.
    """
    names = ("examples", "floor")
    return [
        task for task, known in reference.items()
        if any(name in known and known[name] != tasks[task][name] for name in names)
    ]  # fmt: skip


def performance_of(figures: Mapping[str, Any], pearson: str) -> float:
    """The performance in a result, or a part of one, counted as ``score.pearson`` says."""
    return float(figures["performance" if pearson == "unit" else "performance_raw_r"])


def reference_performance(
    config: ScoreConfig, tasks: Sequence[str], held_out: bool = False
) -> float | None:
    """The performance in :func:`read_reference`."""
    found = read_reference(config, tasks, held_out)
    return None if found is None else found.performance


def read_reference(
    config: ScoreConfig, tasks: Sequence[str], held_out: bool = False
) -> Reference | None:
    """Fully trained separate models, where ``score.reference`` gives their figures.

    Args:
        tasks: that the reference must have been trained on.
        held_out: that on what ``suite.select_fraction`` holds out of train, not that on dev.

    Returns:
        None where the config names none, or has the project make it (``separate``).

    Raises:
        UserError: ``score.reference`` is neither of these, nor a number above 0, nor the folder
            of a finished run of separate models on these tasks.
    """
    if config.reference is None or config.reference == SEPARATE:
        return None
    try:
        found = Reference("number", float(config.reference))
    except ValueError:
        found = _of_run(Path(config.reference), config.pearson, tasks, held_out)
    check_above("score.reference", found.performance, 0)
    return found


def _of_run(folder: Path, pearson: str, tasks: Sequence[str], held_out: bool) -> Reference:
    allowed = (
        f"a number, {SEPARATE}, "
        "or the folder of a finished run with nothing shared (sharing=individual) on "
        + one_of(tasks)
        + (" that holds out the same part of train (suite.select_fraction)" if held_out else "")
    )
    try:
        result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
        described = f"{result['plan']}, {result['status']}, on {one_of(result.get('tasks', {}))}"
        separate = is_separate_result(result["plan"], result.get("parts", {}))
        fits = separate and result["status"] == "finished" and set(result["tasks"]) == set(tasks)
        judged = result["selection"] if held_out else result
        place = str(folder.absolute())
        found = Reference("run", performance_of(judged, pearson), result["tasks"], place)
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError("score.reference", folder, allowed) from None
    if not fits:
        raise UserError("score.reference", f"{folder} ({described})", allowed)
    return found
