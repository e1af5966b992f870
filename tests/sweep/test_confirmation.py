"""The choice of a search on dev, by the report's own comparison."""

from statistics import fmean

import pytest

from mtl_sharing.report.analysis.comparisons import BOOTSTRAP, compare
from mtl_sharing.report.analysis.predictions import RunPredictions
from mtl_sharing.report.inputs.groups import make_groups
from mtl_sharing.report.inputs.runs import read_runs
from mtl_sharing.sweep.output.confirmation import confirm_on_dev
from report_runs import Maker, shifted


@pytest.fixture
def make_run(hybrid_run, tmp_path) -> Maker:
    return Maker(hybrid_run.folder, tmp_path / "sweep")


def test_the_regimes_are_paired_by_seed_and_compared_as_a_report_does(make_run):
    separate = [make_run(str(n), "I12", n, answers=shifted(n)) for n in range(3)]
    chosen = [make_run(str(n), "S6-I6", n - 8, answers=shifted(n)) for n in (9, 10, 11)]
    dev = confirm_on_dev(chosen, separate)
    paired = read_runs([*separate[1:], *chosen[:2]]).runs
    other, group = make_groups(paired)
    expected = compare(group, other, RunPredictions.of([group, other]))[0]
    assert (dev.seeds, dev.test) == ((1, 2), BOOTSTRAP)
    difference = expected.difference
    assert (dev.difference, dev.low, dev.high, dev.p) == (
        difference.mean, difference.low, difference.high, difference.p,
    )  # fmt: skip
    assert dev.reference == fmean(run.result["performance"] for run in other.runs)
    assert dev.performance == fmean(run.result["performance"] for run in group.runs)
    assert dev.kept == dev.performance / dev.reference


def test_without_a_common_seed_there_is_no_test(make_run):
    separate = [make_run("0", "I12", 0)]
    chosen = [make_run("1", "S6-I6", 1)]
    dev = confirm_on_dev(chosen, separate)
    assert (dev.seeds, dev.difference, dev.p) == ((), None, None)
    assert dev.note == "no seed that both have"
    assert dev.kept == pytest.approx(1.0)


def test_a_run_that_is_gone_is_left_out(make_run, tmp_path):
    separate = [make_run(str(n), "I12", n, answers=shifted(n)) for n in range(2)]
    chosen = [make_run("2", "S6-I6", 1, answers=shifted(5)), tmp_path / "sweep" / "gone"]
    assert confirm_on_dev(chosen, separate).seeds == (1,)
    assert confirm_on_dev([tmp_path / "sweep" / "gone"], separate) is None
    assert confirm_on_dev([], separate) is None
