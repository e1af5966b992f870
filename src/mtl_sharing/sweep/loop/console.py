"""A sweep on the console: a live line on a terminal, and a log line for each trial."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mtl_sharing.sweep.space.space import point_text
from mtl_sharing.sweep.study import attributes
from mtl_sharing.sweep.study.attributes import is_reference
from mtl_sharing.sweep.study.records import References, trial_flags
from mtl_sharing.utils.progress import set_training_caption
from mtl_sharing.utils.terminal import is_quiet, log_console

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
        if log_console().is_terminal and not (self.inline or is_quiet()):
            columns = (TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.description}"),
                                 console=log_console(), transient=True)  # fmt: skip
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

    def ended(self, trial: FrozenTrial, references: References, remark: str, best: str) -> None:
        """Logs how a trial ended, with a remark; ``best`` replaces what is best so far."""
        self._running.discard(trial.number)
        self._counts[trial.state] += 1
        self._best = best or self._best
        log.info("%s", "  ".join(filter(None, [_line(trial, references), remark])))
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


def _line(trial: FrozenTrial, references: References) -> str:
    """A trial in one line: regime, parameters, outcome, seconds."""
    regime = trial.user_attrs.get(attributes.REGIME, "?")
    regime += " (reference)" if is_reference(trial) else ""
    seconds = trial.user_attrs.get(attributes.SECONDS)
    seed = trial.user_attrs.get(attributes.SEED)
    parts = [f"trial {trial.number}", regime, point_text(trial.params)]
    parts.append("" if seed is None else f"seed {seed}")
    parts += [_outcome(trial, references), "" if seconds is None else f"{seconds:.0f} s"]
    return "  ".join(filter(None, parts))


def _outcome(trial: FrozenTrial, references: References) -> str:
    """How a trial ended; every metric is of the split that selects, which is named."""
    if trial.state != TrialState.COMPLETE:
        reason = trial.user_attrs.get(attributes.REASON)
        return _NAMES.get(trial.state, trial.state.name) + (f": {reason}" if reason else "")
    metrics = trial.user_attrs[attributes.METRICS]
    parts = [f"on {metrics['split']}:"] if "split" in metrics else []
    parts.append(f"performance {metrics['performance']:.4f}")
    if (floor := metrics.get("floor_performance")) is not None:
        parts.append(f"floor {floor:.4f}")
    if (kept := references.kept(metrics))["kept"] is not None:
        above = kept["kept_above_floor"]
        parts.append(f"kept {kept['kept']:.1%}")
        parts.append(f"kept above floor {'-' if above is None else f'{above:.1%}'}")
    if metrics.get("memory") is not None:
        parts.append(f"memory {metrics['memory']:.2f}")
    flag = trial_flags(metrics)
    return "  ".join([*parts, f"[{flag}]"] if flag else parts)
