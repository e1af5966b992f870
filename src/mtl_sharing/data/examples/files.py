"""The table files that a task's splits are read from."""

from collections.abc import Iterator
from pathlib import Path

from mtl_sharing.data.tables.hub_names import is_hub_name
from mtl_sharing.data.tasks.task import TaskSpec


def table_files(spec: TaskSpec, data_dir: str | None) -> Iterator[tuple[str, str, Path]]:
    """Yields the files of train and dev: the config field, the name there, and the path.

    Leaves out data sets of the hub. A file need not exist.
    """
    folder = Path() if data_dir is None else Path(data_dir).expanduser()
    for split in ("train", "dev"):
        for source in (spec.own, *spec.sources):
            for name in source.files.get(split, ()):
                if not is_hub_name(name):
                    yield f"{source.where}.{split}", name, folder / Path(name).expanduser()
