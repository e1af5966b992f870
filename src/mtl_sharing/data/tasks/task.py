"""What a task is: its config as YAML gives it, and the checked value made of it."""

from dataclasses import dataclass, field, replace

from mtl_sharing.data.tasks.labels import LabelReader, LabelSpace, Limits, check_limits
from mtl_sharing.data.tasks.sources import (
    OWN,
    Columns,
    ColumnsConfig,
    Format,
    FormatConfig,
    Source,
    SourceConfig,
    check_files,
    make_columns,
    make_format,
    make_source,
)
from mtl_sharing.errors import UserError, did_you_mean, one_of

KINDS = ("classes", "binary", "regression")
SPLITS = ("train", "dev", "test")
METRICS = {
    "classes": ("accuracy", "f1", "mcc"),
    "binary": ("accuracy", "f1", "mcc"),
    "regression": ("pearson", "spearman"),
}


# The config classes are not frozen: OmegaConf makes a frozen one read-only, and Hydra could then
# override nothing in it. `TaskSpec` is the frozen value.
@dataclass
class TaskConfig:
    """One task as YAML gives it; ``task_spec`` checks it and says what each field may hold.

    Args:
        kind: classes, binary or regression.
        columns: which columns hold what.
        train, dev, test: table files, absolute or relative to ``data_dir``, or data sets of the
            hub (``hub.HubName``); none of them where the bundled suite generates the task.
        format: how text tables are written.
        sources: more rows, by the name of where they come from, each with its own columns,
            format and labels.
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
    sources: dict[str, SourceConfig] = field(default_factory=dict)
    classes: int | None = None
    labels: list[str] | None = None
    range: list[float] | None = None
    metric: str | None = None
    loss: str | None = None
    pairing: str | None = None
    batch_size: int | None = None
    layer: int | None = None


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
    sources: tuple[Source, ...] = ()

    @property
    def is_pair(self) -> bool:
        """Whether an example is a pair of texts."""
        return self.columns.text_pair is not None

    @property
    def label_space(self) -> LabelSpace:
        """The labels that the task takes."""
        limits = None if self.low is None or self.high is None else (self.low, self.high)
        return LabelSpace(self.classes, self.labels, limits)

    @property
    def own(self) -> Source:
        """The task's own files as a source."""
        files = {"train": self.train, "dev": self.dev, "test": self.test}
        where, labels = f"task.{self.name}", LabelReader(self.label_space)
        return Source(OWN, where, self.columns, self.format, files, labels)

    def sources_of(self, split: str) -> tuple[Source, ...]:
        """The sources that have files for ``split`` (train, dev or test), its own files first.

        Raises:
            UserError: for another name of a split, or where no source has files.
        """
        if split not in SPLITS:
            raise UserError("split", split, one_of(SPLITS) + did_you_mean(split, SPLITS))
        found = tuple(each for each in (self.own, *self.sources) if each.files.get(split))
        if not found:
            allowed = "a list of file names, such as [data.csv]"
            raise UserError(f"task.{self.name}.{split}", "no files", allowed)
        return found


def task_spec(name: str, config: TaskConfig) -> TaskSpec:
    """The checked task of ``config``.

    Raises:
        UserError: naming the field ``task.<name>.<field>``, what it holds and what it may hold.
    """
    where = f"task.{name}"
    kind = _one_of(f"{where}.kind", config.kind, KINDS)
    labels = _labels(where, kind, config.labels)
    low, high = _range(where, kind, config.range)
    spec = TaskSpec(
        name=name,
        kind=kind,
        columns=make_columns(where, config.columns),
        train=check_files(f"{where}.train", config.train),
        dev=check_files(f"{where}.dev", config.dev),
        test=check_files(f"{where}.test", config.test),
        format=make_format(where, config.format),
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
    space, is_pair = spec.label_space, spec.is_pair
    sources = (make_source(name, key, each, space, is_pair) for key, each in config.sources.items())
    return replace(spec, sources=tuple(sources))


def _one_of(where: str, found: str, allowed: tuple[str, ...]) -> str:
    if found not in allowed:
        raise UserError(where, found, one_of(allowed) + did_you_mean(str(found), allowed))
    return found


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


def _range(where: str, kind: str, limits: list[float] | None) -> Limits | tuple[None, None]:
    where = f"{where}.range"
    if kind == "regression":
        return check_limits(where, limits)
    if limits is not None:
        raise UserError(where, list(limits), f"null for the kind {kind}")
    return None, None


def _metric(where: str, kind: str, metric: str | None) -> str:
    allowed = METRICS[kind]
    return allowed[0] if metric is None else _one_of(f"{where}.metric", metric, allowed)


def _batch_size(where: str, size: int | None) -> int | None:
    if size is not None and size < 1:
        raise UserError(f"{where}.batch_size", size, "1 or more, or null for the trainer's")
    return size
