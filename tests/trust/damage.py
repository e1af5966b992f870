"""Flips bytes and cuts files of a finished and a stopped run, and gives them to the commands.

    python tests/trust/damage.py [FINISHED STOPPED] [--flips 1000] [--cuts 1000] [--seed 0]

Runs in one process. Prints a count for each outcome, and a line for each that is a fault: a changed
output without a message, a traceback, a hang. Exits with 1 where there is one.
"""

import argparse
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from trust.commands import COMMANDS, Answer, call

MESSAGE, RECOVERY, SAME = "message", "recovery", "same"
SILENT, UNCLEAR, TRACEBACK, HANG = "SILENT", "UNCLEAR", "TRACEBACK", "HANG"
FAULTS = (SILENT, UNCLEAR, TRACEBACK, HANG)

_LOADED = ("config.json", "manifest.json", "model.safetensors", "tokenizer.json")
_RESUMED = ("config.json", "inputs.json", "manifest.json", "settings.json", "tokenizer.json")
_REPORTED = ("config.json", "manifest.json", "metrics.csv", "predictions.parquet", "result.json")
READS: dict[str, dict[str, tuple[str, ...]]] = {
    "finished": {
        "resume": ("manifest.json", "metrics.csv", "predictions.parquet", "result.json",
                   "settings.json"),
        "predict": _LOADED,
        "report": _REPORTED,
        "export": (*_LOADED, "predictions.parquet", "result.json"),
    },
    "stopped": {
        "resume": (*_RESUMED, "checkpoint/last.pt", "metrics.csv", "model.safetensors",
                   "result.json"),
        "predict": _LOADED,
        "report": ("config.json", "manifest.json", "metrics.csv", "result.json"),
        "export": (*_LOADED, "result.json"),
    },
}  # fmt: skip
"""The files that each command reads of a run that is undamaged; a test traces what they open."""
WRITTEN = (".lock", "train.log")
"""What a command opens to write it."""


@dataclass(frozen=True)
class Damage:
    """One change of one file: a byte that is another now, or an end that is missing."""

    name: str
    kind: str
    position: int
    mask: int = 0

    def __str__(self) -> str:
        mask = f" ^ {self.mask:#04x}" if self.kind == "flip" else ""
        return f"{self.name}: {self.kind} at {self.position}{mask}"

    def apply(self, folder: Path) -> None:
        """Damages the file in ``folder``."""
        path = folder / self.name
        content = bytearray(path.read_bytes())
        if self.kind == "flip":
            content[self.position] ^= self.mask
        else:
            del content[self.position :]
        path.write_bytes(content)


@dataclass(frozen=True)
class Outcome:
    """What a command made of a damaged run."""

    kind: str
    state: str
    command: str
    damage: Damage
    answer: Answer

    def __str__(self) -> str:
        said = (self.answer.text.strip().splitlines() or [""])[-1]
        line = f"{self.kind:<9}  {self.command} of a {self.state} run  {self.damage}"
        return f"{line}  ({self.answer.code}) {said[:160]}"


class Bench:
    """A finished or stopped run that is copied for each damage, and the undamaged answers."""

    def __init__(self, state: str, run: Path, work: Path, beside: Path | None = None) -> None:
        """``beside`` is another run of a report: one of a stopped run alone is refused."""
        self.state, self.run, self.work, self.beside = state, run, work, beside
        self.undamaged = {name: self._undamaged(name) for name in COMMANDS}

    def names(self) -> list[str]:
        """The files that some command reads."""
        return sorted({name for names in READS[self.state].values() for name in names})

    def draw(self, random: random.Random, kind: str, name: str) -> Damage:
        """A random damage of this kind and file."""
        size = (self.run / name).stat().st_size
        mask = random.choice([*(1 << bit for bit in range(8)), random.randrange(1, 256)])
        return Damage(name, kind, random.randrange(size), mask if kind == "flip" else 0)

    def outcomes(self, damage: Damage) -> Iterator[Outcome]:
        """Gives a damaged copy to each command that reads the file."""
        for name, names in READS[self.state].items():
            if damage.name in names:
                with self._copied() as folder:
                    damage.apply(folder)
                    answer = call(COMMANDS[name], folder)
                kind = judge(damage, self.undamaged[name], answer)
                yield Outcome(kind, self.state, name, damage, answer)

    def _undamaged(self, name: str) -> Answer:
        with self._copied() as folder:
            answer = call(COMMANDS[name], folder)
        assert answer.code == 0, answer.text
        return answer

    @contextmanager
    def _copied(self) -> Iterator[Path]:
        # A folder of its own each time: some warnings come once for a folder.
        above = Path(tempfile.mkdtemp(dir=self.work))
        if self.beside is not None:
            shutil.copytree(self.beside, above / "beside")
        yield Path(shutil.copytree(self.run, above / "run"))
        shutil.rmtree(above)


def judge(damage: Damage, undamaged: Answer, answer: Answer) -> str:
    """The kind of an outcome."""
    if answer.is_hung:
        return HANG
    if answer.code not in (0, 2) or "Traceback" in answer.text:
        return TRACEBACK
    new = answer.lines() - undamaged.lines()
    is_named = any(Path(damage.name).name in line or "damaged" in line for line in new)
    if answer.code == 2:
        return MESSAGE if is_named or any("FOLDER" in line for line in new) else UNCLEAR
    if answer.outputs == undamaged.outputs:
        return RECOVERY if is_named else SAME
    return MESSAGE if is_named else SILENT


def campaign(benches: Iterable[Bench], flips: int, cuts: int, seed: int) -> Iterator[Outcome]:
    """The outcomes of random damages, spread evenly over the files that commands read.

    Cuts begin with half of the files, flips with the other, so that few of both reach many files.
    """
    generator = random.Random(seed)
    files = [(bench, name) for bench in benches for name in bench.names()]
    generator.shuffle(files)
    for flip, cut in zip_longest(range(flips), range(cuts)):
        for kind, number, first in (("flip", flip, 0), ("cut", cut, len(files) // 2)):
            if number is not None:
                bench, name = files[(first + number) % len(files)]
                yield from bench.outcomes(bench.draw(generator, kind, name))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("finished", nargs="?", type=Path)
    parser.add_argument("stopped", nargs="?", type=Path)
    parser.add_argument("--flips", type=int, default=1000)
    parser.add_argument("--cuts", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def main() -> None:
    """The long form."""
    from trust.runs import make_finished, make_stopped

    options = _arguments()
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        finished = options.finished or make_finished(work / "made" / "finished")
        stopped = options.stopped or make_stopped(work / "made" / "stopped")
        benches = [Bench("finished", finished, work), Bench("stopped", stopped, work, finished)]
        counts: Counter[tuple[str, str, str]] = Counter()
        for outcome in campaign(benches, options.flips, options.cuts, options.seed):
            counts[outcome.state, outcome.command, outcome.kind] += 1
            if outcome.kind in FAULTS:
                print(outcome, flush=True)
    for (state, command, kind), count in sorted(counts.items()):
        print(f"{state:<9} {command:<8} {kind:<10} {count:>6}")
    faults = sum(count for (*_, kind), count in counts.items() if kind in FAULTS)
    print(f"{options.flips} flips and {options.cuts} cuts: {faults} faults")
    sys.exit(faults > 0)


if __name__ == "__main__":
    main()
