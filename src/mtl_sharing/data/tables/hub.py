"""Data sets of the Hugging Face hub, and folders that its library ``datasets`` has saved."""

import importlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mtl_sharing.data.tables.tables import Record, flat
from mtl_sharing.errors import UserError, did_you_mean, one_of
from mtl_sharing.utils.logging import log_level

log = logging.getLogger(__name__)

HUB = "hub://"
INSTALL = "the library datasets: pip install 'mtl-sharing[hub]'"
ROWS_AT_ONCE = 1000
_FORMS = f"{HUB}owner/name:split, {HUB}owner/name/part:split or {HUB}./folder:split"


@dataclass(frozen=True)
class HubName:
    """A split of a data set, written ``hub://SOURCE:split``.

    Attributes:
        source: ``owner/name`` or ``owner/name/part`` of the hub, or a folder that
            ``save_to_disk`` wrote. A folder of this name below ``data_dir`` comes first; a source
            that starts with ``/``, ``~`` or ``.`` is never looked for in the hub.
        split: which split of it.
    """

    source: str
    split: str

    def __str__(self) -> str:
        return f"{HUB}{self.source}:{self.split}"

    @property
    def is_folder(self) -> bool:
        """Whether it can only be a folder."""
        return self.source.startswith(("/", "~", "."))


def is_hub_name(name: str) -> bool:
    """Whether a file's name is one of a data set."""
    return name.startswith(HUB)


def check_hub_name(where: str, name: str) -> None:
    """Raises UserError naming ``where`` for a ``hub://`` name of another form; see ``HubName``."""
    if is_hub_name(name):
        parse_hub_name(where, name)


def parse_hub_name(where: str, name: str) -> HubName:
    """The parts of ``name``; raises UserError naming ``where`` for another form."""
    source, _, split = name.removeprefix(HUB).rpartition(":")
    found = HubName(source, split)
    words = source.split("/")
    in_hub = len(words) in (2, 3) and all(words)
    if not re.fullmatch(r"\w+(\.\w+)*", split) or not (in_hub or found.is_folder):
        raise UserError(where, name, _FORMS)
    return found


def read_hub(
    where: str, name: HubName, data_dir: Path | None
) -> tuple[tuple[str, ...], Iterator[Record]]:
    """The columns and the rows of a split; a record's line is the row's number, from 1.

    Fetched data sets are kept in that library's own cache. It runs no code of a data set.

    Args:
        where: the config field that names it.
        data_dir: where folders are looked for.

    Raises:
        UserError: naming ``where``, where the library is missing, or nothing of this name can be
            read here or from the hub; while reading, naming the data set, where it is damaged.
    """
    try:
        library = importlib.import_module("datasets")
    except ImportError:
        raise UserError(where, f"{name}, and no library to read it", INSTALL) from None
    folder = _folder(name, data_dir)
    if folder is None:
        rows = _fetched(where, name, library)
    else:
        rows = _saved(where, name, folder, library)
    return tuple(rows.column_names), _records(name, rows)


def _folder(name: HubName, data_dir: Path | None) -> Path | None:
    """The folder that holds the data set, or ``None`` where the hub is to be asked."""
    path = Path(name.source).expanduser()
    place = path if data_dir is None else data_dir.expanduser() / path
    return place if name.is_folder or (data_dir is not None and place.is_dir()) else None


def _saved(where: str, name: HubName, folder: Path, library: Any) -> Any:
    if not folder.is_dir():
        raise UserError(where, f"{name}, but no folder {folder}", "a folder of save_to_disk")
    inner = folder / name.split
    splits = sorted(path.parent.name for path in folder.glob("*/state.json"))
    if splits:
        _check_split(where, name, splits)
    try:
        rows = library.load_from_disk(str(inner if splits else folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{name}, but {folder} cannot be read ({_line(error)})"
        raise UserError(where, found, "a folder of save_to_disk") from None
    if not splits and rows.split is not None:  # one split by itself, which may have no name
        _check_split(where, name, [str(rows.split)])
    return rows


def _check_split(where: str, name: HubName, splits: list[str]) -> None:
    if name.split not in splits:
        found = f"{name}, which has no split {name.split}"
        raise UserError(where, found, one_of(splits) + did_you_mean(name.split, splits))


def _fetched(where: str, name: HubName, library: Any) -> Any:
    owner, repository, *part = name.source.split("/")
    log.info("reading %s from the hub", name)
    try:
        # Its warnings of every attempt are kept back; what it fails with is told once.
        with log_level("huggingface_hub", logging.ERROR):
            return library.load_dataset(f"{owner}/{repository}", *part, split=name.split)
    except library.exceptions.DatasetNotFoundError:
        found = f"{name}, which the hub does not show"
        raise UserError(where, found, "the name of a public data set") from None
    except ConnectionError:
        allowed = f"network to the hub, or a folder {name.source} of save_to_disk in data_dir"
        found = f"{name}, and the hub cannot be reached"
        raise UserError(where, found, allowed) from None
    except Exception as error:  # the library lets those of its parts and of its transport through
        found = f"{name}, which cannot be read ({_line(error)})"
        raise UserError(where, found, f"a split of a data set of the hub: {_FORMS}") from None


def _records(name: HubName, rows: Any) -> Iterator[Record]:
    number = 0
    try:
        for table in rows.with_format("arrow").iter(batch_size=ROWS_AT_ONCE):
            for row in table.to_pylist():
                number += 1
                yield Record(number, flat(row))
    except (OSError, ValueError) as error:
        found = f"damaged data ({_line(error)})"
        raise UserError(f"{name}:{number + 1}", found, "a sound data set") from None


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
