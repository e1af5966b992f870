"""The options that all commands share."""

import json
import shutil
import subprocess

import pytest

from mtl_sharing.cli import export, predict, report
from mtl_sharing.cli.options import completion_script, train_options
from support import QUICK

SMALL = (*QUICK, "encoder.layers=1", "split=1", "trainer.max_steps=1")


def completions(parser, *words):
    """What bash offers for the last word."""
    script = completion_script(parser, "bash")
    words = [parser.prog, *words]
    typed = " ".join(f"'{word}'" for word in words)
    ask = f"COMP_WORDS=({typed}); COMP_CWORD={len(words) - 1}; _{parser.prog.replace('-', '_')}"
    done = subprocess.run(["bash", "-c", f'{script}{ask}; echo "${{COMPREPLY[@]}}"'],
                          capture_output=True, text=True, check=True)  # fmt: skip
    return done.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
def test_a_shell_completes_options_and_choices_and_leaves_files_to_itself():
    parser = predict._parser()
    assert completions(parser, "run", "--str") == ["--string"]
    assert completions(parser, "run", "--split", "") == ["dev", "test"]
    assert completions(parser, "ou") == []
    assert {"--json", "--quiet", "--out"} <= set(completions(report.make_parser(), "--"))


@pytest.mark.parametrize("parser", [predict._parser(), report.make_parser(), export._parser()])
def test_every_parser_prints_its_script_without_other_arguments(parser, capsys):
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--completion", "zsh"])
    assert end.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith("autoload") and f"complete -o default -F _mtl_{parser.prog[4:]}" in out


def test_hydras_own_options_and_overrides_stay_in_their_order():
    words = ["-m", "--config-dir", "mine", "split=0,3", "~task.sts", "-cn", "best"]
    options, rest = train_options(["--quiet", *words[:3], "--json", *words[3:]])
    assert (options.quiet, options.json, options.help_key, rest) == (True, True, None, words)


def test_the_result_and_the_log_lines_have_an_output_each(hybrid_run):
    assert hybrid_run.out.startswith("S6-I6 reaches ") and "training S6" not in hybrid_run.out
    assert "training S6-I6" in hybrid_run.err and "reaches" not in hybrid_run.err


def test_a_named_run_prints_its_result_alone_and_nothing_is_trained_over_it(mtl_train):
    done = mtl_train("--quiet", "--json", *SMALL, "name=mine")
    assert done.code == 0, done.err
    result = json.loads(done.out)
    assert result.pop("folder") == str(done.cwd / "outputs" / "mine")
    assert result == done.run_result("outputs/mine")
    assert "training" not in done.err and "reaches" not in done.err
    assert "training" in (done.cwd / "outputs" / "mine" / "train.log").read_text()
    again = mtl_train(*SMALL, "name=mine")
    assert again.code == 2 and "mtl-train resume=outputs/mine" in again.err
    resumed = mtl_train("resume=outputs/mine", "--quiet")
    assert resumed.code == 0 and resumed.out.startswith("S1 reaches") and not resumed.err


def test_several_runs_are_one_object_in_a_named_folder(mtl_train):
    done = mtl_train("--json", "-m", *SMALL, "name=both", "sharing=shared,individual")
    assert done.code == 0, done.err
    content = json.loads(done.out)
    assert content["folder"] == "outputs/sweeps/both"
    assert [run["plan"] for run in content["runs"]] == ["S1", "I1"]
    assert "S1 reaches" in done.err and "the highest of 2 groups" in done.err
    again = mtl_train("-m", *SMALL, "name=both", "split=0,1")
    assert again.code == 2 and "holds a run" in again.err


@pytest.mark.parametrize(("words", "message"), [
    (("name=a/b",), "name: found a/b; allowed: up to 100 letters"),
    (("name=''",), "name: found an empty name"),
    (("name=2026-11-30",), "the name of another folder of outputs"),
    (("name=x", "hydra.run.dir=y"), "name: found x beside hydra.run.dir; allowed: one of the two"),
    (("-m", "name=a,b"), "name: found a,b; allowed: one name, of the folder of all runs"),
])  # fmt: skip
def test_a_name_that_is_none(mtl_train, words, message):
    done = mtl_train(*SMALL, *words)
    assert done.code == 2 and message in done.err
    assert not (done.cwd / "outputs").exists() and not (done.cwd / "y").exists()
