"""Every case is right, and the runner notices what is not."""

import sys
from pathlib import Path

import pytest

from cases import run

PROGRAMS = Path(sys.executable).parent


@pytest.mark.slow
@pytest.mark.parametrize("name", run.NAMES)
def test_case(name):
    verdict = run.run_case(name, PROGRAMS)
    if verdict.word == "skipped":
        pytest.skip(verdict.line)
    assert verdict.word == "right", verdict.line


def test_every_case_is_whole():
    folders = [path for path in run.CASES.iterdir() if (path / "cmd").is_file()]
    assert len(folders) >= 5
    for folder in folders:
        assert (folder / "want").is_file() and (folder / "check.py").is_file(), folder.name


CHECKS = {
    "right": ("print(open('output.txt').read())", "right", "said and cried"),
    "wrong": ("import sys; print('first'); sys.exit('found 3')", "WRONG", "found 3"),
    "skipped": ("import sys; print('no data'); sys.exit(77)", "skipped", "no data"),
    "broken": ("import nothing_such", "WRONG", "No module named 'nothing_such'"),
    "too long": ("", "WRONG", "cmd has not ended after 0.2 s"),
}


@pytest.mark.parametrize(("check", "word", "line"), CHECKS.values(), ids=CHECKS)
def test_the_runner(monkeypatch, tmp_path, check, word, line):
    case = tmp_path / "a case"
    case.mkdir()
    (case / "cmd").write_text("printf said; sh -c 'printf \" and cried\" >&2'\n")
    if not check:
        (case / "cmd").write_text("sleep 600 & wait\n")
    (case / "check.py").write_text(check)
    monkeypatch.setattr(run, "CASES", tmp_path)
    verdict = run.run_case("a case", PROGRAMS, 0.2 if not check else 60)
    assert verdict.word == word
    assert line in verdict.line


def test_another_installation(tmp_path):
    """Its commands and its python come first."""
    (tmp_path / "python").write_text("#!/bin/sh\necho other\n")
    (tmp_path / "python").chmod(0o755)
    assert run.run_case(run.NAMES[0], tmp_path).line == "other"
