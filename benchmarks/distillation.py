"""Trains regimes with and without separate models as teachers, for equal steps, and compares them.

    python -m benchmarks.distillation                                  # half an hour on one core
    python -m benchmarks.distillation --plans S6 S3-I3 -- +experiment=minilm_cs224n \
        data_dir=FOLDER suite.max_train_rows=1000

Each run has a folder below ``--out``, and the same command goes on where it was stopped. Several
processes may train parts of a table (``--seeds 2``).
"""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from mtl_sharing import train
from mtl_sharing.report.analysis.statistics import Summary, summarize

LABELS = "labels"
LOSSES: Mapping[str, tuple[str, ...]] = {
    LABELS: (),
    "constant": ("distillation=constant",),
    "annealed": ("distillation=annealed",),
}
_HEADER = ("regime", "loss", "seeds", "performance", "kept %", "kept % over labels")
_FIXED = ("score.reference=separate", "score.pairs=0", "trainer.precision=fp32",
          "trainer.threads=1")  # fmt: skip

Results = Mapping[tuple[str, str, int], Mapping[str, Any]]


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains what is missing, and prints the table."""
    options = _parser().parse_args(arguments)
    results = {}
    for plan in options.plans:
        for seed in options.seeds:
            for loss in options.losses:
                results[plan, loss, seed] = _train(options, plan, loss, seed)
    for row in (_HEADER, ("---",) * len(_HEADER), *table_rows(results)):
        print(f"| {' | '.join(row)} |")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.distillation", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--plans", nargs="+", default=["S12", "S9-I3"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--losses", nargs="+", choices=LOSSES, default=list(LOSSES))
    parser.add_argument("--out", default="outputs/distillation", help="(%(default)s)")
    parser.add_argument("overrides", nargs="*", help="of mtl-train, for all runs")
    return parser


def _train(options: argparse.Namespace, plan: str, loss: str, seed: int) -> Mapping[str, Any]:
    out = Path(options.out)
    name = sha256(" ".join(options.overrides).encode()).hexdigest()[:8]
    overrides = [*_FIXED, f"cache.folder={out / 'cache'}", *options.overrides, *LOSSES[loss],
                 f"sharing.plan={plan}", f"seed={seed}"]  # fmt: skip
    return train(overrides, out / name / f"{plan}-{loss}-{seed}")


def table_rows(results: Results) -> Iterator[tuple[str, ...]]:
    """A row for each regime and loss: means over seeds with Student's 95% intervals.

    The last column has the differences within each seed from the same regime without a teacher.
    """
    for plan, loss in dict.fromkeys((plan, loss) for plan, loss, _ in results):
        runs = {seed: r for (p, name, seed), r in results.items() if (p, name) == (plan, loss)}
        plain = {seed: results.get((plan, LABELS, seed)) for seed in runs}
        gains = [100 * (r["kept"] - p["kept"]) for s, r in runs.items() if (p := plain[s])]
        yield (
            plan,
            loss,
            str(len(runs)),
            _text(summarize([run["performance"] for run in runs.values()]), 3),
            _text(summarize([100 * run["kept"] for run in runs.values()]), 1),
            "" if loss == LABELS or not gains else _text(summarize(gains), 1, "+"),
        )


def _text(summary: Summary, digits: int, sign: str = "") -> str:
    mean = f"{summary.mean:{sign}.{digits}f}"
    half = None if summary.low is None else summary.mean - summary.low
    return mean if half is None else f"{mean} ± {half:.{digits}f}"


if __name__ == "__main__":
    main()
