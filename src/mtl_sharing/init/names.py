"""Names tasks after their files, and tells from the names which files are train, dev and test."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from itertools import chain, count
from pathlib import Path
from unicodedata import combining, normalize

from mtl_sharing.data.tables.files import GZIP
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.utils.files import short_path

_SPLIT_OF = {
    "train": "train", "training": "train", "trn": "train",
    "dev": "dev", "valid": "dev", "validation": "dev", "val": "dev", "eval": "dev",
    "test": "test", "testing": "test", "tst": "test",
}  # fmt: skip
_LONGEST = 40
# What YAML reads as another value than a text.
_WORDS_OF_YAML = ("yes", "no", "on", "off", "true", "false", "null", "y", "n", "nan", "inf")


@dataclass(frozen=True)
class TaskFiles:
    """The files of a task; a split without a file has None.

    Attributes:
        stem: what the files' names have in common.
    """

    name: str
    stem: str
    train: Path
    dev: Path | None = None
    test: Path | None = None


def group_files(paths: Sequence[Path]) -> list[TaskFiles]:
    """Joins the files of a task by their names: X-train, X_dev, X.test.

    A single file of its name is the task's train file, whatever its name says.

    Raises:
        UserError: a file that is given twice, two files for one split, or dev without train.
    """
    groups: dict[tuple[Path, str, int], dict[str, Path]] = {}
    seen: set[Path] = set()
    for path in paths:
        if path in seen:
            raise UserError(str(short_path(path)), "the same file twice", "each file only once")
        seen.add(path)
        stem, split = split_of(path)
        key = path.parent, stem, 1
        while split == "" and "" in groups.get(key, {}):  # of another extension: another task
            key = path.parent, stem, key[2] + 1
        splits = groups.setdefault(key, {})
        if split in splits:
            found = f"two {split} files of one task: {splits[split].name} and {path.name}"
            raise UserError(str(short_path(path)), found, f"one {split} file for each name")
        splits[split] = path
    stems = [stem for _, stem, _ in groups]
    return list(map(_task, task_names(stems), stems, groups.values()))


def _task(name: str, stem: str, splits: dict[str, Path]) -> TaskFiles:
    files = dict(splits)
    whole = files.pop("", None)
    if whole is not None:
        if "train" in files:
            found = f"{whole.name} beside {files['train'].name}"
            raise UserError(str(short_path(whole)), found, "one of the two as train")
        files["train"] = whole
    if len(files) == 1:
        return TaskFiles(name, stem, next(iter(files.values())))
    if "train" not in files:
        path = next(iter(files.values()))
        found = f"{one_of(file.name for file in files.values())} without a train file"
        raise UserError(str(short_path(path)), found, f"{stem}-train{path.suffix}, too")
    return TaskFiles(name, stem, **files)


def split_of(path: Path) -> tuple[str, str]:
    """The file's name without extension and split, and the split; both may be empty.

    A file that is called train, dev or test alone has its folder's name.
    """
    stem = Path(path.stem).stem if path.suffix.lower() == GZIP else path.stem
    parts = re.split(r"[-_. ]+", stem)
    place = next((i for i in (-1, 0) if parts[i].lower() in _SPLIT_OF), None)
    if place is None:
        return stem, ""
    rest = parts[:-1] if place == -1 else parts[1:]
    common = "-".join(rest) if rest else path.parent.name
    return common, _SPLIT_OF[parts[place].lower()]


def task_names(stems: Iterable[str]) -> list[str]:
    """A valid name for each task: different, and of no task that is shipped."""
    names: list[str] = []
    shipped = shipped_options("task")
    for stem in stems:
        name = valid_name(stem, "task", shipped)
        numbered = (f"{name}_{number}" for number in count(2))
        names.append(next(other for other in chain([name], numbered) if other not in names))
    return names


def valid_name(text: str, kind: str, shipped: Iterable[str]) -> str:
    """A name that Hydra and YAML take as one: ASCII letters in lower case, digits, underscores.

    Args:
        kind: stands before what is no name by itself.
        shipped: options of this project, which would be taken in place of the user's.
    """
    letters = "".join(c for c in normalize("NFKD", text) if not combining(c))
    name = re.sub(r"[^a-z0-9]+", "_", letters.lower())[:_LONGEST].strip("_")
    if not name or name[0].isdigit() or name in _WORDS_OF_YAML:
        name = f"{kind}_{name}".rstrip("_")
    return f"my_{name}" if name in shipped else name


def shipped_options(group: str) -> set[str]:
    """Names of the options of a config group that come with the project."""
    folder = package_files("mtl_sharing.conf") / group
    return {entry.name.removesuffix(".yaml") for entry in folder.iterdir()}
