"""The options of ``python -m benchmarks.search``."""

import argparse
from pathlib import Path

from joblib import cpu_count

from benchmarks.search.strategies import STRATEGIES, Options
from benchmarks.search.suites import SUITES

_ABOUT = """Judges the search for a split: how much it trains, and how good its choice is. With
--build it trains every split of a suite with several seeds and keeps the results as a table.
Without it, strategies are replayed on these tables and on random curves. Run it from the
checkout."""


def parser() -> argparse.ArgumentParser:
    """The command's parser."""
    made = argparse.ArgumentParser(prog="python -m benchmarks.search", description=_ABOUT)
    made.add_argument(
        "--workers",
        type=_count,
        default=cpu_count(),
        help="processes at once (one for each usable core: %(default)s)",
    )
    made.add_argument(
        "--out",
        type=Path,
        default=Path("outputs/bench-search"),
        help="where results and running trainings go (%(default)s)",
    )
    _add_build(made.add_argument_group("to build a table"))
    _add_replay(made.add_argument_group("to replay"))
    return made


def _add_build(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--build", choices=SUITES, help="train what this table lacks")
    group.add_argument("--seeds", type=_count, help="seeds for each split (the suite's own number)")
    group.add_argument("--hours", type=_positive, help="begin no training after so many hours")
    group.add_argument("--data-dir", help="folder of the course data, which minilm needs")


def _add_replay(group: "argparse._ArgumentGroup") -> None:
    defaults = Options()
    group.add_argument(
        "--tables",
        nargs="+",
        choices=SUITES,
        help="replay on these tables alone (all that are built, and curves)",
    )
    group.add_argument("--simulate", action="store_true", help="replay on random curves alone")
    group.add_argument(
        "--strategies",
        nargs="+",
        choices=STRATEGIES,
        default=STRATEGIES,
        help="replay these alone; process is a plain Gaussian process",
    )
    group.add_argument("--replays", type=_count, default=200, help="for each table (%(default)s)")
    group.add_argument("--curves", type=_count, default=300, help="random ones (%(default)s)")
    group.add_argument(
        "--deviations",
        nargs="+",
        type=_positive,
        default=(0.01, 0.02),
        help="of the seeds around a curve (0.01 0.02)",
    )
    group.add_argument(
        "--paired",
        type=_share,
        default=0.0,
        help="share of a curve's noise that a seed gives all splits (0)",
    )
    group.add_argument(
        "--budgets",
        nargs="+",
        type=_count,
        default=defaults.budgets,
        help="trainings of the searches (8 10 13 20)",
    )
    for name, kind, text in (
        ("most", _count, "trainings after which an undecided search ends"),
        ("confidence", _share, "probability at which a search has decided"),
        ("pool", _count, "seeds that a search may train a split with"),
    ):
        default = getattr(defaults, name)
        group.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (%(default)s)")
    group.add_argument("--seed", type=int, default=0, help="of the replays (%(default)s)")
    group.add_argument(
        "--document", action="store_true", help="also write the tables into docs/sweeps.md"
    )


def _count(text: str) -> int:
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: at least 1")
    return int(text)


def _positive(text: str) -> float:
    if not 0 < float(text) < float("inf"):
        raise argparse.ArgumentTypeError(f"{text}: a number above 0")
    return float(text)


def _share(text: str) -> float:
    if not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f"{text}: 0 to 1")
    return float(text)
