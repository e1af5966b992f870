"""What the end of a search writes and prints, from a made-up answer."""

from dataclasses import replace
from types import SimpleNamespace

import pandas as pd
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from mtl_sharing.run_folder.decision_file import read_decision
from mtl_sharing.sweep.loop.console import _line
from mtl_sharing.sweep.loop.tell import StudyReporter
from mtl_sharing.sweep.output import search_summary
from mtl_sharing.sweep.output.search_summary import end_search
from mtl_sharing.sweep.study.attributes import METRICS, REFERENCE, REGIME, SAME_AS, SEED
from mtl_sharing.sweep.study.records import NO_REFERENCES, References, rows
from search_reports import DEV, SEPARATE, decision, split

MEASURED = {"trial": 2, "time": {"train": 1.5, "predict": 1.25}}


def trial(number, shared, seed, performance=0.8, **attributes):
    """A complete training of a search; shared is None for separate models."""
    metrics = {"performance": performance, "dev_performance": 0.9, "parameters": 100, "time": 0.5,
               "memory": 0.5, "split": "select"}  # fmt: skip
    attributes = {METRICS: metrics, SEED: seed, REGIME: "S6-I6", **attributes}
    if shared is None:
        attributes |= {REFERENCE: True, REGIME: "I12"}
    point = {} if shared is None else {"split": shared}
    one = create_trial(params=point, distributions={n: IntDistribution(0, 12) for n in point},
                       user_attrs=attributes, value=1.0)  # fmt: skip
    one.number = number
    return one


TRIALS = [trial(0, None, 0), trial(1, None, 3, 0.82), trial(2, 6, 0), trial(3, 6, 3),
          trial(4, 9, 0, **{SAME_AS: 2}), trial(5, 6, 1)]  # fmt: skip
CHOSEN = split(6, 0.93, (0.8, 0.8, 0.8), trials=(2, 3, 5), seeds=(0, 3, 1))
OTHER = split(9, 0.3, (0.7,), trials=(4,))


class Study:
    """A study with fixed trials."""

    def __init__(self, folder, trials=TRIALS):
        self.folder, self.name, self._trials = folder, "mine", trials
        self.study = SimpleNamespace(directions=[0])

    def trials(self):
        return self._trials

    def trial(self, number):
        return self._trials[number]


class Spec:
    """The overrides of points, and configs that repeat them."""

    objectives = ("keep",)
    options = SimpleNamespace(reference=True)
    reference_overrides = ("sharing=individual",)
    config = SimpleNamespace(
        score=SimpleNamespace(clock="flops", pearson="unit"),
        suite=SimpleNamespace(select_fraction=0.1),
    )

    def overrides(self, point):
        return [f"split={point['split']}"]

    def standalone_config(self, overrides, reference):
        return {"overrides": list(overrides), "reference": reference}


def reporter_of(folder, answer, trials=TRIALS):
    count = 0 if answer is None else answer.trainings
    standing = SimpleNamespace(state=SimpleNamespace(trainings=(None,) * count))
    search = SimpleNamespace(
        decide=lambda trials, foresee=True: answer,
        standing=lambda trials: standing,
        unknown_noise=lambda trials: getattr(reporter_of, "unknown", []),
    )
    return StudyReporter(Study(folder, trials), Spec(), None, None, None, search)


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """Ends a search with an answer; the second value has what was done meanwhile."""
    calls = {}

    def confirm(chosen, separate, notes):
        calls["notes"] = notes
        calls["confirmed"] = [path.name for path in chosen], [path.name for path in separate]
        return DEV

    def measure(jobs, study, best):
        calls["measured"] = best.number
        return MEASURED

    monkeypatch.setattr(search_summary, "confirm_on_dev", confirm)
    monkeypatch.setattr(search_summary, "measure_best", measure)
    monkeypatch.setattr(search_summary, "draw_answer_file", lambda *arguments: None)

    def end(answer, complete=True):
        end_search(reporter_of(tmp_path, answer), None, complete)
        return tmp_path, calls

    return end


def answer_of(regimes=(SEPARATE, CHOSEN, OTHER), chosen=1, **changes):
    made = {"dev": None, "regimes": regimes, "chosen": chosen, "following": (2, 1)}
    return decision(**made | changes)


