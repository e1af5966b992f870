"""Opens the tables of a source: files below ``data_dir``, and data sets of the hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.data.tables.hub import is_hub_name, parse_hub_name, read_hub
from mtl_sharing.data.tables.tables import Record, TableFile
from mtl_sharing.data.tasks.sources import Source
from mtl_sharing.errors import UserError


@dataclass(frozen=True)
class Table:
    """An open table.

    Attributes:
        path: the table's name in messages; its row at line n is ``path:n``.
        name: prefix of its rows' ids.
        columns: the names of its columns.
        records: its rows, read lazily.
    """

    path: str
    name: str
    columns: tuple[str, ...]
    records: Iterator[Record]


def open_tables(source: Source, split: str, data_dir: Path | None) -> Iterator[Table]:
    """Opens the tables of one split of a source, one after the other.

    Raises:
        UserError: at once, naming ``data_dir``, if relative names have no folder; while
            iterating, for a table that cannot be opened.
    """
    where, names = f"{source.where}.{split}", source.files[split]
    folder = None if data_dir is None else data_dir.expanduser()
    _check_folder(where, names, folder)
    return (_open(where, source, name, folder) for name in names)


def _check_folder(where: str, names: tuple[str, ...], folder: Path | None) -> None:
    files = [Path(name).expanduser() for name in names if not is_hub_name(name)]
    relative = next((path for path in files if not path.is_absolute()), None)
    if relative is None:
        return
    if folder is None:
        raise UserError("data_dir", "null", f"the folder that holds {relative} (named by {where})")
    if not folder.is_dir():
        raise UserError("data_dir", folder, f"a folder that exists and holds {relative}")


def _open(where: str, source: Source, name: str, folder: Path | None) -> Table:
    if is_hub_name(name):
        hub_name = parse_hub_name(where, name)
        prefix = f"{Path(hub_name.source).name}:{hub_name.split}"
        return Table(name, prefix, *read_hub(where, hub_name, folder))
    path = (folder or Path()) / Path(name).expanduser()
    table = TableFile(path, **vars(source.format))
    return Table(str(path), path.name, table.columns(), table.records())
