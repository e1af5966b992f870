"""Builds truth tables in the background: every missing training, in processes of their own.

A start goes on where the last one ended, also after a kill: a finished training is in the table or
in its folder, a running one has its checkpoints there.
"""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from threading import Event

from benchmarks.search.suites import Suite
from benchmarks.search.tables import Cell, Trained, TruthTable, missing_cells, read_table
from mtl_sharing.errors import UserError
from mtl_sharing.utils.locks import Locked, exclusive

Train = Callable[[Cell, Path], Trained]
"""Trains a split with a seed in a folder, or goes on there."""
Log = Callable[[str], None]
_POLL_S = 0.5


class TrainingFailed(Exception):
    """A training ended without a result."""


def made_with(suite: Suite) -> str:
    """The settings and versions that a table's trainings have in common, in one line."""
    from mtl_sharing.config import Config
    from mtl_sharing.config.compose import compose_with_texts
    from mtl_sharing.config.identity import NOT_IN_TRIAL, Decides, without
    from mtl_sharing.data.tasks.task import TaskConfig
    from mtl_sharing.job.baseline_key import RESULTS_VERSION
    from mtl_sharing.utils.nested import difference

    composed = compose_with_texts(suite.overrides(0, 0))[0]
    # Differences from the defaults, so that a table survives a new key of the config.
    plain = Config(task={name: TaskConfig() for name in composed.task})
    changed = difference(asdict(plain), asdict(composed))
    settings = without(changed, NOT_IN_TRIAL | {Decides.SEED, Decides.DATA_FOLDER})
    text = json.dumps(settings, sort_keys=True, default=str)
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    return f"{' '.join(suite.settings)}; settings {digest}; results version {RESULTS_VERSION}"


def open_table(path: Path, made: str) -> TruthTable:
    """The table that a build adds to.

    Raises:
        UserError: the table was made with other settings, or is damaged.
    """
    if not path.exists():
        return TruthTable(path, made)
    table = read_table(path)
    if table.made_with != made:
        allowed = f"{made!r}; remove the file to build the table anew"
        raise UserError(f"{path}:1", repr(table.made_with), allowed)
    return table


@contextmanager
def only_builder(folder: Path) -> Iterator[None]:
    """Keeps a second build of the same table out; raises UserError there."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with exclusive(folder / ".lock", wait=False):
            yield
    except Locked:
        raise UserError("--build", f"{folder}, which is in use", "one build at a time") from None


@dataclass
class Builder:
    """Trains what a table lacks, and replaces the table's file after each training.

    Attributes:
        folder: gets a folder for each training, which goes once the table has its result.
        train: raises TrainingFailed.
        hours: no training begins after so many.
        stop: set where running trainings should save their state and end.
    """

    table: TruthTable
    suite: Suite
    folder: Path
    train: Train
    log: Log
    hours: float | None = None
    stop: Event = field(default_factory=Event)
    _began: float = field(default_factory=time.monotonic)

    def run(self, seeds: int, workers: int) -> int:
        """Trains with seeds 0 to ``seeds - 1``; returns how many trainings failed."""
        cells = list(missing_cells(self.table, self.suite, seeds))
        total = seeds * len(self.suite.splits)
        self.log(f"{self.suite.name}: {total - len(cells)} of {total} trainings done")
        executor = ThreadPoolExecutor(workers)
        try:
            futures = {executor.submit(self._train_in_time, cell): cell for cell in cells}
            return self._collect(futures)
        except BaseException:
            self.stop.set()
            raise
        finally:
            executor.shutdown(wait=True, cancel_futures=True)

    def _collect(self, futures: Mapping[Future[Trained | None], Cell]) -> int:
        done = failed = 0
        for future in as_completed(futures):
            cell = futures[future]
            try:
                trained = future.result()
            except TrainingFailed as error:
                self.log(f"split {cell[0]}, seed {cell[1]} failed: {error}")
                failed += 1
                continue
            if trained is not None:
                done += 1
                self._add(cell, trained)
                self._log_ended(cell, trained, done, len(futures) - done)
        return failed

    def _train_in_time(self, cell: Cell) -> Trained | None:
        late = self.hours is not None and time.monotonic() - self._began > self.hours * 3600
        if late or self.stop.is_set():
            return None
        return self.train(cell, self._run_folder(cell))

    def _run_folder(self, cell: Cell) -> Path:
        return self.folder / f"{cell[0]}-{cell[1]}"

    def _add(self, cell: Cell, trained: Trained) -> None:
        self.table.trained[cell] = trained
        self.table.write()
        shutil.rmtree(self._run_folder(cell), ignore_errors=True)

    def _log_ended(self, cell: Cell, trained: Trained, done: int, left: int) -> None:
        left_h = (time.monotonic() - self._began) / done * left / 3600
        self.log(
            f"split {cell[0]}, seed {cell[1]}: {trained.performance:.4f} in "
            f"{trained.seconds:.0f} s; {left} left, about {left_h:.1f} h"
        )


@dataclass(frozen=True)
class ProcessTrainer:
    """Trains each split in a process of its own, with low priority.

    Attributes:
        data: overrides that name the data's place.
    """

    suite: Suite
    data: tuple[str, ...]
    stop: Event

    def __call__(self, cell: Cell, folder: Path) -> Trained:
        """Trains, or goes on, and reads the result."""
        from benchmarks.search.training import read_trained

        overrides = [*self.suite.overrides(*cell), *self.data]
        words = [sys.executable, "-m", "benchmarks.search.training", str(folder), *overrides]
        with subprocess.Popen(
            words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            error = self._wait(process)
        if process.returncode:
            lines = error.strip().splitlines()
            raise TrainingFailed(lines[-1] if lines else f"exit code {process.returncode}")
        return read_trained(folder)

    def _wait(self, process: "subprocess.Popen[str]") -> str:
        """The errors of a process at its end; asks it to stop where the build does."""
        while True:
            try:
                return process.communicate(timeout=_POLL_S)[1]
            except subprocess.TimeoutExpired:
                if self.stop.is_set():
                    process.terminate()


@contextmanager
def _terminable() -> Iterator[None]:
    """Treats SIGTERM as Ctrl-C within the block, so that trainings save their state."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def build(suite: Suite, path: Path, folder: Path, options: Namespace, log: Log) -> int:
    """Builds a table; returns how many trainings failed.

    Args:
        folder: of the trainings that run.
        options: ``seeds``, ``workers``, ``hours`` and ``data_dir`` of the command.
    """
    if suite.needs_data and options.data_dir is None:
        raise UserError("--data-dir", "none", f"the folder of the data of {suite.name}")
    data = (f"data_dir={options.data_dir}",) if suite.needs_data else ()
    with only_builder(folder), _terminable():
        table, stop = open_table(path, made_with(suite)), Event()
        trainer = ProcessTrainer(suite, data, stop)
        builder = Builder(table, suite, folder, trainer, log, options.hours, stop)
        return builder.run(options.seeds or suite.seeds, options.workers)
