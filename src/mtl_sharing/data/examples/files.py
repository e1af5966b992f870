"""Opens the tables that a source names: files below ``data_dir``, and data sets of the hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.data.tables.hub import HubName, is_hub_name, parse_hub_name, read_hub
from mtl_sharing.data.tables.tables import Record, read_table, table_columns
from mtl_sharing.data.tasks.sources import Source
from mtl_sharing.errors import UserError


@dataclass(frozen=True)
class Table:
    """An open table.

    Attributes:
        place: what a message calls it; its row at line n is ``place:n``.
        name: what the ids of its rows start with.
        columns: the names of its columns.
        records: its rows, read while they are asked for.
    """

    place: str
    name: str
    columns: tuple[str, ...]
    records: Iterator[Record]


def open_tables(source: Source, split: str, data_dir: Path | None) -> Iterator[Table]:
    """The tables of one split of a source, each opened when it is its turn.

    Raises:
        UserError: at once, naming ``data_dir``, where relative names have no folder; later, for
            what cannot be opened.
    """
    where, names = f"{source.where}.{split}", source.files[split]
    folder = None if data_dir is None else data_dir.expanduser()
    _check_folder(where, names, folder)
    return (_open(where, source, name, folder) for name in names)


def _check_folder(where: str, names: tuple[str, ...], folder: Path | None) -> None:
    files = [Path(name).expanduser() for name in names if not is_hub_name(name)]
    relative = [path for path in files if not path.is_absolute()]
    if relative and folder is None:
        allowed = f"the folder that holds {relative[0]} (named by {where})"
        raise UserError("data_dir", "null", allowed)
    if relative and folder is not None and not folder.is_dir():
        raise UserError("data_dir", folder, f"a folder that exists and holds {relative[0]}")


def _open(where: str, source: Source, name: str, folder: Path | None) -> Table:
    if is_hub_name(name):
        return _open_hub(where, parse_hub_name(where, name), folder)
    path = Path(name).expanduser()
    path = path if folder is None else folder / path
    style = source.format
    options = {"quoting": style.quoting, "header": style.header}
    columns = table_columns(path, delimiter=style.delimiter, **options)
    records = read_table(path, delimiter=style.delimiter, **options)
    return Table(str(path), path.name, columns, records)


def _open_hub(where: str, name: HubName, folder: Path | None) -> Table:
    columns, records = read_hub(where, name, folder)
    return Table(str(name), f"{Path(name.source).name}:{name.split}", columns, records)