def test_the_answer_is_written_printed_confirmed_and_measured(ended, capsys):
    folder, calls = ended(answer_of())
    printed = capsys.readouterr().out
    written = read_decision(folder)
    assert written.dev == DEV and written.regimes[1] == CHOSEN
    assert calls == {"confirmed": (["2", "3", "5"], ["0", "1"]), "measured": 2, "notes": []}
    for text in (f"{written.sentence}\n\non select", f"on dev    {DEV.text}", "S6-I6", "chosen",
                 "on select, held out of train to choose by, over seeds:", "1.25 x to predict",
                 "5 complete; 1 more equal to earlier ones"):  # fmt: skip
        assert text in printed
    best = (folder / "best.yaml").read_text()
    assert "split=6" in best and "seed" not in best.partition("overrides")[2]
    assert f"# answer: {written.sentence}" in best and f"# on dev: {DEV.text}" in best


def test_an_interrupted_search_measures_nothing_and_one_of_an_earlier_trial_has_its_folder(ended):
    both = (SEPARATE, replace(OTHER, probability=0.95))
    _, calls = ended(answer_of(regimes=both, following=None), complete=False)
    assert calls == {"confirmed": (["2"], ["0", "1"]), "notes": []}


def test_what_the_dev_line_does_not_show_is_noted(ended, monkeypatch):
    changed = SimpleNamespace(
        score=SimpleNamespace(clock="flops", pearson="raw"),
        suite=SimpleNamespace(select_fraction=0.0),
    )
    monkeypatch.setattr(Spec, "config", changed)
    _, calls = ended(answer_of())
    assert calls["notes"] == [
        "correlations as (r + 1) / 2", "dev made the choice, so it is no confirmation",
    ]  # fmt: skip


def test_runs_that_cannot_be_read_are_told(ended, monkeypatch, capsys):
    monkeypatch.setattr(search_summary, "confirm_on_dev", lambda *arguments: None)
    monkeypatch.setattr(reporter_of, "unknown", [2, 5], raising=False)
    ended(answer_of(held_out=0.0042))
    printed = " ".join(capsys.readouterr().out.split())
    assert "on dev not compared: the runs of the one or the other cannot be read" in printed
    assert "moves a regime's performance by 0.0042 (standard deviation); not known from" in printed
    assert "not known from trials 2, 5, whose predictions on dev are missing" in printed


def test_separate_models_are_neither_confirmed_nor_measured(ended, capsys):
    folder, calls = ended(answer_of(chosen=0))
    assert not calls and read_decision(folder).dev is None
    assert "on dev" not in capsys.readouterr().out
    assert "sharing=individual" in (folder / "best.yaml").read_text()


def test_the_answer_is_printed_also_where_it_cannot_be_written(ended, tmp_path, capsys):
    (tmp_path / "decision.json").mkdir()
    with pytest.raises(OSError, match=r"decision\.json"):
        ended(answer_of())
    assert capsys.readouterr().out.startswith(f"{answer_of().sentence}\n")


def test_before_separate_models_there_is_no_answer(ended, capsys):
    folder, _ = ended(None)
    assert "no answer yet" in capsys.readouterr().out
    assert not (folder / "decision.json").exists()
    assert len(pd.read_csv(folder / "sweep.csv")) == 6


def test_a_row_has_its_seed_and_the_first_trial_of_its_regime(tmp_path):
    table = rows(Study(tmp_path), ("keep",), References(0.81, 0.9))
    assert [row["seed"] for row in table] == [0, 3, 0, 3, 0, 1]
    assert [row["repeat_of"] for row in table] == [None, 0, None, 2, None, 2]
    assert table[2]["kept"] == 0.8 / 0.81
    other = create_trial(params={}, distributions={}, value=1.0)
    assert "seed" not in rows(Study(tmp_path, [other]), ("keep",))[0]


def test_a_trainings_line_shows_its_seed_and_the_remark_the_belief(tmp_path):
    assert "  seed 3  " in _line(TRIALS[3], NO_REFERENCES)
    text = "so far S6-I6 with probability .93"
    assert reporter_of(tmp_path, answer_of())._standing(5) == (text, text)
    two = answer_of(regimes=(SEPARATE,), chosen=0, following=None)
    assert reporter_of(tmp_path, two)._standing(1) == ("", "")


def test_flagged_regimes_are_named():
    failed = SimpleNamespace(user_attrs={REGIME: "S1-I11"}, state=TrialState.FAIL)
    at_floor = trial(1, 3, 0)
    at_floor.user_attrs[METRICS]["at_floor"] = "sts"
    assert search_summary._flagged([*TRIALS, failed, at_floor]) == (
        "S6-I6 (sts at or below a constant answer); S1-I11 (failed)"
    )
    another = trial(1, 3, 1)
    another.user_attrs[METRICS]["at_floor"] = "sst sts"
    assert search_summary._flagged([at_floor, another]) == (
        "S6-I6 (sts, sst at or below a constant answer)"
    )
