"""Where a task's rows come from: its own files, and named sources beside them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from mtl_sharing.data.tables.hub import check_hub_name
from mtl_sharing.data.tasks.labels import LabelReader, LabelSpace, label_reader
from mtl_sharing.errors import UserError, one_of

# What a task's own files are called where they stand beside named sources.
OWN = "own"
_SPLITS = ("train", "dev")
# How a command line can name a tab, which a shell does not pass on easily.
DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}


# The config classes are not frozen: OmegaConf makes a frozen one read-only, and Hydra could then
# override nothing in it. `Source` is the frozen value.
@dataclass
class ColumnsConfig:
    """The names of a table's columns; ``text_pair`` makes the task one of sentence pairs."""

    text: str = "text"
    text_pair: str | None = None
    label: str = "label"
    id: str | None = None


@dataclass
class FormatConfig:
    """How a text table is written; see ``tables.read_table``."""

    delimiter: str | None = None
    quoting: bool = True
    header: bool = True


@dataclass
class SourceConfig:
    """More rows for a task, written in another way than its own files.

    Args:
        columns: which columns hold what; in a file without a header they are "0", "1", ...
        train: table files, absolute or relative to ``data_dir``; their rows join the task's.
        dev: likewise; with none the task is evaluated on its own dev rows alone.
        format: how text tables are written.
        labels: the source's labels and for each the task's (classes and binary only); by
            default they are the task's. YAML needs quotes around a label that is a number, or
            ``yes`` or ``no``.
        range: lowest and highest label of the source (regression only), rescaled to the task's
            range; by default they are the task's.
    """

    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    train: list[str] = field(default_factory=list)
    dev: list[str] = field(default_factory=list)
    format: FormatConfig = field(default_factory=FormatConfig)
    labels: dict[str, int | str] | None = None
    range: list[float] | None = None


@dataclass(frozen=True)
class Columns:
    """The checked form of ``ColumnsConfig``."""

    text: str
    text_pair: str | None
    label: str
    id: str | None


@dataclass(frozen=True)
class Format:
    """The checked form of ``FormatConfig``; ``delimiter`` is one character or ``None``."""

    delimiter: str | None
    quoting: bool
    header: bool


@dataclass(frozen=True)
class Source:
    """Files that are written in one way, and how their labels become the task's.

    Attributes:
        name: ``own``, or what the config calls it.
        where: the config field that describes it.
        files: for each split its files; a split that is not there has none.
    """

    name: str
    where: str
    columns: Columns
    format: Format
    files: Mapping[str, tuple[str, ...]]
    labels: LabelReader


def make_source(
    task: str, name: str, config: SourceConfig, space: LabelSpace, is_pair: bool
) -> Source:
    """The checked source ``name`` of ``task``, whose labels are ``space``.

    Raises:
        UserError: naming the field ``task.<task>.sources.<name>.<field>``, what it holds and
            what it may hold.
    """
    where = f"task.{task}.sources.{name}"
    if name == OWN or not re.fullmatch(r"[a-z0-9_]+", name):
        allowed = f"lower-case letters, digits and underscores, and not {OWN}"
        raise UserError(f"task.{task}.sources", repr(name), allowed)
    columns = make_columns(where, config.columns)
    _check_pair(where, task, columns, is_pair)
    files = {split: check_files(f"{where}.{split}", getattr(config, split)) for split in _SPLITS}
    if not any(files.values()):
        raise UserError(f"{where}.train", "no files", "a list of file names, such as [data.csv]")
    labels = label_reader(where, space, config.labels, config.range)
    return Source(name, where, columns, make_format(where, config.format), files, labels)


def _check_pair(where: str, task: str, columns: Columns, is_pair: bool) -> None:
    if is_pair == (columns.text_pair is not None):
        return
    wanted = "the name of a column, for the pairs" if is_pair else "null, for the single texts"
    allowed = f"{wanted} of {task} (task.{task}.columns.text_pair)"
    raise UserError(f"{where}.columns.text_pair", columns.text_pair or "null", allowed)


def make_columns(where: str, config: ColumnsConfig) -> Columns:
    """The checked columns; raises UserError naming a field of ``where`` that holds no name."""
    columns = Columns(config.text, config.text_pair, config.label, config.id)
    roles = {"text": columns.text, "text_pair": columns.text_pair, "label": columns.label}
    used: dict[str, str] = {}
    for role, name in {**roles, "id": columns.id}.items():
        field_name = f"{where}.columns.{role}"
        if name is None and role in ("text_pair", "id"):
            continue
        if not isinstance(name, str) or not name.strip():
            raise UserError(field_name, repr(name), "the name of a column")
        if role in roles and name in used:
            allowed = f"another column than {used[name]}'s"
            raise UserError(field_name, name, allowed)
        used[name] = role
    return columns


def check_files(where: str, files: list[str]) -> tuple[str, ...]:
    """The file names; raises UserError naming ``where`` for what is no name."""
    bad = isinstance(files, str) or not all(isinstance(name, str) and name for name in files)
    if bad:
        raise UserError(where, repr(files), "a list of file names, such as [train.csv]")
    for name in files:
        check_hub_name(where, name)
    return tuple(files)


def make_format(where: str, config: FormatConfig) -> Format:
    """The checked format; raises UserError naming a delimiter that is none."""
    found = config.delimiter
    delimiter = None if found is None else DELIMITER_NAMES.get(found, found)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        allowed = f"one character, or {one_of(DELIMITER_NAMES)}; null for the extension's own"
        raise UserError(f"{where}.format.delimiter", repr(found), allowed)
    return Format(delimiter, config.quoting, config.header)
