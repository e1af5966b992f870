"""A database's URL is in nothing that a sweep writes, wherever the user has put it."""

import os

import cloudpickle
import optuna
import pytest
import yaml
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import OmegaConf

from mtl_sharing.config import register
from mtl_sharing.config.credentials import VARIABLE, hide_storage
from mtl_sharing.config.loading import checked_loading
from mtl_sharing.errors import UserError
from mtl_sharing.sweep.plugin import register_sweeper
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


SECRET = "postgresql+psycopg://ann:s3cret@h/db"
# Ways to give a URL: words of the command line, and Hydra's settings in a config file.
WAYS = {
    "key": ([f"{KEY}={SECRET}"], {}),
    "quoted key": ([f"{KEY}='{SECRET}'"], {}),
    "added key": ([f'++{KEY}="{SECRET}"'], {}),
    "bracket": ([f"hydra.sweeper[storage]='{SECRET}'"], {}),
    "fields": ([f"hydra.sweeper={{storage: {SECRET}}}"], {}),
    "quoted fields": ([f"hydra.sweeper={{n_trials: 3, storage: \"{SECRET}\"}}"], {}),
    "added fields": ([f"++hydra.sweeper={{n_jobs: 1, storage: '{SECRET}'}}"], {}),
    "all of hydra": ([f"hydra={{sweeper: {{storage: '{SECRET}'}}}}"], {}),
    "in parts": ([f"{KEY}=postgresql+psycopg://ann:${{oc.env:WORD}}@h/db"], {}),
    "as a default": ([f"{KEY}=${{oc.env:NONE,'{SECRET}'}}"], {}),
    "file": ([], {"sweeper": {"storage": SECRET}}),
    "file, in parts": ([], {"sweeper": {"storage": "postgresql+psycopg://ann:${oc.env:WORD}@h/db"}}),
    "file, as a default": ([], {"sweeper": {"storage": f"${{oc.env:NONE,'{SECRET}'}}"}}),
}  # fmt: skip


@pytest.fixture
def compose_with(tmp_path, monkeypatch):
    """Composes words and Hydra's settings in a preset as the command does, with its loader."""
    monkeypatch.setenv("WORD", "s3cret")

    def compose_all(words, settings):
        folder = tmp_path / "sweep"
        folder.mkdir(exist_ok=True)
        text = yaml.safe_dump({"defaults": ["split_points"], "hydra": settings})
        (folder / "mine.yaml").write_text(f"# @package _global_\n{text}")
        register()
        register_sweeper()
        path = create_config_search_path("pkg://mtl_sharing.conf")
        path.prepend("command-line", f"file://{tmp_path}")
        with checked_loading():
            app = Hydra.create_main_hydra2("train", path)
        try:
            words = hide_storage(["+sweep=mine", *words])
            config = app.compose_config("train", words, RunMode.MULTIRUN,
                                        activate_config_repository=True)  # fmt: skip
            return config, app.config_loader
        finally:
            GlobalHydra.instance().clear()

    return compose_all


FAST = ("fields", "all of hydra", "as a default", "file, in parts")


@pytest.mark.parametrize("way", WAYS)
def test_the_command_line_holds_no_url(way, monkeypatch):
    monkeypatch.setenv("WORD", "s3cret")
    words = WAYS[way][0]
    assert "s3cret" not in str(hide_storage(words))
    assert not words or os.environ[VARIABLE] == SECRET


def test_a_url_is_not_made_of_other_keys():
    with pytest.raises(UserError, match="a reference to another key"):
        hide_storage([f"{KEY}=postgresql://ann:${{hydra.job.name}}@h/db"])


@pytest.mark.parametrize(
    "way", [way if way in FAST else pytest.param(way, marks=pytest.mark.slow) for way in WAYS]
)
def test_what_is_composed_holds_no_url(compose_with, way):
    config, loader = compose_with(*WAYS[way])
    assert config.hydra.sweeper.storage == os.environ[VARIABLE] == SECRET
    saved = OmegaConf.to_yaml(config)
    assert VARIABLE in saved and "s3cret" not in saved
    assert b"s3cret" not in cloudpickle.dumps((config, loader))
    job = loader.load_sweep_config(config, [*config.hydra.overrides.task, "split=3"])
    assert "s3cret" not in OmegaConf.to_yaml(job) and job.hydra.sweeper.storage == SECRET


