"""Sources of a task's rows: its own files, and named sources beside them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from mtl_sharing.data.tables.hub_names import is_hub_name, parse_hub_name
from mtl_sharing.data.tasks.labels import LabelReader, LabelSpace, label_reader
from mtl_sharing.errors import UserError, one_of

OWN = "own"  # the name of a task's own files beside its named sources
# Names for delimiters that are hard to write in a shell.
DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}


# The config classes are not frozen: OmegaConf would make them read-only, and Hydra could not
# override their fields. `Source` is the frozen value.
@dataclass
class ColumnsConfig:
    """Names of a table's columns; ``text_pair`` makes the task one of sentence pairs.

    Args:
        text: column of the text, or of a pair's first text.
        text_pair: column of a pair's second text; null for a task of single texts.
        label: column of the labels.
        id: column that names the rows in predictions; null numbers them.
    """

    text: str = "text"
    text_pair: str | None = None
    label: str = "label"
    id: str | None = None


@dataclass
class FormatConfig:
    """Format of a text table; see ``tables.TableFile``.

    Args:
        delimiter: one character, or tab, comma, semicolon, space; null takes that of the
            file's extension.
        quoting: whether ``"`` quotes a field, unless the file shows that its quotes are text.
        header: whether the first line names the columns; if not, they are "0", "1", ...
    """

    delimiter: str | None = None
    quoting: bool = True
    header: bool = True


@dataclass
class SourceConfig:
    """More rows for a task, with columns, format and labels of their own.

    Args:
        columns: names of the columns; in a file without a header they are "0", "1", ...
        train: table files, absolute or relative to ``data_dir``; their rows join the task's.
        dev: likewise; with none the task is evaluated on its own dev rows alone.
        format: format of text tables.
        labels: the source's labels, each with the task's label (classes and binary only); by
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
class Source:
    """Files with the same columns, format and labels.

    Attributes:
        name: ``own``, or the source's name in the config.
        where: the config field that describes it.
        files: the files of each split; a missing split has none.
    """

    name: str
    where: str
    columns: ColumnsConfig
    format: FormatConfig
    files: Mapping[str, tuple[str, ...]]
    labels: LabelReader


def make_source(
    task: str, name: str, config: SourceConfig, space: LabelSpace, is_pair: bool
) -> Source:
    """Makes the source ``name`` of ``task``, whose labels are ``space``.

    Raises:
        UserError: naming the field ``task.<task>.sources.<name>.<field>``.
    """
    where = f"task.{task}.sources.{name}"
    if name == OWN or not re.fullmatch(r"[a-z0-9_]+", name):
        allowed = f"lower-case letters, digits and underscores, and not {OWN}"
        raise UserError(f"task.{task}.sources", repr(name), allowed)
    columns = check_columns(where, config.columns)
    if is_pair != (columns.text_pair is not None):
        needed = "the name of a column, for the pairs" if is_pair else "null, for the single texts"
        allowed = f"{needed} of {task} (task.{task}.columns.text_pair)"
        raise UserError(f"{where}.columns.text_pair", columns.text_pair or "null", allowed)
    paths = {"train": config.train, "dev": config.dev}
    files = {split: check_files(f"{where}.{split}", names) for split, names in paths.items()}
    if not any(files.values()):
        raise UserError(f"{where}.train", "no files", "a list of file names, such as [data.csv]")
    labels = label_reader(where, space, config.labels, config.range)
    return Source(name, where, columns, make_format(where, config.format), files, labels)


def check_columns(where: str, columns: ColumnsConfig) -> ColumnsConfig:
    """The columns themselves; raises UserError naming a field of ``where`` with a bad name."""
    role_of: dict[str, str] = {}
    for role, name in vars(columns).items():
        if name is None and role in ("text_pair", "id"):
            continue
        if not isinstance(name, str) or not name.strip():
            raise UserError(f"{where}.columns.{role}", repr(name), "the name of a column")
        if role != "id" and name in role_of:
            allowed = f"another column than {role_of[name]}'s"
            raise UserError(f"{where}.columns.{role}", name, allowed)
        role_of[name] = role
    return columns


def check_files(where: str, files: list[str]) -> tuple[str, ...]:
    """Checks a list of file names; raises UserError naming ``where`` for anything else."""
    if isinstance(files, str) or not all(isinstance(name, str) and name for name in files):
        raise UserError(where, repr(files), "a list of file names, such as [train.csv]")
    for name in filter(is_hub_name, files):
        parse_hub_name(where, name)
    return tuple(files)


def make_format(where: str, config: FormatConfig) -> FormatConfig:
    """The format with its delimiter as one character; raises UserError naming a bad one."""
    delimiter = config.delimiter
    if delimiter is not None:
        delimiter = DELIMITER_NAMES.get(delimiter, delimiter)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        allowed = f"one character, or {one_of(DELIMITER_NAMES)}; null for the extension's own"
        raise UserError(f"{where}.format.delimiter", repr(config.delimiter), allowed)
    return replace(config, delimiter=delimiter)
