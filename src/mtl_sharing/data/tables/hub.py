"""Data sets of the Hugging Face hub, and folders written by ``save_to_disk`` of ``datasets``."""

import importlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mtl_sharing.data.tables.files import LineCounts
from mtl_sharing.data.tables.hub_names import FORMS, HubName
from mtl_sharing.data.tables.parquet import ARROW_ERRORS, arrow_rows
from mtl_sharing.errors import UserError, did_you_mean, first_line, one_of
from mtl_sharing.utils.logging import log_level

log = logging.getLogger(__name__)

INSTALL = "the library datasets: pip install 'mtl-sharing[hub]'"
ROWS_AT_ONCE = 1000


def read_hub(
    where: str, name: HubName, data_dir: Path | None, counts: LineCounts
) -> tuple[tuple[str, ...], Iterator[tuple[int, dict[str, Any]]]]:
    """Columns and rows of a split; each row has its number, from 1.

    The library ``datasets`` caches what it fetches. It never runs code of a data set.

    Raises:
        UserError: naming the config field ``where`` if the library is missing or the data set
            cannot be read; naming the data set, while iterating, if it is damaged.
    """
    try:
        library = importlib.import_module("datasets")
    except ImportError:
        raise UserError(where, f"{name}, and no library to read it", INSTALL) from None
    # A folder of the data set's name comes before the hub.
    folder = (data_dir or Path()).expanduser() / Path(name.source).expanduser()
    is_local = name.is_folder or (data_dir is not None and folder.is_dir())
    rows = _from_disk(where, name, folder, library) if is_local else _from_hub(where, name, library)
    return tuple(rows.column_names), _numbered(name, rows, counts)


def _from_disk(where: str, name: HubName, folder: Path, library: Any) -> Any:
    if not folder.is_dir():
        raise UserError(where, f"{name}, but no folder {folder}", "a folder of save_to_disk")
    splits = sorted(path.parent.name for path in folder.glob("*/state.json"))
    if splits:
        _check_split(where, name, splits)
    try:
        rows = library.load_from_disk(str(folder / name.split if splits else folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        found = f"{name}, but {folder} cannot be read ({first_line(error)})"
        raise UserError(where, found, "a folder of save_to_disk") from None
    if not splits and rows.split is not None:  # one split by itself, which may have no name
        _check_split(where, name, [str(rows.split)])
    return rows


def _check_split(where: str, name: HubName, splits: list[str]) -> None:
    if name.split not in splits:
        found = f"{name}, which has no split {name.split}"
        raise UserError(where, found, one_of(splits) + did_you_mean(name.split, splits))


def _from_hub(where: str, name: HubName, library: Any) -> Any:
    owner, repository, *part = name.source.split("/")
    log.info("reading %s from the hub", name)
    try:
        # Each failed attempt logs a warning; the final error is reported once, below.
        with log_level("huggingface_hub", logging.ERROR):
            return library.load_dataset(f"{owner}/{repository}", *part, split=name.split)
    except library.exceptions.DatasetNotFoundError:
        found, allowed = "which the hub does not show", "the name of a public data set"
    except ConnectionError:
        found = "and the hub cannot be reached"
        allowed = f"network to the hub, or a folder {name.source} of save_to_disk in data_dir"
    except Exception as error:  # errors of the library's parsers and of its transport, untranslated
        found = f"which cannot be read ({first_line(error)})"
        allowed = f"a split of a data set of the hub: {FORMS}"
    raise UserError(where, f"{name}, {found}", allowed)


def _numbered(name: HubName, rows: Any, counts: LineCounts) -> Iterator[tuple[int, dict[str, Any]]]:
    number = 0
    try:
        batches = rows.with_format("arrow").iter(batch_size=ROWS_AT_ONCE)
        for number, row in arrow_rows(batches, counts):
            yield number, row
    except ARROW_ERRORS as error:
        found = f"damaged data ({first_line(error)})"
        raise UserError(f"{name}:{number + 1}", found, "a sound data set") from None
