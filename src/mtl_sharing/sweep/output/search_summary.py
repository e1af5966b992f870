"""Writes a search's files when it ends or is interrupted, and prints its answer."""

import shlex
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from optuna.trial import FrozenTrial, TrialState

from mtl_sharing.plotting.answer import draw_answer_file
from mtl_sharing.run_folder.decision import Decision, DevComparison, RegimeEstimate
from mtl_sharing.run_folder.decision_file import decision_record, write_decision
from mtl_sharing.score.clock import clock_of_rows
from mtl_sharing.sweep.jobs.launcher import JobPool, Measurement, measure_best, read_measurement
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.output.answer import answer_table
from mtl_sharing.sweep.output.confirmation import confirm_on_dev
from mtl_sharing.sweep.output.printing import (
    measured_text,
    split_text,
    state_counts,
)
from mtl_sharing.sweep.space.spec import SweepSpec
from mtl_sharing.sweep.study.attributes import METRICS, REGIME, SAME_AS
from mtl_sharing.sweep.study.records import train_command, trial_flags, write_best, write_table
from mtl_sharing.sweep.study.study import folder_lock
from mtl_sharing.utils.files import short_path
from mtl_sharing.utils.summary import Lines, Summary, print_summary

# Below, a performance does not show it.
_SEEN = 0.00005
_RAW = "correlations as (r + 1) / 2"
_SAME_DEV = "dev made the choice, so it is no confirmation"


def end_search(reporter: StudyReporter, jobs: JobPool, complete: bool) -> None:
    """Prints the answer, and writes sweep.csv, decision.json, best.yaml and sweep.png.

    The answer comes first: a disk that is full does not hide it.

    Args:
        complete: the search came to its end; then the chosen regime is measured, too.
    """
    study, search = reporter.study, reporter.search
    trials = study.trials()
    if search is None:
        return
    decision = search.decide(trials)
    if decision is None:
        print_summary(_without_answer(study.folder))
    else:
        chosen, separate = decision.regimes[decision.chosen], decision.reference
        if chosen is not separate:
            decision = replace(decision, dev=_on_dev(reporter, trials, chosen, separate))
        measured = _measurement(reporter, jobs, chosen, complete)
        heading = f"{split_text(trials[separate.trials[0]]) or 'estimated'}, over seeds:"
        lines = _lines(trials, decision, measured, search.unknown_noise(trials))
        print_summary(_summary(study.folder, decision, heading, lines))
    if trials:
        _write_files(reporter, decision)


def _without_answer(folder: Path) -> Summary:
    text = "no answer yet: separate models have not been trained"
    return Summary(text, record={"sentence": None, "folder": str(folder)})


def _summary(folder: Path, decision: Decision, heading: str, lines: Lines) -> Summary:
    short = short_path(folder)
    files = f"{short} (sweep.csv, sweep.png, decision.json){_more(decision)}"
    return Summary(
        answer=decision.sentence,
        contents=[answer_table(decision, heading)],
        details=lines,
        files=[("search", files)],
        commands=[train_command(short), shlex.join(["mtl-report", str(short)])],
        record={**decision_record(decision), "folder": str(folder)},
    )


def _write_files(reporter: StudyReporter, decision: Decision | None) -> None:
    study, spec, references = reporter.study, reporter.spec, reporter.references()
    write_table(study, spec.objectives, references)
    if decision is None:
        return
    best = _best_config(spec, decision.regimes[decision.chosen], references.dev)
    with folder_lock(study.folder):  # another sweep on this study may end at the same moment
        write_decision(study.folder, decision)
        write_best(study, best, _facts(decision))
        draw_answer_file(study.folder, study.name, decision)


def _on_dev(
    reporter: StudyReporter,
    trials: Sequence[FrozenTrial],
    chosen: RegimeEstimate,
    separate: RegimeEstimate,
) -> DevComparison | None:
    config, folder = reporter.spec.config, reporter.study.folder
    own, other = (_folders(folder, trials, one) for one in (chosen, separate))
    notes = [_RAW] * (config.score.pearson == "raw")
    notes += [_SAME_DEV] * (not config.suite.select_fraction)
    return confirm_on_dev(own, other, notes)


