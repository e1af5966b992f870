"""A run's result as Python shows it: the content of result.json, in three lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtl_sharing.run_folder.layout import Status
from mtl_sharing.score.performance import flags, tasks_at_floor
from mtl_sharing.utils.files import short_path
from mtl_sharing.utils.terminal import printable


class RunResult(dict[str, Any]):
    """The content of a run's result.json, and the folder that it is in.

    ``repr`` shows the regime, the tasks and the folder in a line each. ``dict(result)`` shows
    everything.
    """

    def __init__(self, values: Mapping[str, Any], folder: Path) -> None:
        super().__init__(values)
        self.folder = folder

    def __repr__(self) -> str:
        return run_text(self, self.folder)


def run_text(result: Mapping[str, Any], folder: Path) -> str:
    """Three lines: regime, parameters and performance; the tasks' metrics; the folder.

    Args:
        result: has ``regime``, ``seed``, ``params`` and ``tasks``. Whatever else it lacks, as the
            result of a run that has not finished does, is left out.
    """
    tasks = (_task_text(name, task) for name, task in result["tasks"].items())
    lines = (_regime_text(result), ", ".join(tasks), str(short_path(folder)))
    return "\n".join(printable(line).replace("\n", "\\n") for line in lines)


def _regime_text(result: Mapping[str, Any]) -> str:
    params, regime = result["params"], result.get("regime", result.get("plan"))
    text = f"{regime} (seed {result['seed']}): {params['total']:,} parameters"
    if (shared := params.get("shared")) is not None:
        text += f", {shared:,} shared"
    if (status := result.get("status", Status.FINISHED)) != Status.FINISHED:
        text += f"; {status}"
    formats = {"performance": ".4f", "kept": ".1%", "score": ".4f"}
    numbers = ((name, result.get(name), form) for name, form in formats.items())
    text += "".join(f"; {n} {value:{form}}" for n, value, form in numbers if value is not None)
    measured = {name: task for name, task in result["tasks"].items() if "value" in task}
    flag = flags(tasks_at_floor(measured), result.get("untrained", ()))
    return f"{text}  [{flag}]" if flag else text


def _task_text(name: str, task: Mapping[str, Any]) -> str:
    if "value" not in task:
        return name
    floor = task.get("floor")
    constant = "" if floor is None else f" (floor {floor:.3f})"
    return f"{name} {task['metric']} {task['value']:.3f}{constant}"
