"""Times predictions of all tasks for the same pairs: shared layers against separate models.

    python -m benchmarks.prediction [--data-dir FOLDER] [--rounds N] [OVERRIDE ...]

Times ``LoadedRun.predict`` with its tokenising. The variants take turns (A B C A B C): the hybrid
regime, separate models in one call, which tokenise once, and separate models one by one.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.clock import timed
from benchmarks.project import compose_config
from benchmarks.workloads import FOLDER, data_overrides
from mtl_sharing.data.tokens.tokenizing import read_tokenizer
from mtl_sharing.job.autotune import autotune
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.spec import resolve_spec, start_on_machine
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.utils.device import keep_freed_memory

UNTIMED = 2
HYBRID, TOGETHER, APART = "hybrid", "separate models, one call", "separate models, one by one"
Pairs = tuple[list[str], list[str]]
Works = dict[str, Callable[[], object]]


def untrained(overrides: Sequence[str]) -> tuple[LoadedRun, Pairs]:
    """A run with its starting weights, and the dev pairs of its tasks of pairs."""
    run_spec = start_on_machine(resolve_spec(compose_config(overrides)))
    with TemporaryDirectory() as folder:
        inputs = load_inputs(run_spec, Path(folder))
        tokenizer = read_tokenizer(Path(folder) / "tokenizer.json")
    run_spec = autotune(run_spec, inputs)
    network = run_spec.network(run_spec.architecture, inputs.tower).eval()
    rows = [(e.text, e.text_pair) for rows in inputs.dev_examples.values() for e in rows]
    pairs = [(first, second) for first, second in rows if second is not None]
    run = LoadedRun(Path(folder), run_spec, network, tokenizer)
    return run, ([first for first, _ in pairs], [second for _, second in pairs])


def make_variants(overrides: Sequence[str]) -> tuple[Works, LoadedRun, int]:
    """The function of each variant, the hybrid run, and the number of pairs."""
    half, pairs = untrained([*overrides, "sharing=hybrid", "split=1/2"])
    apart, _ = untrained([*overrides, "sharing=individual"])

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


def measure(works: Works, rounds: int, run: LoadedRun) -> list[list[float]]:
    """Seconds of each variant, round by round, without the rounds that warm up."""
    device = run.run_spec.runtime.device
    seconds = [[timed(device, work) for work in works.values()] for _ in range(UNTIMED + rounds)]
    return seconds[UNTIMED:]


def format_lines(names: Sequence[str], seconds: Sequence[Sequence[float]], pairs: int) -> list[str]:
    """A line for each variant: its median time, and the ratio to the first variant's."""
    lines = []
    for number, name in enumerate(names):
        ratios = [one[number] / one[0] for one in seconds]
        middle = median(one[number] for one in seconds)
        spread = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        lines.append(f"{name:<28}{middle:7.3f} s {pairs / middle:9,.0f} pairs/s  {spread}")
    return lines


def main() -> None:
    """Prints a line for each variant. Its last number is the ratio to the hybrid's time."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction")
    parser.add_argument("--data-dir", help="folder of the course data; else the bundled suite")
    parser.add_argument("--rounds", type=int, default=7, help="%(default)s")
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDE", help="of mtl-train")
    options = parser.parse_args()
    keep_freed_memory()
    overrides = ["encoder=minilm_l6", *data_overrides(options.data_dir), "suite.max_train_rows=100"]
    with TemporaryDirectory() as folder:
        overrides = [text.replace(FOLDER, folder) for text in (*overrides, *options.overrides)]
        works, run, pairs = make_variants(overrides)
        seconds = measure(works, options.rounds, run)
    print(f"{pairs} pairs, {run.run_spec.plan} against I, {run.run_spec.runtime.precision}")
    print("\n".join(format_lines(list(works), seconds, pairs)))


if __name__ == "__main__":
    main()
