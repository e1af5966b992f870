"""The table at the end of a plain ``-m``; tests/cli/test_train.py runs one."""

import pytest
from omegaconf import OmegaConf

from mtl_sharing.cli.runs_table import RunsTable
from mtl_sharing.sweep.settings import SweeperConfig

BASIC = {"_target_": "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"}


def end(folder, sweeper):
    node = {"hydra": {"sweep": {"dir": str(folder)}, "sweeper": sweeper}}
    RunsTable().on_multirun_end(OmegaConf.create(node))


@pytest.fixture
def runs(separate_run, hybrid_run, tmp_path):
    folder = tmp_path / "two words"
    folder.mkdir()
    for number, run in enumerate((separate_run, hybrid_run)):
        (folder / str(number)).symlink_to(run.folder)
    return folder


def test_runs_that_have_ended_are_compared(runs, capsys):
    end(runs, BASIC)
    table = capsys.readouterr().out
    assert "I12" in table and "S6-I6" in table and "kept" in table
    assert f"mtl-report '{runs}'" in table


def test_where_no_run_has_ended_nothing_is_printed(tmp_path, capsys):
    end(tmp_path, BASIC)
    end(tmp_path / "missing", BASIC)
    assert capsys.readouterr().out == ""


def test_a_sweep_has_a_table_of_its_own(runs, capsys):
    end(runs, OmegaConf.structured(SweeperConfig()))
    assert capsys.readouterr().out == ""
