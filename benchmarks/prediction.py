"""All tasks predicted for the same pairs of sentences: layers shared against separate models.

    python -m benchmarks.prediction [--data-dir FOLDER] [--rounds N] [OVERRIDE ...]

Through ``LoadedRun.predict``, so with tokenising. The contenders take turns (A B C A B C): the
hybrid regime; separate models in one call, which tokenise once; separate models one by one.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.clock import timed
from benchmarks.project import compose_config
from benchmarks.workloads import data_words
from mtl_sharing.data.tokens.tokenizing import load_tokenizer
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.spec import resolve_spec, start_on_machine
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.utils.memory import keep_freed_memory

UNTIMED = 2
HYBRID, TOGETHER, APART = "hybrid", "separate models, one call", "separate models, one by one"
Pairs = tuple[list[str], list[str]]


def untrained(words: Sequence[str]) -> tuple[LoadedRun, Pairs]:
    """A run with its starting weights, and the dev pairs of its tasks of pairs."""
    run_spec = start_on_machine(resolve_spec(compose_config(words)))
    with TemporaryDirectory() as folder:
        inputs = load_inputs(run_spec, Path(folder))
        tokenizer = load_tokenizer(Path(folder))
    network = run_spec.network(run_spec.architecture, inputs.tower).eval()
    rows = [(e.text, e.text_pair) for rows in inputs.dev_examples.values() for e in rows]
    pairs = [(first, second) for first, second in rows if second is not None]
    run = LoadedRun(Path(folder), run_spec, network, tokenizer)
    return run, ([first for first, _ in pairs], [second for _, second in pairs])


def contenders(words: Sequence[str]) -> tuple[dict[str, Callable[[], object]], LoadedRun, int]:
    """What each does in a turn, one of the runs, and the number of pairs."""
    half, pairs = untrained([*words, "sharing=hybrid", "split=1/2"])
    apart, _ = untrained([*words, "sharing=individual"])

    def one_by_one() -> None:
        for task in apart.tasks:
            second = pairs[1] if apart.run_spec.specs[task].is_pair else None
            apart.predict(pairs[0], second, [task])

    works = {
        HYBRID: lambda: half.predict(*pairs),
        TOGETHER: lambda: apart.predict(*pairs),
        APART: one_by_one,
    }
    return works, half, len(pairs[0])


def race(works: dict[str, Callable[[], object]], rounds: int, run: LoadedRun) -> list[list[float]]:
    """Seconds of each contender, round by round; the first rounds warm up and are left out."""
    device = run.run_spec.runtime.device
    found = [[timed(device, work) for work in works.values()] for _ in range(UNTIMED + rounds)]
    return found[UNTIMED:]


def lines(names: Sequence[str], seconds: Sequence[Sequence[float]], pairs: int) -> list[str]:
    """For each contender its median time, and how many times as long as the first it took."""
    told = []
    for number, name in enumerate(names):
        ratios = [turn[number] / turn[0] for turn in seconds]
        middle = median(turn[number] for turn in seconds)
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        told.append(f"{name:<28}{middle:7.3f} s {pairs / middle:9,.0f} pairs/s  {spread}")
    return told


def main() -> None:
    """Prints a line for each contender; the last figure is its time over the hybrid's."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction")
    parser.add_argument("--data-dir", help="folder of the course data; else the bundled suite")
    parser.add_argument("--rounds", type=int, default=7, help="%(default)s")
    parser.add_argument("words", nargs="*", metavar="OVERRIDE", help="of mtl-train")
    options = parser.parse_args()
    keep_freed_memory()
    words = ["encoder=minilm_l6", *data_words(options.data_dir), "suite.max_train_rows=100"]
    with TemporaryDirectory() as folder:
        given = [word.replace("{folder}", folder) for word in (*words, *options.words)]
        works, run, pairs = contenders(given)
        seconds = race(works, options.rounds, run)
    print(f"{pairs} pairs, {run.run_spec.plan} against I, {run.run_spec.runtime.precision}")
    print("\n".join(lines(list(works), seconds, pairs)))


if __name__ == "__main__":
    main()
