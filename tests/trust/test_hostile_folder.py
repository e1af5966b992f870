"""A stranger's folder runs nothing, reads no secret, reaches nothing outside, and hangs nothing."""

import re
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from mtl_sharing import UserError, load_run, train
from trust.commands import COMMANDS, invoke
from trust.hostile import (
    ESCAPE,
    ODD_ENTRIES,
    SCRIPT,
    SECRET,
    SECRET_NAME,
    Piece,
    beside,
    forge_manifest,
    pieces,
    some_texts,
    texts,
    whole,
)
from trust.runs import OVERRIDES
from trust.special_files import contents

PIECES = pieces()
LIMIT_S = 30
Main = Callable[[], None]
Call = Callable[[Path, Path, Path], tuple[Main, list[str]]]
"""Takes the run's folder, the output's and the working folder."""


def _command(name: str) -> Call:
    command = COMMANDS[name]
    return lambda run, out, here: (command.main, command.words(run, out))


def _report_alone(run: Path, out: Path, here: Path) -> tuple[Main, list[str]]:
    return COMMANDS["report"].main, ["mtl-report", str(run), "--out", str(out)]


def _predict_table(run: Path, out: Path, here: Path) -> tuple[Main, list[str]]:
    table = run.with_name("texts.csv")
    table.write_text("text,text_pair\nA fine film.,A good film.\n")
    words = ["--input", str(table), "--out", str(out), "--device", "cpu"]
    return COMMANDS["predict"].main, ["mtl-predict", str(run), *words]


def _as_reference(run: Path, out: Path, here: Path) -> tuple[Main, list[str]]:
    words = (*OVERRIDES, "trainer.max_steps=1", f"score.reference={run}", f"hydra.run.dir={out}")
    return COMMANDS["resume"].main, ["mtl-train", *words]


def _from_python(work: Callable[[Path], object]) -> Call:
    def main(run: Path) -> None:
        try:
            work(run)
        except (UserError, OSError) as error:
            print(error)
            sys.exit(2)

    return lambda run, out, here: (lambda: main(run), ["python"])


CALLS: dict[str, Call] = {
    **{name: _command(name) for name in COMMANDS},
    "report of the run": _report_alone,
    "predict a table": _predict_table,
    "reference": _as_reference,
    "load_run": _from_python(lambda run: load_run(run, "cpu").predict(["A film."], ["A film."])),
    "train": _from_python(lambda run: train(OVERRIDES, run)),
}
GO_ON = ("resume", "train")
QUICK_CALLS = ("resume", "predict a table", "report of the run", "export")


@pytest.fixture
def check(tmp_path, monkeypatch) -> Callable[..., tuple[int, str]]:
    """Gives a run with these pieces to a command, and holds what must hold of any.

    Returns the exit code and what was printed.
    """
    monkeypatch.setenv(SECRET_NAME, SECRET)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))

    def check(run: Path, made: Iterable[Piece], call: str) -> tuple[int, str]:
        top = tmp_path / "top"
        shutil.rmtree(top, ignore_errors=True)
        outside, here, folder = top / "outside", top / "here", top / "place" / "run"
        for new in (outside / "work", outside / "data", here):
            new.mkdir(parents=True)
        shutil.copytree(run, folder)
        for piece in made:
            piece(folder, outside)
        forge_manifest(folder)
        before = contents(outside)
        monkeypatch.chdir(here)
        main, words = CALLS[call](folder, folder.with_name("out"), here)
        code, text, is_hung = invoke(main, words, LIMIT_S)
        assert not is_hung, "a hang"
        assert code in (0, 2) and "Traceback" not in text, text[-2000:]
        assert contents(outside) == before
        assert SECRET not in text and not _holding(SECRET, top)
        assert ESCAPE not in text
        assert not _holding(SCRIPT, folder.with_name("out"), (".html", ".md"))
        assert not _holding("[x](javascript:", folder.with_name("out"), (".md",))
        assert not contents(here)
        return code, text

    return check


def _holding(word: str, top: Path, suffixes: tuple[str, ...] = ("",)) -> list[str]:
    return [
        str(path) for path in top.rglob("*") if path.name.endswith(suffixes)
        and path.is_file() and not path.is_symlink() and path.stat().st_size < 1 << 26
        and word.encode() in path.read_bytes()
    ]  # fmt: skip


@pytest.mark.parametrize("state", ["finished", "stopped"])
@pytest.mark.parametrize("call", QUICK_CALLS)
def test_a_hostile_folder(check, trust_runs, state, call):
    code, text = check(trust_runs[state], [whole], call)
    # A run that can be read is read; one whose log is a link does not go on.
    refused = call == "resume" or (state, call) == ("stopped", "report of the run")
    assert code == (2 if refused else 0), text


@pytest.mark.parametrize(("state", "piece"), [("finished", texts), ("stopped", beside)])
def test_a_run_with_hostile_texts_goes_on(check, trust_runs, state, piece):
    code, text = check(trust_runs[state], [piece], "resume")
    assert code == 0, text


@pytest.mark.parametrize("entry", ODD_ENTRIES)
@pytest.mark.parametrize("call", QUICK_CALLS)
def test_odd_entries_of_a_manifest_are_one_message(check, trust_runs, call, entry):
    code, text = check(trust_runs["finished"], [PIECES[f"manifest of {entry!r}"]], call)
    (line,) = text.splitlines()
    assert code == 2 and re.search("manifest.json: (found )?a damaged file", line)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("piece", ["whole", *PIECES])
def test_a_hostile_piece(check, trust_runs, call, piece):
    state = "stopped" if call in GO_ON else "finished"
    check(trust_runs[state], [{**PIECES, "whole": whole}[piece]], call)


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("seed", range(20))
def test_interpolations_in_some_texts(check, trust_runs, call, seed):
    check(trust_runs["finished"], [some_texts(seed)], call)
