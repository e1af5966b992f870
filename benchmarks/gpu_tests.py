"""Runs the tests marked ``gpu`` in a process of their own, within a time limit."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer

from benchmarks.uninstalled import ROOT

MARK = "pytest.mark.gpu"
_RESULT = re.compile(r"^(\S+::.*?) (PASSED|FAILED|ERROR|SKIPPED)\b")
_SELECTED = re.compile(r"\bcollected (\d+) items?(?:.* (\d+) selected)?")


@dataclass
class TestResults:
    """Outcomes of the tests by name, as pytest printed them.

    Attributes:
        selected: number of tests to run; None if pytest did not come so far.
        code: exit code of pytest; None if its time ran out.
    """

    __test__ = False

    outcomes: dict[str, str] = field(default_factory=dict)
    selected: int | None = None
    code: int | None = None

    def read(self, line: str) -> None:
        """Takes a line of pytest's output."""
        if found := _SELECTED.search(line):
            self.selected = int(found[2] or found[1])
        elif found := _RESULT.match(line):
            self.outcomes[found[1]] = found[2]

    def named(self, *outcomes: str) -> list[str]:
        """Tests with one of these outcomes."""
        return [name for name, outcome in self.outcomes.items() if outcome in outcomes]

    @property
    def passed(self) -> bool:
        """Whether every test ran and passed."""
        ran = self.selected == len(self.outcomes) == len(self.named("PASSED")) > 0
        return self.code == 0 and ran

    def left_out(self) -> list[str]:
        """A line for each test that was skipped, and one for those without their time."""
        lines = [f"test {name}: skipped" for name in self.named("SKIPPED")]
        if self.code is None:
            last = next(reversed(self.outcomes), None)
            after = f" after {last}" if last else ""
            count = "" if self.selected is None else f"{self.selected - len(self.outcomes)} "
            lines.append(f"{count}tests{after}: no time left")
        return lines

    def __str__(self) -> str:
        failed = self.named("FAILED", "ERROR")
        line = f"{len(self.named('PASSED'))} passed, {len(failed)} failed"
        if self.code not in (None, 0, 1):
            line += f", pytest ended with {self.code}"
        return f"{line}: {', '.join(failed)}" if failed else line


def gpu_test_files(folder: Path = ROOT / "tests") -> list[Path]:
    """Files with tests marked ``gpu``; the others would only be imported."""
    return sorted(p for p in folder.rglob("test_*.py") if MARK in p.read_text(encoding="utf-8"))


def run_tests(files: Sequence[Path], seconds: float, log: Callable[[str], None]) -> TestResults:
    """Runs the tests marked ``gpu`` in these files; each line goes to ``log`` as it comes."""
    results = TestResults()
    if seconds <= 0:
        return results
    # A warning of a build that the tests have not met is no fault of a kernel: pytest lists it.
    command = [sys.executable, "-u", "-m", "pytest", "-v", "-m", "gpu", "-W", "default"]
    process = subprocess.Popen(
        [*command, "-p", "no:cacheprovider", *map(str, files)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    stopped: list[bool] = []
    timer = Timer(seconds, lambda: (stopped.append(True), _kill(process)))
    timer.start()
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            results.read(line)
            log(line.rstrip())
    timer.cancel()
    results.code = None if stopped else process.returncode
    return results


def _kill(process: subprocess.Popen[str]) -> None:
    # Also the processes that a test has started.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
