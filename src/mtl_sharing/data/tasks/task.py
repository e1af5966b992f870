"""A task: its config as written in YAML, and the checked value made of it."""

from dataclasses import dataclass, field, replace

from mtl_sharing.data.tasks.labels import LabelReader, LabelSpace, Limits, check_limits
from mtl_sharing.data.tasks.sources import (
    OWN,
    ColumnsConfig,
    FormatConfig,
    Source,
    SourceConfig,
    check_columns,
    check_files,
    make_format,
    make_source,
)
from mtl_sharing.errors import UserError, check_different, check_known, one_of

KINDS = ("classes", "binary", "regression")
SPLITS = ("train", "dev", "test")
METRICS = {
    "classes": ("accuracy", "f1", "mcc"),
    "binary": ("accuracy", "f1", "mcc"),
    "regression": ("pearson", "spearman"),
}


@dataclass
class TaskConfig:
    """One task as written in YAML, which ``task_spec`` checks.

    Args:
        kind: classes, binary or regression.
        columns: names of the columns.
        train, dev, test: table files, absolute or relative to ``data_dir``, or data sets of the
            hub (``hub_names.HubName``); none for a task that a suite generates.
        format: format of text tables.
        sources: more rows by name of their source, each with its own columns, format and labels.
        classes: number of classes (kind classes only).
        labels: names of the classes in class order, if the label column holds text.
        range: lowest and highest label (regression only).
        metric: the task's metric; by default accuracy, or pearson for regression.
        loss, pairing: names of an objective and of a head's pairing, not checked here.
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
    """A checked task; fields as in ``TaskConfig``. A trained model's config.json holds them.

    Attributes:
        classes: 2 for binary, ``None`` for regression.
        low, high: the label range; ``None`` unless the task is a regression.
    """

    name: str
    kind: str
    columns: ColumnsConfig
    train: tuple[str, ...]
    dev: tuple[str, ...]
    test: tuple[str, ...]
    format: FormatConfig
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
        """The task's labels."""
        limits = None if self.low is None or self.high is None else (self.low, self.high)
        return LabelSpace(self.classes, self.labels, limits)

    @property
    def own(self) -> Source:
        """The task's own files as a source."""
        files = {"train": self.train, "dev": self.dev, "test": self.test}
        where, labels = f"task.{self.name}", LabelReader(self.label_space)
        return Source(OWN, where, self.columns, self.format, files, labels)

    def sources_of(self, split: str) -> tuple[Source, ...]:
        """Sources with files for a split, the task's own first; raises UserError without any."""
        sources = tuple(s for s in (self.own, *self.sources) if s.files.get(split))
        if not sources:
            allowed = "a list of file names, such as [data.csv]"
            raise UserError(f"task.{self.name}.{split}", "no files", allowed)
        return sources


def task_spec(name: str, config: TaskConfig) -> TaskSpec:
    """Makes the task of its config; raises UserError naming the field ``task.<name>.<field>``."""
    where, kind = f"task.{name}", config.kind
    check_known(f"{where}.kind", kind, KINDS)
    metric = METRICS[kind][0] if config.metric is None else config.metric
    check_known(f"{where}.metric", metric, METRICS[kind])
    if config.batch_size is not None and config.batch_size < 1:
        allowed = "1 or more, or null for the trainer's"
        raise UserError(f"{where}.batch_size", config.batch_size, allowed)
    labels = _labels(where, kind, config.labels)
    low, high = _range(where, kind, config.range)
    spec = TaskSpec(
        name=name,
        kind=kind,
        columns=check_columns(where, config.columns),
        train=check_files(f"{where}.train", config.train),
        dev=check_files(f"{where}.dev", config.dev),
        test=check_files(f"{where}.test", config.test),
        format=make_format(where, config.format),
        classes=_classes(where, kind, config.classes, labels),
        labels=labels,
        low=low,
        high=high,
        metric=metric,
        loss=config.loss,
        pairing=config.pairing,
        batch_size=config.batch_size,
        layer=config.layer,
    )
    space, is_pair = spec.label_space, spec.is_pair
    sources = (make_source(name, n, source, space, is_pair) for n, source in config.sources.items())
    return replace(spec, sources=tuple(sources))


def _labels(where: str, kind: str, labels: list[str] | None) -> tuple[str, ...] | None:
    if labels is None:
        return None
    names = tuple(str(label).strip() for label in labels)
    if kind == "regression":
        raise UserError(f"{where}.labels", one_of(names), "null for a regression")
    check_different(f"{where}.labels", names)
    if len(names) < 2 or "" in names:
        raise UserError(f"{where}.labels", repr(list(names)), "two or more different names")
    return names


def _classes(
    where: str, kind: str, classes: int | None, labels: tuple[str, ...] | None
) -> int | None:
    if kind == "regression":
        if classes is not None:
            raise UserError(f"{where}.classes", classes, "null for a regression")
        return None
    named = None if labels is None else len(labels)
    count = 2 if kind == "binary" else named if classes is None else classes
    if count is None:
        allowed = "a number of classes of 2 or more, or labels with names"
        raise UserError(f"{where}.classes", "null", allowed)
    if count < 2 or classes not in (None, count):
        allowed = "2" if kind == "binary" else "2 or more"
        raise UserError(f"{where}.classes", classes, allowed)
    if named not in (None, count):
        raise UserError(f"{where}.labels", f"{named} names", f"{count}")
    return count


def _range(where: str, kind: str, limits: list[float] | None) -> Limits | tuple[None, None]:
    if kind == "regression":
        return check_limits(f"{where}.range", limits)
    if limits is not None:
        raise UserError(f"{where}.range", list(limits), f"null for the kind {kind}")
    return None, None
