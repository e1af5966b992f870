"""A stranger's sweep runs nothing, reaches nothing outside, and reads no secret."""

import json
import shlex
import sqlite3
from pathlib import Path

import pytest

from support import QUICK
from sweep_runs import GRID
from trust.callables import MARKER
from trust.commands import COMMANDS, invoke
from trust.hostile import SECRET, SECRET_NAME
from trust.special_files import contents

WORDS = (
    *GRID,
    "score.clock=flops",
    "score.objective=performance",
    "split=0,1",
    "hydra.sweep.dir=sweep",
    "trainer.device=cpu",
)


def _reports() -> tuple[str, ...]:
    return ("mtl-report", "sweep", "--out", "out")


def _forge(sweep: Path, outside: Path, tables: tuple[str, ...]) -> None:
    text, command = f"${{oc.env:{SECRET_NAME}}}", f"touch {shlex.quote(str(outside / MARKER))}"
    call = json.dumps({"_target_": "os.system", "command": command})
    tag = f'evil: !!python/object/apply:os.system ["{command}"]\n'
    (sweep / "best.yaml").write_text(f"{tag}hydra:\n  launcher: {call}\nseed: {text}\n")
    (sweep / "multirun.yaml").write_text(tag)
    table = (sweep / "sweep.csv").read_text().splitlines()
    (sweep / "sweep.csv").write_text("\n".join([*table, table[-1].replace("COMPLETE", text)]))
    (sweep / "measured.json").write_text("[" * 200_000)
    with sqlite3.connect(sweep / "study.db") as database:
        for name in tables:
            database.execute(f"UPDATE {name} SET value_json = ?", (json.dumps(text),))
    database.close()


@pytest.mark.slow
@pytest.mark.parametrize("tables", [("trial_user_attributes",), ("study_user_attributes",), ()])
@pytest.mark.parametrize("name", ["report", "resume"])
def test_a_hostile_sweep(tmp_path, monkeypatch, name, tables):
    outside, here = tmp_path / "outside", tmp_path / "here"
    outside.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv(SECRET_NAME, SECRET)
    code, text, _ = invoke(COMMANDS["resume"].main, ["mtl-train", *WORDS])
    assert code == 0, text
    _forge(here / "sweep", outside, tables)
    words = _reports() if name == "report" else ("mtl-train", *WORDS)
    code, text, is_hung = invoke(COMMANDS[name].main, list(words))
    assert code in (0, 2) and not is_hung and "Traceback" not in text, text[-3000:]
    assert SECRET not in text and not contents(outside)
    for path in here.rglob("*"):
        assert not path.is_file() or SECRET.encode() not in path.read_bytes(), path


@pytest.mark.slow
@pytest.mark.parametrize(
    "link", ["study.db", "sweep.csv", "best.yaml", "0", "sweep.png", "decision.json"]
)
def test_a_link_in_a_sweeps_folder_is_not_followed(tmp_path, monkeypatch, link):
    outside, sweep = tmp_path / "outside", tmp_path / "here" / "sweep"
    outside.mkdir()
    sweep.mkdir(parents=True)
    (outside / link).mkdir() if link == "0" else (outside / link).write_text("precious")
    (sweep / link).symlink_to(outside / link)
    monkeypatch.chdir(sweep.parent)
    before = contents(outside)
    code, text, is_hung = invoke(COMMANDS["resume"].main, ["mtl-train", *WORDS])
    assert code in (0, 2) and not is_hung and "Traceback" not in text, text[-3000:]
    assert contents(outside) == before


FORMS = (
    "hydra.sweep.dir='{}'", "++hydra.sweep.dir={}", "hydra.sweep.dir=${{oc.env:PLACE}}/sweep",
    "hydra.sweep={{dir: {}}}",
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_hydra_writes_through_no_link_however_the_folder_is_named(
    mtl_train, tmp_path, monkeypatch, form
):
    monkeypatch.setenv("PLACE", str(tmp_path))
    victim, sweep = tmp_path / "victim", tmp_path / "sweep"
    victim.write_text("precious")
    sweep.mkdir()
    (sweep / "multirun.yaml").symlink_to(victim)
    done = mtl_train("-m", *QUICK, "seed=0,1", form.format(sweep))
    assert done.code == 2
    assert "multirun.yaml: found a link" in done.err
    assert victim.read_text() == "precious"


def test_a_config_file_lets_hydra_write_nothing_of_its_own(mtl_train, tmp_path):
    text = "defaults: [train, _self_]\nhydra: {output_subdir: hyd, run: {dir: run}}\n"
    (tmp_path / "mine.yaml").write_text(text)
    done = mtl_train("--config-dir", str(tmp_path), "--config-name", "mine", *QUICK)
    assert done.code == 2
    assert "hydra.output_subdir: found hyd; allowed: null" in done.err
    assert not (tmp_path / "run" / "hyd").exists()