@pytest.mark.parametrize("words", [
    [f"{KEY}={SECRET}", f"+hydra.job.env_set.MINE='{SECRET}'"],
    [f"{KEY}={SECRET}", f"hydra.job.env_copy=[{VARIABLE}]"],
    [f"{KEY}=${{oc.env:MINE}}", "hydra.job.env_copy=[MINE]"],
    [f"{KEY}=${{hydra.mine}}", f"+hydra.mine='{SECRET}'"],
    [f"{KEY}={SECRET}", f"data_dir='{SECRET}'"],
])  # fmt: skip
def test_the_url_stands_in_no_other_key(compose_with, monkeypatch, words):
    monkeypatch.setenv("MINE", SECRET)
    with pytest.raises(UserError) as error:
        compose_with(words, {})
    assert "s3cret" not in str(error.value) and "found the URL of the study" in str(error.value)


@pytest.mark.parametrize("name", ["data_dir", "oc.env:NO_SUCH_NAME"])
def test_a_reference_that_leads_nowhere_is_one_message(mtl_train, name):
    done = mtl_train("-m", f"{KEY}=postgresql://ann:s3cret@${{{name}}}/x")
    assert done.code == 2 and "s3cret" not in done.err
    assert done.err.startswith(f"mtl-train: {KEY}: found a URL with a reference to another key or")


MISTAKEN = (f"{KEY}={SECRET}?a=b=c&{{", f"hydra.sweeper={{storage: {SECRET}?}}",
            f"{KEY}={SECRET},{SECRET}", f"hydra.sweeper={{store: {SECRET}}}",
            f"{KEY}=nodatabase://ann:s3cret@h:5/x")  # fmt: skip


@pytest.mark.parametrize("word", [MISTAKEN[0], *(pytest.param(word, marks=pytest.mark.slow)
                                                 for word in MISTAKEN[1:])])  # fmt: skip
def test_no_message_shows_a_password(mtl_train, monkeypatch, word):
    monkeypatch.setattr("mtl_sharing.sweep.study.storage.FIRST_S", 0.0)
    done = mtl_train("-m", "+sweep=split_points", *QUICK, word)
    assert done.code == 2, done.err
    assert "s3cret" not in done.err + done.out


_MINE = """\
# @package _global_
defaults: [split_points]
hydra: {{sweeper: {{storage: "{url}", n_trials: 1}}}}
"""


ON_LINE = {
    "command line": "{key}={url}", "quoted": "++{key}='{url}'",
    "bracket": "hydra.sweeper[storage]='{url}'",
    "fields": "hydra.sweeper={{storage: '{url}'}}", "added": '++hydra.sweeper={{storage: "{url}"}}',
    "all of hydra": "hydra={{sweeper: {{storage: '{url}'}}}}",
    "default": "{key}=${{oc.env:NONE,'{url}'}}",
    "in parts": "{key}=sqlite:///${{oc.env:HALF}}per.sqlite", "variable": "{key}=${{oc.env:MINE}}",
    "submitit": "hydra.sweeper={{storage: '{url}'}}",
}  # fmt: skip
PLACES = [*ON_LINE, "preset", "config file", "submitit, config file"]


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES)
def test_a_sweep_writes_its_url_nowhere(mtl_train, tmp_path, monkeypatch, place):
    url = f"sqlite:///{tmp_path / 'whisper.sqlite'}"
    folder = tmp_path / "mine" / "sweep"
    folder.mkdir(parents=True)
    stands_there = {
        "config file": url,
        "submitit, config file": url,
        "preset": f"${{oc.env:{VARIABLE},null}}",
    }.get(place, "x")
    (folder / "mine.yaml").write_text(_MINE.format(url=stands_there))
    monkeypatch.setenv("MINE", url)
    monkeypatch.setenv(VARIABLE, url if place == "preset" else "before")
    monkeypatch.setenv("HALF", url.removeprefix("sqlite:///").removesuffix("per.sqlite"))
    words = [ON_LINE[place].format(key=KEY, url=url)] if place in ON_LINE else []
    words += ["hydra/launcher=submitit_local"] if "submitit" in place else []
    done = mtl_train("-m", "--config-dir", str(tmp_path / "mine"), "+sweep=mine", *QUICK,
                     "encoder.layers=1", "score.objective=performance", *words)  # fmt: skip
    assert done.code == 0, done.err
    assert [trial.state.name for trial in optuna.load_study(study_name=None, storage=url).trials] \
        == ["COMPLETE"]  # fmt: skip
    written = [path for path in (tmp_path / "outputs").rglob("*") if path.is_file()]
    saved = [path.read_text() for path in written if path.name == "hydra.yaml"]
    said = f"storage: {'${oc.env:MINE}' if place == 'variable' else STANDS_FOR_IT}"
    assert len(saved) == 1 and said in saved[0]  # the trial
    assert [path for path in written if b"whisper" in path.read_bytes()] == []
    printed = done.err.replace("study in sqlite:///", "").partition("\n")[2] + done.out
    assert "whisper" not in printed
