"""The table of runs with and without a teacher."""

import pytest

from benchmarks import distillation
from benchmarks.distillation import LOSSES, main, table_rows


def results_of(values):
    return {key: {"performance": kept / 2, "kept": kept} for key, kept in values.items()}


def test_a_row_has_means_with_intervals_and_gains_within_seeds():
    kept = {("S12", "labels", s): k for s, k in ((1, 0.90), (2, 1.00), (3, 0.95))}
    kept |= {("S12", "annealed", s): k + 0.01 * s for (_, _, s), k in kept.items()}
    first, second = table_rows(results_of(kept))
    # Student's t of 2 degrees of freedom is 4.303: times 5 and 1 over the root of 3.
    assert first == ("S12", "labels", "3", "0.475 ± 0.062", "95.0 ± 12.4", "")
    assert second[:3] == ("S12", "annealed", "3") and second[5] == "+2.0 ± 2.5"


def test_one_seed_has_no_interval_and_a_missing_one_no_gain():
    kept = {("S12", "labels", 1): 0.9, ("S12", "constant", 1): 0.8, ("S6", "constant", 2): 0.7}
    assert list(table_rows(results_of(kept))) == [
        ("S12", "labels", "1", "0.450", "90.0", ""),
        ("S12", "constant", "1", "0.400", "80.0", "-10.0"),
        ("S6", "constant", "1", "0.350", "70.0", ""),
    ]


def test_runs_differ_in_plan_seed_and_teacher_alone(monkeypatch, tmp_path, capsys):
    called = {}

    def train(overrides, folder):
        called[folder] = overrides
        return {"performance": 0.5, "kept": 1.0}

    monkeypatch.setattr(distillation, "train", train)
    main(["--plans", "S2", "--seeds", "4", "--out", str(tmp_path), "--", "trainer.max_steps=3"])
    assert len(called) == len(LOSSES) and capsys.readouterr().out.count("| S2 |") == len(LOSSES)
    plain, *taught = called.values()
    assert {"sharing.plan=S2", "seed=4", "trainer.max_steps=3"} <= set(plain)
    assert [set(words) - set(plain) for words in taught] == [set(LOSSES[n]) for n in LOSSES][1:]
    with pytest.raises(SystemExit):
        main(["--losses", "other"])