def _folders(folder: Path, trials: Sequence[FrozenTrial], one: RegimeEstimate) -> list[Path]:
    """The run folders of a regime's trials."""
    return [folder / str(trials[n].user_attrs.get(SAME_AS, n)) for n in one.trials]


def _measurement(
    reporter: StudyReporter, jobs: JobPool, chosen: RegimeEstimate, complete: bool
) -> Measurement | None:
    """The times of the chosen regime's first trial beside separate models'; None if unknown."""
    if chosen.point is None or not chosen.trials:
        return None
    study, number = reporter.study, chosen.trials[0]
    if complete and reporter.spec.config.score.clock == "flops":
        return measure_best(jobs, study, study.trial(number))
    return read_measurement(study.folder, number)


def _best_config(
    spec: SweepSpec, chosen: RegimeEstimate, reference: float | None
) -> dict[str, object]:
    """A config of the chosen regime, with the seed of the sweep's own config."""
    overrides = (
        spec.reference_overrides if chosen.point is None else spec.overrides(dict(chosen.point))
    )
    return spec.standalone_config(overrides, reference)


def _facts(decision: Decision) -> dict[str, str]:
    facts = {"regime": decision.regimes[decision.chosen].label, "answer": decision.sentence}
    return facts if decision.dev is None else facts | {"on dev": decision.dev.text}


def _lines(
    trials: Sequence[FrozenTrial],
    decision: Decision,
    measured: Measurement | None,
    unknown: Sequence[int],
) -> Lines:
    """Labelled lines on what the answer rests on.

    Args:
        unknown: trials that tell nothing of the choice of held-out examples.
    """
    lines = []
    if decision.dev is not None:
        lines.append(("on dev", decision.dev.text))
    elif decision.chosen and decision.regimes[decision.chosen].trials:
        lines.append(("on dev", "not compared: the runs of the one or the other cannot be read"))
    if text := _held_out(decision, unknown):
        lines.append(("held out", text))
    if flagged := _flagged(trials):
        lines.append(("flagged", flagged))
    clock = clock_of_rows(trial.user_attrs[METRICS] for trial in _complete(trials))
    if clock.machines:
        lines.append(("clock", str(clock)))
    if measured is not None:
        lines.append(("measured", f"separate models take {measured_text(measured)}"))
    return [*lines, ("trials", state_counts(trials))]


def _held_out(decision: Decision, unknown: Sequence[int]) -> str:
    """How much the choice of held-out examples counts, and which trials tell nothing of it."""
    parts = []
    if decision.held_out >= _SEEN:
        moved = f"{decision.held_out:.4f} (standard deviation)"
        parts.append(f"which examples choose moves a regime's performance by {moved}")
    if unknown:
        parts.append(f"not known from trials {', '.join(map(str, unknown))}, whose predictions on "
                     "dev are missing, damaged or of one class")  # fmt: skip
    return "; ".join(parts)


def _complete(trials: Iterable[FrozenTrial]) -> list[FrozenTrial]:
    return [t for t in trials if t.state == TrialState.COMPLETE and METRICS in t.user_attrs]


def _flagged(trials: Iterable[FrozenTrial]) -> str:
    """The regimes that failed or have a flagged task, each with its reasons over all seeds."""
    of_regime = defaultdict[str, list[FrozenTrial]](list)
    for trial in trials:
        of_regime[str(trial.user_attrs.get(REGIME))].append(trial)
    reasons = {regime: _reasons(own) for regime, own in of_regime.items()}
    return "; ".join(f"{regime} ({reason})" for regime, reason in reasons.items() if reason)


def _reasons(trials: Sequence[FrozenTrial]) -> str:
    """The flags of a regime over all its trials."""
    metrics = [trial.user_attrs.get(METRICS) or {} for trial in trials]
    merged = {
        name: " ".join(dict.fromkeys(" ".join(str(m.get(name) or "") for m in metrics).split()))
        for name in ("at_floor", "untrained")
    }
    failed = "failed" if any(trial.state == TrialState.FAIL for trial in trials) else ""
    return ", ".join(filter(None, [failed, trial_flags(merged)]))


def _more(decision: Decision) -> str:
    """The number of regimes that the table leaves out; empty if it has all."""
    count = len(decision.regimes) - len(decision.shown())
    return f"; {count} more regime{'' if count == 1 else 's'} in decision.json" if count else ""
