"""What a task is: its config as YAML gives it, and the checked value made of it."""

import math
from dataclasses import dataclass, field

from mtl_sharing.errors import UserError, did_you_mean, one_of

KINDS = ("classes", "binary", "regression")
SPLITS = ("train", "dev", "test")
METRICS = {
    "classes": ("accuracy", "f1", "mcc"),
    "binary": ("accuracy", "f1", "mcc"),
    "regression": ("pearson", "spearman"),
}
# How a command line can name a tab, which a shell does not pass on easily.
DELIMITER_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}


# The config classes are not frozen: OmegaConf makes a frozen one read-only, and Hydra could then
# override nothing in it. `TaskSpec` is the frozen value.
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
class TaskConfig:
    """One task as YAML gives it; ``task_spec`` checks it and says what each field may hold.

    Args:
        kind: classes, binary or regression.
        columns: which columns hold what.
        train, dev, test: table files, absolute or relative to ``data_dir``; none of them where
            the bundled suite generates the task.
        format: how text tables are written.
        classes: how many classes (kind classes only).
        labels: names of the classes, where the label column holds text; place = class.
        range: lowest and highest label (regression only).
        metric: what the task is measured by; by default accuracy, or pearson for regression.
        loss, pairing: names that the objectives and the heads know; kept as given.
        batch_size: examples of this task in a step; by default the trainer's.
        layer: encoder layer whose states this task's head reads; by default ``head.layer``.
    """

    kind: str = "classes"
    columns: ColumnsConfig = field(default_factory=ColumnsConfig)
    train: list[str] = field(default_factory=list)
    dev: list[str] = field(default_factory=list)
    test: list[str] = field(default_factory=list)
    format: FormatConfig = field(default_factory=FormatConfig)
    classes: int | None = None
    labels: list[str] | None = None
    range: list[float] | None = None
    metric: str | None = None
    loss: str | None = None
    pairing: str | None = None
    batch_size: int | None = None
    layer: int | None = None


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
class TaskSpec:
    """A checked task. ``classes`` is 2 for binary and ``None`` for regression; ``low`` and
    ``high`` are ``None`` unless it is a regression; the rest is as in ``TaskConfig``."""

    name: str
    kind: str
    columns: Columns
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    format: Format
    classes: int | None
    labels: tuple[str, ...] | None
    low: float | None
    high: float | None
    metric: str
    loss: str | None
    pairing: str | None
    batch_size: int | None
    layer: int | None

    @property
    def is_pair(self) -> bool:
        """Whether an example is a pair of texts."""
        return self.columns.text_pair is not None

    def files(self, split: str) -> tuple[str, ...]:
        """The files of ``split`` (train, dev or test); raises UserError for another name."""
        by_split = {"train": self.train, "dev": self.dev, "test": self.test}
        if split not in by_split:
            raise UserError("split", split, one_of(SPLITS) + did_you_mean(split, SPLITS))
        return by_split[split]


def task_spec(name: str, config: TaskConfig) -> TaskSpec:
    """The checked task of ``config``.

    Raises:
        UserError: naming the field ``task.<name>.<field>``, what it holds and what it may hold.
    """
    where = f"task.{name}"
    kind = _one_of(f"{where}.kind", config.kind, KINDS)
    labels = _labels(where, kind, config.labels)
    low, high = _range(where, kind, config.range)
    return TaskSpec(
        name=name,
        kind=kind,
        columns=_columns(where, config.columns),
        train=_files(f"{where}.train", config.train),
        dev=_files(f"{where}.dev", config.dev),
        test=_files(f"{where}.test", config.test),
        format=_format(where, config.format),
        classes=_classes(where, kind, config.classes, labels),
        labels=labels,
        low=low,
        high=high,
        metric=_metric(where, kind, config.metric),
        loss=config.loss,
        pairing=config.pairing,
        batch_size=_batch_size(where, config.batch_size),
        layer=config.layer,
    )


def _one_of(where: str, found: str, allowed: tuple[str, ...]) -> str:
    if found not in allowed:
        raise UserError(where, found, one_of(allowed) + did_you_mean(str(found), allowed))
    return found


def _columns(where: str, config: ColumnsConfig) -> Columns:
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


def _files(where: str, files: list[str]) -> tuple[str, ...]:
    bad = isinstance(files, str) or not all(isinstance(name, str) and name for name in files)
    if bad:
        raise UserError(where, repr(files), "a list of file names, such as [train.csv]")
    return tuple(files)


def _format(where: str, config: FormatConfig) -> Format:
    found = config.delimiter
    delimiter = None if found is None else DELIMITER_NAMES.get(found, found)
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
        allowed = f"one character, or {one_of(DELIMITER_NAMES)}; null for the extension's own"
        raise UserError(f"{where}.format.delimiter", repr(found), allowed)
    return Format(delimiter, config.quoting, config.header)


def _labels(where: str, kind: str, labels: list[str] | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    names = tuple(str(label).strip() for label in labels)
    if kind == "regression":
        raise UserError(f"{where}.labels", one_of(names), "null for a regression")
    if len(set(names)) < len(names) or len(names) < 2 or "" in names:
        raise UserError(f"{where}.labels", repr(list(names)), "two or more different names")
    return names


def _classes(
    where: str, kind: str, classes: int | None, labels: tuple[str, ...] | None
) -> int | None:
    where = f"{where}.classes"
    if kind == "regression":
        if classes is not None:
            raise UserError(where, classes, "null for a regression")
        return None
    named = None if labels is None else len(labels)
    wanted = 2 if kind == "binary" else classes if classes is not None else named
    if wanted is None:
        raise UserError(where, "null", "a number of classes of 2 or more, or labels with names")
    if wanted < 2 or (classes is not None and classes != wanted):
        raise UserError(where, classes, "2" if kind == "binary" else "2 or more")
    if named is not None and named != wanted:
        raise UserError(where.removesuffix("classes") + "labels", f"{named} names", f"{wanted}")
    return wanted


def _range(where: str, kind: str, limits: list[float] | None) -> tuple[float | None, float | None]:
    where = f"{where}.range"
    if kind != "regression":
        if limits is not None:
            raise UserError(where, list(limits), f"null for the kind {kind}")
        return None, None
    if limits is None or len(limits) != 2:
        raise UserError(where, limits, "two numbers, the lowest and the highest label")
    low, high = float(limits[0]), float(limits[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(where, list(limits), "two finite numbers, the lower one first")
    return low, high


def _metric(where: str, kind: str, metric: str | None) -> str:
    allowed = METRICS[kind]
    return allowed[0] if metric is None else _one_of(f"{where}.metric", metric, allowed)


def _batch_size(where: str, size: int | None) -> int | None:
    if size is not None and size < 1:
        raise UserError(f"{where}.batch_size", size, "1 or more, or null for the trainer's")
    return size
