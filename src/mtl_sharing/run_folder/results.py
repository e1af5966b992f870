"""Contents of a run's folder: metrics.csv, and reading and checking of its JSON files."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

import yaml

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.run_folder.layout import AS_WRITTEN, RESULT, Status
from mtl_sharing.run_folder.manifest import read_listed_object
from mtl_sharing.utils.files import kind_of, read_bytes
from mtl_sharing.utils.nested import flatten, get

SCHEMA = 1
Result = dict[str, Any]
Row = dict[str, Any]
MOST_MEASURED = 1e30
"""More than anything that is counted or measured; what is computed of more overflows."""
MAIN = "main"
"""The main training's name in the ``phase`` column."""

_MAX_YAML_BYTES = 1_000_000
# The values of a finished run that every table needs, by dotted path, with their types.
_REQUIRED = {
    "plan": str, "seed": int, "performance": Real, "performance_raw_r": Real, "tasks": dict,
    "params.total": int, "memory.model_bytes": int, "time.train_s": Real,
}  # fmt: skip
# Others, if they are there, and those of each task.
_OPTIONAL = {"parts": dict, "scored_by": dict}
_OPTIONAL_OF_TASK = {"floor": Real, "by_class": dict, "undefined": dict, "digests": dict}


class _PlainLoader(yaml.SafeLoader):
    """Reads YAML with texts as keys, and without aliases, a few of which make a huge value."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        values = super().construct_mapping(node, deep)
        if not all(isinstance(name, str) for name in values):
            raise yaml.YAMLError("a key that is no text")
        return values


def read_yaml(path: Path) -> dict[str, Any]:
    """Reads the mapping in a YAML file of a run. An interpolation stays a text.

    Raises:
        UserError: the file is missing or damaged, or holds another kind of value.
    """
    try:
        values = yaml.load(read_bytes(path, _MAX_YAML_BYTES), _PlainLoader)
    except FileNotFoundError:
        raise UserError(str(path), "no file", AS_WRITTEN) from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(str(path), f"a damaged file ({first_line(error)})", AS_WRITTEN) from None
    if not isinstance(values, dict) or not values:
        raise UserError(str(path), "no settings", AS_WRITTEN)
    return values


def read_result(folder: Path) -> Result | None:
    """Reads a run's result.json; None if the folder has none.

    Raises:
        UserError, OSError: as for :func:`read_listed_object`.
    """
    try:
        return read_listed_object(folder, RESULT)
    except FileNotFoundError:
        return None


def finished_result(folder: Path) -> Result | None:
    """The result of a finished run; None if the run has not finished.

    Raises:
        UserError, OSError: as for :func:`read_listed_object`.
    """
    result = read_result(folder)
    return result if result is not None and result.get("status") == Status.FINISHED else None


def result_problem(result: Result) -> str | None:
    """Describes what makes a result unusable for a report; None if it is complete."""
    if result.get("schema") != SCHEMA:
        return f"schema {result.get('schema')}, where {SCHEMA} is read"
    if result.get("status") not in [s for s in Status if s != Status.UNREADABLE]:
        return f"status {result.get('status')!r}"
    try:
        json.dumps(result, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "a text with half of a surrogate pair"
    for path, value in flatten(result):
        if isinstance(value, int | float) and not -MOST_MEASURED < value < MOST_MEASURED:
            return f"{path} is {value}"
    if result["status"] != Status.FINISHED:
        return None
    if (name := _misfit(result, _OPTIONAL)) is not None:
        return f"{name} is {kind_of(result[name])}"
    missing = [path for path in _REQUIRED if not _has(result, path)]
    if "tasks" not in missing and not all(map(_is_task, result["tasks"].values())):
        missing.append("metric and value of each task")
    return f"no {', '.join(missing)}" if missing else None


def _has(result: Result, path: str) -> bool:
    value = get(result, path)
    return isinstance(value, _REQUIRED[path]) and value != {}


def _is_task(task: Any) -> bool:
    has_value = isinstance(get(task, "metric"), str) and isinstance(get(task, "value"), Real)
    return has_value and _misfit(task, _OPTIONAL_OF_TASK) is None


def _misfit(values: Result, types: Mapping[str, type]) -> str | None:
    """The name of a value that is neither null nor of its type."""
    return next((n for n, t in types.items() if not isinstance(values.get(n), t | None)), None)


def metrics_text(history: Sequence[Row]) -> str:
    """The content of metrics.csv. A row lacks the columns that it has no value for."""
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()
