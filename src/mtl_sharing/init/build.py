"""Makes a config folder for a user's tables: suite, tasks, and dev rows where there are none."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex

from mtl_sharing.data.examples.dev_split import split_dev
from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tables.tables import Record
from mtl_sharing.errors import UserError, check_range, one_of
from mtl_sharing.init.draft import Draft, draft_task
from mtl_sharing.init.guess import Wanted, check_wanted
from mtl_sharing.init.names import TaskFiles, group_files, shipped_options, valid_name
from mtl_sharing.init.rows import row_file_suffix, write_rows
from mtl_sharing.init.tables import read_table
from mtl_sharing.init.yaml_files import suite_text, task_text
from mtl_sharing.utils.files import expand_user

DEV_SHARE, MOST_DEV = 0.2, 2000
_SHOWN = 3
DATA = "data"
Rows = Sequence[tuple[Record, Example]]


@dataclass(frozen=True)
class Made:
    """The content of a config folder that was made.

    Attributes:
        rows: rows of each task's splits that are used.
        dev_asked: how many rows were to become dev, of tasks without a dev file.
        paths: the files, below the folder.
    """

    folder: Path
    suite: str
    drafts: Sequence[Draft]
    rows: Mapping[str, Mapping[str, int]]
    dev_asked: Mapping[str, int]
    paths: Sequence[Path]


def make_folder(
    folder: Path, files: Sequence[Path], wanted: Wanted, dev_share: float, seed: int
) -> Made:
    """Guesses a task for each table, or each group of train, dev and test; writes all or nothing.

    Args:
        folder: new or empty.
        wanted: columns that are taken where a table has them.
        dev_share: share of the rows that become dev where there is no dev file.
        seed: of the choice of dev rows.

    Raises:
        UserError: tables that make no task, or a folder with something in it.
    """
    if not 0 < dev_share < 1:
        raise UserError("--dev-share", dev_share, "above 0, below 1")
    check_range("--seed", seed, 0)
    _check_unicode([folder, *files])
    shown, folder = str(folder), expand_user("FOLDER", folder).absolute()
    _check_empty(folder, shown)
    suite = valid_name(folder.name, "suite", shipped_options("suite"))
    drafts = _draft(group_files([expand_user("FILE", path).absolute() for path in files]), wanted)
    rows = _split(drafts, dev_share, seed)
    with _staged(folder) as stage:
        for name in ("suite", "task", DATA):
            (stage / name).mkdir()
        for draft in drafts:
            names = _write_data(draft, rows[draft.name], stage / DATA)
            _write(stage / "task" / f"{draft.name}.yaml", task_text(draft, names))
        text = suite_text(suite, shown, [draft.name for draft in drafts], folder / DATA)
        _write(stage / "suite" / f"{suite}.yaml", text)
        paths = sorted(path.relative_to(stage) for path in stage.rglob("*.*"))
    counts = {name: {split: len(part) for split, part in splits.items()}
              for name, splits in rows.items()}  # fmt: skip
    dev_asked = {draft.name: min(MOST_DEV, round(dev_share * len(draft.rows["train"])))
                 for draft in drafts if draft.files.dev is None}  # fmt: skip
    return Made(Path(shown), suite, drafts, counts, dev_asked, paths)


def _check_unicode(paths: Sequence[Path]) -> None:
    """Raises UserError for a path that no YAML can hold."""
    for path in paths:
        try:
            str(path).encode()
        except UnicodeEncodeError:
            raise UserError(ascii(str(path)), "bytes that are not UTF-8", "another name") from None


def _check_empty(folder: Path, shown: str) -> None:
    if folder.exists() and not folder.is_dir():
        allowed = "a new folder first, then the files: mtl-init mine FILE..."
        raise UserError(shown, "a file", allowed)
    names = sorted(path.name for path in folder.iterdir()) if folder.exists() else []
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        found = f"a folder with {one_of(names[:_SHOWN])}{more} in it"
        raise UserError(shown, found, "a new or an empty folder; nothing was written")


def _draft(groups: Sequence[TaskFiles], wanted: Wanted) -> list[Draft]:
    tables = []
    for files in groups:
        paths = {"train": files.train, "dev": files.dev, "test": files.test}
        tables.append({split: read_table(p) for split, p in paths.items() if p is not None})
    check_wanted(wanted, [table.columns for group in tables for table in group.values()])
    return [draft_task(*pair, wanted) for pair in zip(groups, tables, strict=True)]


def _split(drafts: Sequence[Draft], share: float, seed: int) -> dict[str, dict[str, Rows]]:
    """The rows of each task's splits; dev is taken from train where a task has none."""
    rows: dict[str, dict[str, Rows]] = {draft.name: dict(draft.rows) for draft in drafts}
    whole = {name: [example for _, example in splits["train"]]
             for name, splits in rows.items() if "dev" not in splits}  # fmt: skip
    if whole:
        for name, is_dev in split_dev(whole, share, MOST_DEV, seed).items():
            train = rows[name]["train"]
            parts = {False: list[tuple[Record, Example]](), True: []}
            for row, dev in zip(train, is_dev.tolist(), strict=True):
                parts[dev].append(row)
            rows[name] |= {"train": parts[False], "dev": parts[True]}
    return rows


def _write_data(draft: Draft, rows: Mapping[str, Rows], folder: Path) -> dict[str, str]:
    """Writes train and dev where dev was taken from train; the name of each split's file."""
    names = {split: str(table.path) for split, table in draft.tables.items()}
    if draft.files.dev is None:
        table = draft.tables["train"]
        for split in ("train", "dev"):
            names[split] = f"{draft.name}-{split}{row_file_suffix(table)}"
            write_rows(table, [record for record, _ in rows[split]], folder / names[split])
    return {split: names[split] for split in ("train", "dev", "test") if split in names}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


@contextmanager
def _staged(folder: Path) -> Iterator[Path]:
    """Yields a folder beside ``folder`` that takes its place, or is removed if the block raises."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    stage = folder.with_name(f".{folder.name}.{token_hex(8)}.tmp")
    stage.mkdir()
    try:
        yield stage
        if folder.exists():  # it may be a link, or somebody's working directory
            for entry in stage.iterdir():
                os.rename(entry, folder / entry.name)
        else:
            os.rename(stage, folder)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
