"""result.json and the other JSON files of a run's folder: read, checked and told apart."""

import json
from numbers import Real
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import RESULT, Status
from mtl_sharing.utils.nested import get

SCHEMA = 1
Result = dict[str, Any]

# Every value that the tables cannot do without, by its path, with its type.
_NEEDED = {
    "plan": str, "seed": int, "performance": Real, "performance_raw_r": Real, "tasks": dict,
    "params.total": int, "memory.model_bytes": int, "time.train_s": Real,
}  # fmt: skip


def result_trouble(result: Any) -> str | None:
    """What result.json lacks to be one; None where nothing."""
    if not _is_record(result):
        return "no object"
    if result.get("schema") != SCHEMA:
        return f"schema {result.get('schema')}, where {SCHEMA} is read"
    known = set(Status) - {Status.UNREADABLE}
    if result.get("status") not in known:
        return f"status {result.get('status')!r}"
    if result["status"] != Status.FINISHED:
        return None
    missing = [name for name in _NEEDED if not _has(result, name)]
    tasks = result.get("tasks")
    if _is_record(tasks) and not all(map(_is_task, tasks.values())):
        missing.append("metric and value of each task")
    return f"no {', '.join(missing)}" if missing else None


def _has(result: dict[str, Any], path: str) -> bool:
    value = get(result, path)
    return isinstance(value, _NEEDED[path]) and value != {}


def _is_task(task: Any) -> bool:
    named = _is_record(task) and isinstance(task.get("metric"), str)
    return named and isinstance(task.get("value"), Real)


def _is_record(value: Any) -> bool:
    return isinstance(value, dict)


def no_number(word: str) -> None:
    """Refuses NaN and infinities in JSON: a run writes none, see ``replace_json``."""
    raise ValueError(f"{word}, which is no number")


def finished_result(folder: Path) -> Result | None:
    """The result in ``folder`` if a run has finished there."""
    path = folder / RESULT
    if not path.is_file():
        return None
    result: Result = json.loads(path.read_text(encoding="utf-8"))
    return result if result["status"] == Status.FINISHED else None


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file; raises UserError where it holds none."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(str(path), f"a damaged file ({error})", "a whole JSON file") from None
    if not isinstance(record, dict):
        raise UserError(str(path), f"JSON that is a {type(record).__name__}", "a JSON object")
    return record
