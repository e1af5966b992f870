"""Runs inputs that once went wrong, and prints a line for each: ``python tests/cases/run.py``.

A case is a folder with ``cmd``, a shell script that is run in a copy of the folder, ``want``, which
says what is right and why, and ``check.py``, which reads what ``cmd`` left there. All that ``cmd``
printed is in ``output.txt``. ``check.py`` ends with 0 where all is right and with 77 where data are
absent; its last line says what was found. ``SHARED`` is the folder of shared data, or empty.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

CASES = Path(__file__).resolve().parent
SHARED = CASES.parents[2] / "shared"
NAMES = sorted(path.parent.name for path in CASES.glob("*/cmd"))
_SKIPPED = 77
_WORDS = {0: "right", _SKIPPED: "skipped"}


@dataclass(frozen=True)
class Verdict:
    """What a case came to.

    Attributes:
        word: ``right``, ``WRONG`` or ``skipped``.
        line: what its check found.
    """

    name: str
    word: str
    line: str


def run_case(name: str, programs: Path, timeout_s: float = 900) -> Verdict:
    """Runs a case in a temporary folder with the commands and the python of ``programs``."""
    with tempfile.TemporaryDirectory(prefix="case-") as temporary:
        folder = Path(temporary) / name
        shutil.copytree(CASES / name, folder)
        environment = _environment(programs, Path(temporary))
        with (folder / "output.txt").open("wb") as output:
            ended = _ends(["bash", "cmd"], timeout_s, cwd=folder, env=environment, stdout=output,
                          stderr=output)  # fmt: skip
        if not ended:
            return Verdict(name, "WRONG", f"cmd has not ended after {timeout_s:g} s")
        check = subprocess.run(
            [programs / "python", "check.py"], cwd=folder, env=environment, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    lines = check.stdout.strip().splitlines() or [""]
    return Verdict(name, _WORDS.get(check.returncode, "WRONG"), lines[-1])


def _environment(programs: Path, temporary: Path) -> dict[str, str]:
    """The variables of a case: its own cache, but the fonts that are listed already."""
    caches = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    return {
        "MPLCONFIGDIR": str(caches / "matplotlib"), **os.environ,
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "SHARED": str(SHARED) if SHARED.is_dir() else "",
        "XDG_CACHE_HOME": str(temporary / "cache"),
    }  # fmt: skip


def _ends(command: Sequence[str], timeout_s: float, **options: Any) -> bool:
    """Whether a command ends in time; otherwise it is killed with all that it started."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True, **options)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the named cases, all by default; 1 where one of them is wrong."""
    parser = argparse.ArgumentParser(description="Run inputs that once went wrong.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help="a folder's name; all by default")
    parser.add_argument("--bin", type=Path, default=Path(sys.executable).parent, metavar="DIR",
                        help="folder of the commands and the python to use")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2, help="cases at a time (2)")
    options = parser.parse_args(arguments)
    names = [Path(name).name for name in options.cases] or NAMES
    if unknown := sorted(set(names) - set(NAMES)):
        parser.error(f"no case {', '.join(unknown)}; there are {', '.join(NAMES)}")
    words = []
    with ThreadPoolExecutor(options.jobs) as pool:
        for verdict in pool.map(partial(run_case, programs=options.bin.absolute()), names):
            print(f"{verdict.name:<24} {verdict.word:<8} {verdict.line}", flush=True)
            words.append(verdict.word)
    print(", ".join(f"{words.count(word)} {word}" for word in dict.fromkeys(words)))
    return int("WRONG" in words)


if __name__ == "__main__":
    sys.exit(main())
