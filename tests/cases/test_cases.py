"""Every case is right, and the runner notices what is not."""

import sys
from pathlib import Path

import pytest

from cases import run

PROGRAMS = Path(sys.executable).parent


# Those that take some seconds are slow.
FAST = ("unknown_task_key",)
CASES = [pytest.param(name, marks=[] if name in FAST else pytest.mark.slow) for name in run.NAMES]


@pytest.mark.parametrize("name", CASES)
def test_case(name):
    verdict = run.run_case(name, PROGRAMS)
    if verdict.word == "skipped":
        pytest.skip(verdict.line)
    assert verdict.word == "right", verdict.line


def test_every_case_is_whole():
    folders = [path for path in run.CASES.iterdir() if (path / "cmd").is_file()]
    assert len(folders) == 24
    for folder in folders:
        assert (folder / "want").is_file() and (folder / "check.py").is_file(), folder.name


CHECKS = {
    "right": ("print(open('output.txt').read())", "right", "said and cried"),
    "wrong": ("import sys; print('first'); sys.exit('found 3')", "WRONG", "found 3"),
    "skipped": ("import sys; print('no data'); sys.exit(77)", "skipped", "no data"),
    "broken": ("import nothing_such", "WRONG", "No module named 'nothing_such'"),
    "too long": ("", "WRONG", "cmd has not ended after 0.2 s"),
}


def write_case(folder, command, check):
    folder.mkdir()
    (folder / "cmd").write_text(command)
    (folder / "check.py").write_text(check)


@pytest.mark.parametrize(("check", "word", "line"), CHECKS.values(), ids=CHECKS)
def test_the_runner(monkeypatch, tmp_path, check, word, line):
    said = "printf said; sh -c 'printf \" and cried\" >&2'\n"
    write_case(tmp_path / "a case", said if check else "sleep 600 & wait\n", check)
    monkeypatch.setattr(run, "CASES", tmp_path)
    verdict = run.run_case("a case", PROGRAMS, 60 if check else 0.2)
    assert verdict.word == word
    assert line in verdict.line


def test_another_installation(monkeypatch, tmp_path):
    """Its commands and its python come first."""
    write_case(tmp_path / "a case", "mtl-train", "")
    (tmp_path / "bin").mkdir()
    for name, text in (("python", "cat output.txt"), ("mtl-train", "echo other")):
        (tmp_path / "bin" / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr(run, "CASES", tmp_path)
    assert run.run_case("a case", tmp_path / "bin").line == "other"
