"""Progress of a loop: a bar on a terminal, lines in a log elsewhere."""

import logging
from io import StringIO

import pytest
from rich.console import Console

from mtl_sharing.utils import progress
from mtl_sharing.utils.progress import Progress, set_training_caption
from mtl_sharing.utils.terminal import output_options


@pytest.fixture
def lines(monkeypatch, caplog):
    """Reads the log of a loop, which has a line for each advance."""
    monkeypatch.setattr(progress, "LOG_INTERVAL_S", 0.0)
    caplog.set_level(logging.INFO)
    return lambda: caplog.messages


@pytest.fixture
def screen(monkeypatch):
    """A terminal's content."""
    content = StringIO()
    console = Console(file=content, force_terminal=True, width=90)
    monkeypatch.setattr(progress, "log_console", lambda: console)
    return content


def test_a_known_total_gives_the_count_and_the_time_left(lines):
    with Progress("filling", 20, "texts") as bar:
        bar.advance(5)
        bar.advance(15, "loss sst 0.700")
    assert lines()[0].startswith("filling: 5 of 20 texts  ") and lines()[0].endswith(" s left")
    assert lines()[1] == "filling: 20 of 20 texts  loss sst 0.700  0 s left"
    assert bar.done == 20 and bar.rate == pytest.approx(20 / bar.seconds, rel=0.5)


def test_an_unknown_total_gives_the_rate(lines):
    with Progress("predicting", unit="rows") as bar:
        bar.advance(1234)
    (line,) = lines()
    assert line.startswith("predicting: 1,234 rows  ") and line.endswith(" rows/s")


def test_a_resumed_loop_counts_on_and_a_total_may_shrink(lines):
    bar = Progress("training", 30, done=10)
    bar.advance(1)
    bar.advance(1, total=12)
    assert lines()[0].startswith("training: 11 of 30 steps")
    assert lines()[1] == "training: 12 of 12 steps  0 s left"
    assert bar.rate == pytest.approx(2 / bar.seconds, rel=0.5)


def test_lines_are_far_apart(caplog):
    caplog.set_level(logging.INFO)
    with Progress("filling", 99) as bar:
        for _ in range(99):
            bar.advance(1)
    assert caplog.messages == []


def test_trainings_have_a_caption_of_their_own(lines):
    before = set_training_caption("trial 3 of 7")
    Progress(None, 2).advance(1)
    assert set_training_caption(before) == "trial 3 of 7"
    Progress(None, 2).advance(1)
    assert [line.partition(":")[0] for line in lines()] == ["trial 3 of 7", "training"]


@pytest.mark.parametrize(("total", "shown"), [(37, "37/37"), (None, "37 rows")])
def test_a_terminal_shows_a_bar_and_no_lines(screen, lines, total, shown):
    with Progress("counting", total, "rows") as bar:
        bar.advance(37, "and more")
    assert all(part in screen.getvalue() for part in ("counting", shown, "and more"))
    assert lines() == []


def test_an_empty_loop_shows_nothing(screen):
    with Progress("counting", 0):
        pass
    assert screen.getvalue() == ""


def test_a_quiet_command_shows_no_bar(screen, lines):
    with output_options(quiet=True, as_json=False), Progress("counting", 37) as bar:
        bar.advance(37)
    assert screen.getvalue() == ""
