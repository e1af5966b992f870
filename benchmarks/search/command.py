"""The command ``python -m benchmarks.search``: builds truth tables, replays strategies on them."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.search.build import build
from benchmarks.search.options import parser
from benchmarks.search.problems import SEEDS_DRAWN, CurveSource, Source
from benchmarks.search.replay import Outcome, replay, workers
from benchmarks.search.strategies import PRUNING, Options
from benchmarks.search.suites import SUITES
from benchmarks.search.summary import (
    HEADER,
    PAGE,
    markdown,
    outcomes_text,
    rewritten,
    summarise,
)
from benchmarks.search.tables import (
    LEAST_SEEDS,
    complete_seeds,
    measured_source,
    read_table,
    table_path,
)
from mtl_sharing.errors import UserError, check_range, one_of
from mtl_sharing.utils.files import replace_json, replace_text

_WIDTH = 150
_STOPPED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds a table or replays; returns 1 where a training failed, 2 on a user's mistake."""
    options = parser().parse_args(arguments)
    try:
        return _build(options) if options.build else _replay(options)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; the same command goes on", file=sys.stderr)
        return _STOPPED


def _build(options: argparse.Namespace) -> int:
    folder = options.out / "truth" / options.build
    suite = SUITES[options.build]
    failed = build(suite, table_path(suite.name), folder, options, _say)
    return int(failed > 0)


def _say(line: str) -> None:
    print(line, flush=True)


def _replay(options: argparse.Namespace) -> int:
    console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
    sources = list(_sources(options))
    folder = options.out / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
    outcomes: list[Outcome] = []
    with workers(options.workers) as pool:
        for source in sources:
            names = [n for n in options.strategies if source.has_evaluations or n not in PRUNING]
            count = options.replays if source.has_evaluations else options.curves
            replays = replay(source, names, count, _options(options), options.seed, pool)
            own = list(
                track(
                    replays,
                    source.title,
                    console=console,
                    transient=True,
                    disable=not console.is_terminal,
                )
            )
            outcomes += own
            _show(console, own)
    if not outcomes:
        found = f"{one_of(options.strategies)} on curves"
        raise UserError("--strategies", found, "others, since curves have no evaluations")
    _write(folder, outcomes, options)
    console.print(f"results: {folder}", highlight=False)
    return 0


def _options(options: argparse.Namespace) -> Options:
    check_range("--pool", options.pool, 1, SEEDS_DRAWN)
    check_range("--budgets", max(options.budgets), 1, SEEDS_DRAWN)
    return Options(
        budgets=tuple(options.budgets),
        confidence=options.confidence,
        pool=options.pool,
        most=options.most,
    )


def _sources(options: argparse.Namespace) -> Iterator[Source]:
    """What is replayed on; tables that are not built are left out unless they are named."""
    for name in () if options.simulate else options.tables or SUITES:
        if options.tables or _is_built(name):
            yield measured_source(read_table(table_path(name)), SUITES[name])
    if options.simulate or not options.tables:
        yield from (CurveSource(deviation, options.paired) for deviation in options.deviations)


def _is_built(name: str) -> bool:
    """Whether a table can be replayed on; says so of one that has only begun."""
    path = table_path(name)
    if not path.exists():
        return False
    seeds = len(complete_seeds(read_table(path), SUITES[name]))
    if seeds < LEAST_SEEDS:
        _say(f"{name} is left out: {seeds} of its seeds are complete, {LEAST_SEEDS} are needed")
    return seeds >= LEAST_SEEDS


def _show(console: Console, outcomes: Sequence[Outcome]) -> None:
    if not (summaries := summarise(outcomes)):
        return
    first = summaries[0]
    table = Table(title=f"{first.source}: {first.replays} replays", title_justify="left")
    for name in HEADER:
        table.add_column(name, justify="left" if name == HEADER[0] else "right")
    for one in summaries:
        table.add_row(*one.row())
    console.print(table)


def _write(folder: Path, outcomes: Sequence[Outcome], options: argparse.Namespace) -> None:
    summaries = summarise(outcomes)
    tables = markdown(summaries)
    settings = {name: str(value) for name, value in vars(options).items()}
    replace_json(
        folder / "summary.json",
        {"options": settings, "summaries": [asdict(one) for one in summaries]},
    )
    replace_text(folder / "replays.csv", outcomes_text(outcomes))
    replace_text(folder / "tables.md", tables)
    if options.document:
        replace_text(PAGE, rewritten(PAGE.read_text(encoding="utf-8"), tables))
