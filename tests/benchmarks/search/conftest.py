"""A suite of four splits whose trainings are made up."""

import numpy as np
import pytest

from benchmarks.search.problems import Draw, Problem
from benchmarks.search.suites import Suite
from benchmarks.search.tables import Trained, TruthTable

PERCENTS = (50, 100)


@pytest.fixture
def suite():
    """Splits 0 to 3, two seeds each."""
    return Suite("small", ("suite=small",), layers=3, seeds=2)


@pytest.fixture
def trained():
    """Makes a training's result from its split and seed."""

    def make(split, seed):
        end = round(0.8 - 0.01 * split + 0.001 * seed, 3)
        return Trained(
            end, 0.7, 0.3, 0.31, 7.5, 1 - split / 5, 1.0, 1.0, {50: round(end / 2, 4), 100: end}
        )

    return make


@pytest.fixture
def table(tmp_path, suite, trained):
    """The whole table of the suite."""
    cells = {(split, seed): trained(split, seed) for split in suite.splits for seed in range(2)}
    return TruthTable(tmp_path / "small.csv", "suite=small", cells)


@pytest.fixture
def draw():
    """Makes the draw of four splits, by their performances and those at half of the training."""

    def make(performances, halves):
        columns = np.array(performances)[:, None].repeat(3, axis=1)
        evaluations = np.stack([np.array(halves)[:, None].repeat(3, axis=1), columns], axis=2)
        costs = np.array([1.0, 0.8, 0.6, 0.4])
        problem = Problem(range(4), columns[:, 0], costs, np.ones(4))
        return Draw(problem, columns, 0.0, 0, evaluations, PERCENTS)

    return make
