"""Opens the tables of a source, and checks their columns."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.data.tables.files import LineCounts
from mtl_sharing.data.tables.hub import read_hub
from mtl_sharing.data.tables.hub_names import is_hub_name, parse_hub_name
from mtl_sharing.data.tables.tables import DELIMITED, Record, TableFile
from mtl_sharing.data.tasks.sources import Source
from mtl_sharing.errors import UserError, did_you_mean, one_of


@dataclass(frozen=True)
class Table:
    """An open table; ``path`` names it in messages, and its rows' ids start with ``name``."""

    path: str
    name: str
    columns: tuple[str, ...]
    records: Iterator[Record]
    file: TableFile | None = None


def open_tables(
    source: Source, split: str, data_dir: Path | None, counts: LineCounts
) -> Iterator[Table]:
    """Opens the tables of one split of a source, one after the other; adds their lines to counts.

    Raises UserError at once, naming ``data_dir``, if relative names have no folder.
    """
    where, names = f"{source.where}.{split}", source.files[split]
    folder = None if data_dir is None else data_dir.expanduser()
    _check_folder(where, names, folder)
    return (_open(where, source, name, folder, counts) for name in names)


def _check_folder(where: str, names: tuple[str, ...], folder: Path | None) -> None:
    files = [Path(name).expanduser() for name in names if not is_hub_name(name)]
    relative = next((path for path in files if not path.is_absolute()), None)
    if relative is None:
        return
    if folder is None:
        raise UserError("data_dir", "null", f"the folder that holds {relative} (named by {where})")
    if not folder.is_dir():
        raise UserError("data_dir", folder, f"a folder that exists and holds {relative}")


def _open(where: str, source: Source, name: str, folder: Path | None, counts: LineCounts) -> Table:
    if is_hub_name(name):
        hub_name = parse_hub_name(where, name)
        prefix = f"{Path(hub_name.source).name}:{hub_name.split}"
        columns, rows = read_hub(where, hub_name, folder, counts)
        return Table(name, prefix, columns, (Record(*row) for row in rows))
    path = (folder or Path()) / Path(name).expanduser()
    table = TableFile(path, **vars(source.format))
    return Table(str(path), path.name, table.columns(), table.records(counts), table)


def check_columns(source: Source, split: str, table: Table) -> None:
    """Raises UserError unless the table has every column that the split needs."""
    columns = source.columns
    required = {"text": columns.text, "text_pair": columns.text_pair, "id": columns.id}
    if split != "test":
        required["label"] = columns.label
    names = [name for name in table.columns if name]
    for role, name in required.items():
        if name is not None and name not in names:
            if table.file is not None and (nested := table.file.nested_rows()) is not None:
                raise UserError(table.path, *nested)
            found = f"no column {name!r} ({source.where}.columns.{role})"
            allowed = (one_of(names) or "the file is empty") + did_you_mean(name, names)
            if len(names) == 1 and any(mark in names[0] for mark in ",;|\t"):
                allowed += f"; another delimiter is {source.where}.format.delimiter"
            # A first line that has none of the names is probably a row.
            elif names and _has_header(table) and not set(names) & set(required.values()):
                allowed += (
                    f"; if the file has no header, {source.where}.format.header=false"
                    " and columns by number, as columns: {text: '0', label: '1'}"
                )
            raise UserError(table.path, found, allowed)


def _has_header(table: Table) -> bool:
    return table.file is not None and table.file.kind == DELIMITED
