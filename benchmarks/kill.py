"""Kills runs and sweeps at random moments, resumes them, and compares them bit for bit.

    python -m benchmarks.kill FOLDER [--runs 50] [--sweeps 20] [--seed 0]

Each kind of run of :mod:`benchmarks.pinned_outputs`, and its sweep, first runs without a kill. A
killed one ends by ``resume=``, or by the same command where it had not begun or is a sweep. It must
then have the same weights, predictions, metrics and result, clocks aside. Prints a line for each
kill and exits with 1 where anything differs.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.pinned_outputs import COMMON, RUNS, SWEEP, leaves, run_outputs

_TRAIN = (sys.executable, "-c", "from mtl_sharing.cli.train import main; main()")
# A resumed trial has taken other seconds.
_CLOCKS = ["seconds", "train_s", "folder"]
Values = dict[str, Any]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="a new folder")
    parser.add_argument("--runs", type=int, default=50, help="kills of runs (default: 50)")
    parser.add_argument("--sweeps", type=int, default=20, help="kills of sweeps (default: 20)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    options = parser.parse_args()
    folder = options.folder.absolute()
    folder.mkdir(parents=True)
    random.seed(options.seed)
    runs = {name: (*COMMON, *words, "hydra.run.dir=run") for name, words in RUNS.items()}
    equal = _kill_all(folder, runs, options.runs)
    equal += _kill_all(folder, {"sweep": SWEEP}, options.sweeps)
    print(f"{equal} of {options.runs + options.sweeps} killed ones are equal")
    sys.exit(equal < options.runs + options.sweeps)


def _kill_all(folder: Path, commands: dict[str, tuple[str, ...]], kills: int) -> int:
    """Kills the commands by turns; returns how many are equal in the end."""
    whole: dict[str, tuple[Values, float]] = {}
    equal = 0
    for number, name in enumerate(islice(cycle(commands), kills)):
        words = commands[name]
        if name not in whole:
            began = time.monotonic()
            _finish(folder / name, words)
            whole[name] = _values(folder / name), time.monotonic() - began
        values, seconds = whole[name]
        different = _kill_once(folder / f"{name}_{number}", words, values, seconds)
        equal += not different
        if not different:
            shutil.rmtree(folder / f"{name}_{number}")
    return equal


def _kill_once(folder: Path, words: tuple[str, ...], whole: Values, seconds: float) -> list[str]:
    """Kills a command once, resumes it and prints a line; returns the values that differ."""
    moment = random.uniform(0, seconds)
    process = _start(folder, words)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=moment)
    killed = process.poll() is None
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    began = (folder / "run" / "result.json").is_file()
    _finish(folder, ("resume=run",) if began else words)
    values = _values(folder)
    different = [n for n in whole.keys() | values if whole.get(n) != values.get(n)]
    how = f"after {moment:.1f} of {seconds:.1f} s" if killed else "not killed: it had ended"
    end = f"{len(different)} differ: {', '.join(sorted(different)[:3])}" if different else "equal"
    print(f"{folder.name}: {how}, {'resumed' if began else 'the same command again'}: {end}",
          flush=True)  # fmt: skip
    return different


def _start(folder: Path, words: tuple[str, ...]) -> subprocess.Popen[str]:
    folder.mkdir(exist_ok=True)
    cache = str(folder.parent / "cache")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": cache}
    return subprocess.Popen(
        [*_TRAIN, *words], cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _finish(folder: Path, words: tuple[str, ...]) -> None:
    process = _start(folder, words)
    said, _ = process.communicate()
    if process.returncode:
        sys.exit(f"{folder}: {' '.join(words)}\n{said}")


def _values(folder: Path) -> Values:
    """Every value of the finished run or sweep in a folder, by its path."""
    runs = [path.parent for path in folder.glob("**/result.json")]
    values = {
        path: value
        for run in runs
        for file, content in run_outputs(run)
        for path, value in leaves(f"{run.relative_to(folder)}/{file}", content)
    }
    for path in folder.glob("*/sweep.csv"):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table = table.drop(columns=_CLOCKS, errors="ignore")
        values |= leaves("sweep.csv", table.to_dict("records"))
    return values


if __name__ == "__main__":
    main()
