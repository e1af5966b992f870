"""The end of a command: in one order, on the right output, as text or as JSON."""

import io
import json

import pytest
from rich.console import Console

from mtl_sharing.utils import summary as module
from mtl_sharing.utils.summary import Summary, print_summary, show_folded
from mtl_sharing.utils.terminal import is_quiet, output_options, wants_json

SUMMARY = Summary(
    answer="S6-I6 reaches 0.8431",
    contents=["sts: at or below\nsst: untrained"],
    details=[("performance", "0.8431")],
    files=[("run", "outputs/mine")],
    commands=["mtl-report outputs/mine", "mtl-predict outputs/mine"],
    record={"name": "\x1b é", "value": 0.5, "none": [float("nan")]},
)
TEXT = """\
S6-I6 reaches 0.8431

sts: at or below
sst: untrained

performance  0.8431
run          outputs/mine
next         mtl-report outputs/mine
             mtl-predict outputs/mine
"""


def test_the_answer_comes_first_and_the_next_command_last(capsys):
    print_summary(SUMMARY)
    assert capsys.readouterr() == (TEXT, "\n")


@pytest.mark.parametrize(("quiet", "text"), [(False, "\n" + TEXT), (True, "")])
def test_json_is_alone_on_the_standard_output(capsys, quiet, text):
    with output_options(quiet, as_json=True):
        print_summary(SUMMARY, is_part=True)
        assert capsys.readouterr() == ("", text and f"{text}\n")
        print_summary(SUMMARY)
    out, err = capsys.readouterr()
    assert out.isascii() and "\x1b" not in out and out.count("\n") == 1
    assert json.loads(out) == {**SUMMARY.record, "none": [None]} and err == text
    assert not is_quiet() and not wants_json()


def test_a_long_line_is_folded_beside_its_label_on_a_terminal_alone(monkeypatch, capsys):
    text = "36.4% of separate models' performance, 17.4% of what they have above"
    show_folded(text, "kept  ")
    assert capsys.readouterr().out == f"kept  {text}\n"
    stream = io.StringIO()
    console = Console(file=stream, width=40, force_terminal=True)
    monkeypatch.setattr(module, "results_console", lambda: console)
    monkeypatch.setattr("mtl_sharing.utils.terminal.results_console", lambda: console)
    show_folded(text, "kept  ")
    first, *others = stream.getvalue().splitlines()
    assert first.startswith("kept  36.4%") and len(first) <= 40
    assert all(line.startswith("      ") and len(line) <= 40 for line in others)
    assert " ".join(f"{first} {' '.join(others)}".split()) == f"kept {text}"
