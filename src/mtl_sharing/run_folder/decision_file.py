"""Writes and reads decision.json. What a stranger's file holds is checked by the types."""

from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.run_folder.decision import Decision
from mtl_sharing.run_folder.layout import AS_WRITTEN, DECISION
from mtl_sharing.run_folder.results import MOST_MEASURED
from mtl_sharing.utils.files import kind_of, read_object, replace_json

SCHEMA = 1
_LONGEST = 2000


def write_decision(folder: Path, decision: Decision) -> None:
    """Replaces decision.json."""
    replace_json(folder / DECISION, decision_record(decision))


def decision_record(decision: Decision) -> dict[str, Any]:
    """The content of decision.json."""
    return {"schema": SCHEMA, **asdict(decision), "reference": 0}


def read_decision(folder: Path) -> Decision | None:
    """Reads decision.json; None where there is none.

    Raises:
        UserError: it is damaged, or of another version.
        OSError: it cannot be read.
    """
    path = folder / DECISION
    try:
        record = read_object(path)
    except FileNotFoundError:
        return None
    if record.get("schema") != SCHEMA:
        found = f"schema {record.get('schema')!r}, where {SCHEMA} is read"
        raise UserError(str(path), found, AS_WRITTEN)
    try:
        decision: Decision = _parse(Decision, record)
        _check(decision)
    except KeyError as error:
        raise UserError(str(path), f"no {error.args[0]}", AS_WRITTEN) from None
    except ValueError as error:
        raise UserError(str(path), f"a damaged file ({first_line(error)})", AS_WRITTEN) from None
    return decision


_hints = cache(get_type_hints)


def _parse(kind: Any, value: Any) -> Any:
    """A value of JSON as ``kind``; raises KeyError or ValueError for one that does not fit."""
    arguments = get_args(kind)
    if type(None) in arguments:
        return None if value is None else _parse(arguments[0], value)
    if get_origin(kind) is tuple:
        return tuple(_parse(arguments[0], one) for one in _value(value, list))
    if is_dataclass(kind):
        return _parse_object(kind, _value(value, dict))
    if kind in (int, float):
        return _number(value, kind)
    return _text(value) if kind is str else _value(value, bool if kind is bool else dict)


def _parse_object(kind: Any, record: dict[str, Any]) -> Any:
    """An object; a field with a default may be missing, as in files of earlier versions."""
    optional = {own.name for own in fields(kind) if own.default is not MISSING}
    names = [name for name in _hints(kind) if name in record or name not in optional]
    return kind(**{name: _parse(_hints(kind)[name], record[name]) for name in names})


def _value(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise ValueError(f"{kind_of(value)}, where {kind_of(kind())} is expected")
    return value


def _text(value: Any) -> str:
    text = str(_value(value, str))
    text.encode()  # half of a surrogate pair raises a ValueError
    if len(text) > _LONGEST:
        raise ValueError(f"a text of {len(text):,} characters")
    return text


def _number(value: Any, kind: type) -> Any:
    fits = isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if not fits or not -MOST_MEASURED < value < MOST_MEASURED:
        raise ValueError(f"{str(value)[:40]}, where a number is expected")
    return kind(value)


def _check(decision: Decision) -> None:
    """Raises ValueError for a decision whose parts do not fit together."""
    regimes = decision.regimes
    if not regimes or regimes[0].point is not None:
        raise ValueError("no separate models first among the regimes")
    upcoming = [] if decision.next is None else [decision.next.regime]
    if not all(0 <= i < len(regimes) for i in (decision.chosen, *decision.rivals, *upcoming)):
        raise ValueError("a position of no regime")
    for one in regimes:
        if not len(one.trials) == len(one.seeds) == len(one.performances):
            raise ValueError(f"trials, seeds and performances of {one.label} differ in number")
        if not 0 <= one.probability <= 1:
            raise ValueError(f"{one.probability}, where a probability is expected")
