"""What state a run is in: whether its result is whole, and whether a process works on it."""

import fcntl
from numbers import Real
from pathlib import Path
from typing import Any

FINISHED, RUNNING, STOPPED = "finished", "running", "stopped"
FAILED, PRUNED, UNREADABLE = "failed", "pruned", "unreadable"
_SCHEMA = 1
# Every figure that the tables cannot do without, by its path, with what it is.
_NEEDED = {
    "plan": str, "seed": int, "performance": Real, "performance_raw_r": Real, "tasks": dict,
    "params.total": int, "memory.model_bytes": int, "time.train_s": Real,
}  # fmt: skip


def result_trouble(result: Any) -> str | None:
    """What result.json lacks to be one; None where nothing."""
    if not _is_record(result):
        return "no object"
    if result.get("schema") != _SCHEMA:
        return f"schema {result.get('schema')}, where {_SCHEMA} is read"
    known = (FINISHED, RUNNING, STOPPED, FAILED, PRUNED)
    if result.get("status") not in known:
        return f"status {result.get('status')!r}"
    if result["status"] != FINISHED:
        return None
    missing = [name for name in _NEEDED if not _has(result, name)]
    tasks = result.get("tasks")
    if _is_record(tasks) and not all(map(_is_task, tasks.values())):
        missing.append("metric and value of each task")
    return f"no {', '.join(missing)}" if missing else None


def _has(result: dict[str, Any], name: str) -> bool:
    found: Any = result
    for key in name.split("."):
        found = found.get(key) if _is_record(found) else None
    return isinstance(found, _NEEDED[name]) and found != {}


def _is_task(task: Any) -> bool:
    named = _is_record(task) and isinstance(task.get("metric"), str)
    return named and isinstance(task.get("value"), Real)


def _is_record(value: Any) -> bool:
    return isinstance(value, dict)


def no_number(word: str) -> None:
    """Refuses NaN and infinities in JSON: a run writes none, see ``replace_json``."""
    raise ValueError(f"{word}, which is no number")


def is_held(folder: Path) -> bool:
    """Whether a process works in the folder, as ``job`` marks it; True where none can tell."""
    try:
        with (folder / ".lock").open("rb") as file:
            # Shared, and for a moment: a run that would begin here is hardly met.
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
