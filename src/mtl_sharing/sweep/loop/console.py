"""What a person sees of a sweep: a live line on a terminal, a line for each trial anywhere."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from optuna.trial import FrozenTrial, TrialState
from rich import get_console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mtl_sharing.sweep.study.study import FIGURES, REASON, REGIME, SECONDS, is_reference
from mtl_sharing.utils.progress import caption

log = logging.getLogger(__name__)
_WORDS = {TrialState.COMPLETE: "", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}


@dataclass
class Report:
    """Tells of trials as they begin and end.

    Attributes:
        wanted: trials in all, where that is known.
        inline: trials run in this process and show their own bar.
    """

    wanted: int | None
    inline: bool
    objectives: Sequence[str]
    _best: str = ""
    _counts: dict[TrialState, int] = field(default_factory=dict)
    _answered: int = 0
    _running: set[int] = field(default_factory=set)
    _bar: Progress | None = None

    def __enter__(self) -> "Report":
        if get_console().is_terminal and not self.inline:
            columns = (TextColumn("sweep"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
            self._bar = Progress(*columns, TextColumn("{task.description}"), transient=True)
            self._task = self._bar.add_task("", total=self.wanted)
            self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        caption("training")
        if self._bar:
            self._bar.stop()

    def known(self, trials: Sequence[FrozenTrial]) -> None:
        """What earlier starts of the sweep have done."""
        for trial in trials:
            if trial.state.is_finished():
                self._counts[trial.state] = self._counts.get(trial.state, 0) + 1
        self._show()

    def started(self, number: int) -> None:
        """A trial's job was placed."""
        self._running.add(number)
        of = "" if self.wanted is None else f" of {self.wanted}"
        caption(f"trial {number}{of}  {self._summary()}")
        self._show()

    def ended(self, trial: FrozenTrial, reference: float | None, better: bool) -> None:
        """A trial was told to the study."""
        self._running.discard(trial.number)
        self._counts[trial.state] = self._counts.get(trial.state, 0) + 1
        if better:
            self._best = f"best {trial.user_attrs.get(REGIME)}"
        log.info("%s%s", line_of(trial, reference), "  best so far" if better else "")
        self._show()

    def answered(self, number: int, earlier: int) -> None:
        """A trial equals an earlier one."""
        log.info("trial %d  equals trial %d", number, earlier)
        self._answered += 1
        self._show()

    def _summary(self) -> str:
        words = [f"{len(self._running)} running"] if not self.inline else []
        for state, name in ((TrialState.PRUNED, "pruned"), (TrialState.FAIL, "failed")):
            if self._counts.get(state):
                words.append(f"{self._counts[state]} {name}")
        return "  ".join([*words, self._best])

    def _show(self) -> None:
        if self._bar:
            done = sum(self._counts.values()) + self._answered
            self._bar.update(self._task, completed=done, description=self._summary())


def line_of(trial: FrozenTrial, reference: float | None) -> str:
    """A trial in one line: regime, what was drawn, what came of it."""
    attributes = trial.user_attrs
    regime = attributes.get(REGIME, "?") + (" (reference)" if is_reference(trial) else "")
    drawn = " ".join(f"{name.rpartition('.')[2]}={_short(v)}" for name, v in trial.params.items())
    words = [f"trial {trial.number}", regime, drawn, _outcome(trial, reference)]
    seconds = attributes.get(SECONDS)
    return "  ".join(filter(None, [*words, "" if seconds is None else f"{seconds:.0f} s"]))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _outcome(trial: FrozenTrial, reference: float | None) -> str:
    found = trial.user_attrs.get(FIGURES) or {}
    if trial.state != TrialState.COMPLETE:
        reason = trial.user_attrs.get(REASON)
        return _WORDS.get(trial.state, trial.state.name) + (f": {reason}" if reason else "")
    words = [f"performance {found['performance']:.4f}"]
    if reference:
        words.append(f"kept {found['dev_performance'] / reference:.1%}")
    if found.get("memory") is not None:
        words.append(f"memory {found['memory']:.2f}")
    return "  ".join(words)
