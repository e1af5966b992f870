"""A database's URL is in nothing that a sweep writes, wherever the user has put it."""

import os

import optuna
import pytest

from mtl_sharing.sweep.jobs.credentials import VARIABLE, hide_storage
from support import QUICK

KEY = "hydra.sweeper.storage"
URL = "postgresql+psycopg://ann:s3cret,{[!@db/study?sslmode=require"
STANDS_FOR_IT = f"${{oc.env:{VARIABLE}}}"


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch):
    monkeypatch.setenv(VARIABLE, "before")


@pytest.mark.parametrize("plus", ["", "+", "++"])
@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_a_url_is_moved_into_the_environment(plus, quote):
    hidden = hide_storage(["-m", f"{plus}{KEY}={quote}{URL}{quote}", "split=3"])
    assert hidden == ["-m", f"{plus}{KEY}={STANDS_FOR_IT}", "split=3"]
    assert os.environ[VARIABLE] == URL


@pytest.mark.parametrize("word", [f"{KEY}=null", f"{KEY}=", f"{KEY}=${{oc.env:MINE}}", f"~{KEY}",
                                  "hydra.sweeper.storage_of=x", f"data_dir={KEY}=a"])  # fmt: skip
def test_other_words_stay(word):
    assert hide_storage([word]) == [word]
    assert os.environ[VARIABLE] == "before"


_MINE = """\
# @package _global_
defaults: [split_points]
hydra: {{sweeper: {{storage: "{url}", n_trials: 1}}}}
"""


@pytest.mark.parametrize("place", [
    "command line", "preset", pytest.param("config file", marks=pytest.mark.slow),
    pytest.param("variable", marks=pytest.mark.slow),
])  # fmt: skip
def test_a_sweep_writes_its_url_nowhere(mtl_train, tmp_path, monkeypatch, place):
    url = f"sqlite:///{tmp_path / 'whisper.sqlite'}"
    folder = tmp_path / "mine" / "sweep"
    folder.mkdir(parents=True)
    stands_there = {"config file": url, "preset": f"${{oc.env:{VARIABLE},null}}"}.get(place, "x")
    (folder / "mine.yaml").write_text(_MINE.format(url=stands_there))
    monkeypatch.setenv("MINE", url)
    monkeypatch.setenv(VARIABLE, url if place == "preset" else "before")
    value = {"command line": url, "variable": "${oc.env:MINE}"}.get(place)
    words = [] if value is None else [f"{KEY}={value}"]
    done = mtl_train("-m", "--config-dir", str(tmp_path / "mine"), "+sweep=mine", *QUICK,
                     "encoder.layers=1", "score.objective=performance", *words)  # fmt: skip
    assert done.code == 0, done.err
    assert [trial.state.name for trial in optuna.load_study(study_name=None, storage=url).trials] \
        == ["COMPLETE"]  # fmt: skip
    written = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    saved = [path.read_text() for path in written if path.name == "hydra.yaml"]
    said = f"storage: {'${oc.env:MINE}' if place == 'variable' else STANDS_FOR_IT}"
    assert len(saved) == 1 and said in saved[0]  # the trial's
    assert [path for path in written if b"whisper" in path.read_bytes()] == []
    assert "whisper" not in done.out.replace("study in sqlite:///", "").partition("\n")[2]
