"""A sweep's progress on the console: a live line on a terminal, and a log line for each trial."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState
from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mtl_sharing.sweep.study.attributes import METRICS, REASON, REGIME, SECONDS, is_reference
from mtl_sharing.utils.progress import set_training_caption

log = logging.getLogger(__name__)
_NAMES = {TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass
class SweepConsole:
    """Shows trials as they begin and end.

    Attributes:
        total: trials in all, where that is known.
        inline: trials run in this process and show their own bar.
    """

    total: int | None
    inline: bool
    _best: str = ""
    _counts: Counter[TrialState] = field(default_factory=Counter)
    _duplicates: int = 0
    _running: set[int] = field(default_factory=set)
    _bar: Progress | None = None

    def __enter__(self) -> "SweepConsole":
        if get_console().is_terminal and not self.inline:
            columns = (TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.description}"), transient=True)
            self._task = self._bar.add_task("", total=self.total)
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        set_training_caption("training")
        if self._bar:
            self._bar.stop()

    def known(self, trials: Sequence[FrozenTrial]) -> None:
        """Counts the trials of earlier starts of the sweep."""
        self._counts.update(trial.state for trial in trials if trial.state.is_finished())
        self._show()

    def started(self, number: int) -> None:
        """Shows that a trial's job was started."""
        self._running.add(number)
        total = "" if self.total is None else f" of {self.total}"
        set_training_caption(f"trial {number}{total}  {self._summary()}")
        self._show()

    def ended(self, trial: FrozenTrial, reference: float | None, better: bool) -> None:
        """Logs how a trial ended."""
        self._running.discard(trial.number)
        self._counts[trial.state] += 1
        if better:
            self._best = f"best {trial.user_attrs.get(REGIME)}"
        log.info("%s%s", _line(trial, reference), "  best so far" if better else "")
        self._show()

    def duplicate(self, number: int, earlier: int) -> None:
        """Logs that a trial copies an earlier one's result."""
        log.info("trial %d  equals trial %d", number, earlier)
        self._duplicates += 1
        self._show()

    def _summary(self) -> str:
        parts = [] if self.inline else [f"{len(self._running)} running"]
        parts += [f"{self._counts[s]} {name}" for s, name in _NAMES.items() if self._counts[s]]
        return "  ".join([*parts, self._best])

    def _show(self) -> None:
        if self._bar:
            done = self._counts.total() + self._duplicates
            self._bar.update(self._task, completed=done, description=self._summary())


def _line(trial: FrozenTrial, reference: float | None) -> str:
    """A trial in one line: regime, parameters, outcome, seconds."""
    regime = trial.user_attrs.get(REGIME, "?") + (" (reference)" if is_reference(trial) else "")
    params = " ".join(f"{name.rpartition('.')[2]}={_short(v)}" for name, v in trial.params.items())
    seconds = trial.user_attrs.get(SECONDS)
    parts = [f"trial {trial.number}", regime, params, _outcome(trial, reference)]
    return "  ".join(filter(None, [*parts, "" if seconds is None else f"{seconds:.0f} s"]))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _outcome(trial: FrozenTrial, reference: float | None) -> str:
    if trial.state != TrialState.COMPLETE:
        reason = trial.user_attrs.get(REASON)
        return _NAMES.get(trial.state, trial.state.name) + (f": {reason}" if reason else "")
    metrics = trial.user_attrs[METRICS]
    parts = [f"performance {metrics['performance']:.4f}"]
    if reference:
        parts.append(f"kept {metrics['dev_performance'] / reference:.1%}")
    if metrics.get("memory") is not None:
        parts.append(f"memory {metrics['memory']:.2f}")
    return "  ".join(parts)
