"""Every mistake ends with exit code 2 and one message: where, what was found, what is allowed."""

import io
import json
import resource
import signal
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_module
from hydra.errors import HydraException
from safetensors.torch import save_file

from mtl_sharing.cli.exit import explain, run_command
from mtl_sharing.cli.train import run
from mtl_sharing.config.mistakes import MERGING
from mtl_sharing.errors import UserError
from mtl_sharing.job.saved_settings import RunStart
from mtl_sharing.job.spec import resolve_spec
from support import QUICK, Outcome, compose_config, load_config

OVERRIDES = {
    "split above the layers": (["split=13"], ["split", "13", "0 to 12"]),
    "split below 0": (["split=-1"], ["split", "-1", "0 to 12"]),
    "split for a shallower encoder": (["encoder=distilbert", "split=7"], ["split", "7", "0 to 6"]),
    "depths that do not add up": (["sharing.plan=S5-I6"], ["sharing.plan", "S5-I6", "12 layers"]),
    "an unknown letter": (["sharing.plan=X12"], ["sharing.plan", "X12", "T (tied)"]),
    "an unknown task in a group": (["sharing.plan=G12:sst+stt"], ["stt", "sst, quora, sts"]),
    "ties with one task": (["sharing.plan=T12", "suite.tasks=[sst]"],
                           ["sharing.plan", "T with one task (sst)", "two tasks or more"]),
    "an unknown kind of tie": (["sharing=soft", "sharing.tie.kind=pair"],
                               ["sharing.tie.kind", "pair", "pairs, mean, trace_norm"]),
    "a tie that pushes": (["sharing=soft", "sharing.tie.strength=-0.1"],
                          ["sharing.tie.strength", "-0.1", "0 or more"]),
    "lanes in a cycle": (
        ["sharing=progressive", "sharing.lanes.upstream={sst:[sts],sts:[sst]}"],
        ["sharing.lanes.upstream", "cycle: sst -> sts -> sst", "without cycles"]),
    "a lane of an unknown task": (
        ["sharing=progressive", "sharing.lanes.upstream={stt:[sst]}"],
        ["sharing.lanes.upstream", "stt", "sst, quora, sts"]),
    "a lane from an unknown task": (
        ["sharing=progressive", "sharing.lanes.upstream={sts:[stt]}"],
        ["sharing.lanes.upstream.sts", "stt", "sst, quora, sts"]),
    "a lane from a head of two texts to one of one": (
        ["sharing=progressive", "pairing=separate", "sharing.lanes.upstream={sst:[quora]}"],
        ["sharing.lanes.upstream.sst", "quora", "pairing=joined"]),
    "a width that its heads do not divide": (
        ["sharing=pals", "sharing.pals.size=205", "sharing.pals.heads=12"],
        ["sharing.pals.size", "205", "12", "a multiple of sharing.pals.heads"]),
    "an unknown kind of PAL": (["sharing=pals", "sharing.pals.kind=atention"],
                               ["sharing.pals.kind", "atention", "attention, low_rank"]),
    "unknown layers of PALs": (["sharing=pals", "sharing.pals.layers=upper"],
                               ["sharing.pals.layers", "upper", "all, top, bottom, shared"]),
    "more head layers than letters": (["head.depth=2", "sharing.plan=S12/I-S-S"],
                                      ["sharing.plan", "3 head layers", "(2)"]),
    "a depth that no template names": (["sharing=fsi", "sharing.depths.frozn=2"],
                                       ["sharing.depths", "frozn", "nearest: frozen"]),
    "a number in braces with a form": (["sharing.template='S{split!r}-I{rest}'"],
                                       ["sharing.template", "S{split!r}", "nothing else"]),
    "a PAL that could not learn": (["sharing=pals", "sharing.pals.activation=relu"],
                                   ["sharing.pals.activation", "relu", "gelu"]),
    "a width of none": (["sharing=pals", "sharing.pals.size=0/768"],
                        ["sharing.pals.size", "0/768", "1 or more"]),
    "a setting of PALs that are not there": (["sharing.pals.kind=low_rank"],
                                             ["sharing.pals", "low_rank", "sharing.pals.size"]),
    "a setting of lanes that are not there": (["sharing.lanes.task_dropout=0.1"],
                                              ["sharing.lanes", "0.1", "sharing.lanes.fusion"]),
    "lanes between heads of two layers": (
        ["sharing=progressive", "pairing=joined", "task.sst.layer=3"],
        ["task.<name>.layer", "sst", "one layer for all heads"]),
    "a tie that not every task reads": (["sharing=soft", "task.sst.layer=3"],
                                        ["sharing.plan", "T at layer.4", "sst"]),
    "no weight for any task": (["loss.weights={sst:0,quora:0,sts:0}"], ["loss.weights", "0"]),
    "fsi depths that do not add up": (["sharing=fsi", "sharing.depths.frozen=2"],
                                      ["sharing.depths", "frozen=2", "add up to 12 layers"]),
    "a split in words": (["split=abc"], ["split", "abc", "0 to 12", "a share"]),
    "a share above 1": (["split=13/12"], ["split", "13/12", "0 to 12"]),
    "a share of nothing": (["split=1/0"], ["split", "1/0", "0 to 12"]),
    "a layer above the last": (["head.layer=12"], ["head.layer", "12", "0 to 11", "-1 to -12"]),
    "a layer below the first": (["task.sst.layer=-13"], ["task.sst.layer", "-13", "-1 to -12"]),
    "the pooler of a lower layer": (["head.pooling=pooler", "head.layer=-2"],
                                    ["head.pooling", "pooler", "below the last", "cls, mean"]),
    "a group with an unknown task": (["sharing=grouped", "sharing.groups=sst+nope"],
                                     ["nope", "sst, quora, sts"]),
    "an unknown place for pairs": (["pairing.place=middle"],
                                   ["pairing.place", "middle", "input, output"]),
    "unequal widths in a tied head layer": (
        ["head=mlp", "pairing=separate", "sharing.plan=S12/T-I"],
        ["sharing.plan", "T at head.0", "equal widths"]),
    "an unknown key": (["trainer.max_step=3"], ["trainer.max_step", "max_steps"]),
    "an unknown added key": (["+optimzer.lr=1"], ["optimzer", "optimizer"]),
    "an unknown option": (["sharing=hybird"], ["sharing", "hybird", "hybrid"]),
    "a value of another type": (["trainer.max_steps=x"],
                                ["trainer.max_steps: found x; allowed: a whole number or null"]),
    "a plan that is missing": (["sharing=plan"], ["sharing.plan"]),
    "an unknown metric": (["task.sst.metric=acuracy"], ["task.sst.metric", "acuracy", "accuracy"]),
    "a loss of another kind": (["task.sst.loss=mse"], ["task.sst.loss", "mse", "cross_entropy"]),
    "a cosine of one text": (["head=cosine", "pairing=joined"], ["head.regression", "separate"]),
    "an unknown feature": (["pairing.features=[u,w]"], ["pairing.features", "w", "absdiff"]),
    "an unknown sampler": (["sampler.name=robin"], ["sampler.name", "robin", "round_robin"]),
    "a negative rate": (["optimizer.lr=-1"], ["optimizer.lr", "-1", "0 or more"]),
    "a batch of none": (["trainer.batch_size=0"], ["trainer.batch_size", "0", "1 or more"]),
    "no thread": (["trainer.threads=0"], ["trainer.threads", "0", "1 or more"]),
    "an unknown device": (["trainer.device=tpu"], ["trainer.device", "tpu", "cpu"]),
    "too long a text": (["suite.max_length=500"], ["suite.max_length", "500", "128"]),
    "a weight for no task": (["loss.weights.stt=1"], ["loss.weights", "stt", "sts"]),
    "no data_dir": (["suite=cs224n"], ["data_dir", "null"]),
    "no such data_dir": (["suite=cs224n", "data_dir=nowhere"], ["data_dir", "nowhere"]),
    "a task nobody generates": (["+task@task.mine=bundled_sst"], ["task.mine.train", "sst"]),
    "an unknown generator": (["suite.generator=plantd"],
                             ["suite.generator", "plantd", "planted"]),
    "a planted suite's relatedness": (["suite=planted", "suite.relatedness=2"],
                                      ["suite.relatedness", "2"]),
    "a plan with nothing to train": (["sharing.plan=F12", "head=cosine", "suite.tasks=[sts]"],
                                     ["sharing.plan"]),
    "no such run to resume": (["resume=nowhere"], ["resume", "nowhere"]),
    "a reference that is no run": (["score.reference=nowhere"], ["score.reference", "nowhere"]),
    "a reference that is no number": (["score.reference=nan"], ["score.reference", "nan"]),
    "keep without a reference": (["score.objective=keep"], ["score.reference", "null"]),
    "a clip that turns the gradient": (["optimizer.clip=-1"], ["optimizer.clip", "-1"]),
    "one beta": (["optimizer.betas=[0.9]"], ["optimizer.betas", "0.9"]),
    "a negative seed": (["seed=-1"], ["seed", "-1"]),
    "an endless alpha": (["sampler.alpha=inf"], ["sampler.alpha", "inf"]),
    "no heads": (["encoder.heads=0"], ["encoder.heads", "0", "1 or more"]),
    "no layers": (["encoder.layers=0"], ["encoder.layers", "0", "1 or more"]),
    "a negative count of rows": (["suite.max_train_rows=-5"], ["suite.max_train_rows", "-5"]),
    "too few classes": (["task.sst.classes=3"], ["task.sst.classes", "3", "5"]),
    "a broken template": (["sharing.template='S{split'"], ["sharing.template", "S{split"]),
    "an unknown key of a task": (["task.sst.metrc=f1"], ["task.sst.metrc", "metric"]),
    "unequal widths in a shared head layer": (["head=mlp", "sharing.plan=S12/S-S", "dry_run=true"],
                                              ["sharing.plan", "head.0", "widths"]),
    "a cache of no size": (["cache.max_gb=0"], ["cache.max_gb", "0", "above 0"]),
    "a cache without end": (["cache.max_gb=inf"], ["cache.max_gb", "inf", "finite"]),
    "a cache nowhere": (["cache.folder=' '"], ["cache.folder", "' '", "null"]),
    "the cache of nobody": (["cache.folder=~nosuchuser/cache"], ["cache.folder", "nosuchuser"]),
    "an unknown key of the cache": (["cache.max=3"], ["cache.max", "max_gb"]),
    "a dry run's sampler": (["sampler.name=foo", "dry_run=true"], ["sampler.name", "foo"]),
    "a dry run's ranking of single texts": (
        ["phases=ranking", "phases.ranking.task=sst", "dry_run=true"],
        ["phases.ranking.task", "sst, a task of single texts", "sentence pairs"]),
    "a dry run's ranking of classes": (
        ["phases=ranking", "task.quora.kind=classes", "task.quora.classes=2", "dry_run=true"],
        ["phases.ranking.task", "quora, a task of classes", "binary or regression"]),
    "a field of a phase that is not there": (
        ["+phases.x.kind=ranking"],
        ["phases.x: ", "no such entry", "'+phases={x:{kind:ranking}}'"]),
    "a phase beside others": (
        ["phases=mlm", "+phases.x={kind:ranking,task:quora}"],
        ["phases.x: ", "no such entry", "'+phases={x:{kind:ranking,task:quora}}'"]),
    "a field of a source that is not there": (
        ["+task.sst.sources.x.columns.text=a"],
        ["task.sst.sources.x: ", "'+task.sst.sources={x:{columns:{text:a}}}'"]),
    "a change of a phase that is not there": (
        ["phases.x.kind=ranking"], ["phases.x: ", "no such entry", "'+phases={x:{...}}'"]),
    "an unknown key of a source": (["suite=cs224n_extra", "+task.sts.sources.sick.rnge=[0,1]"],
                                   ["task.sts.sources.sick.rnge", "range"]),
    "a source's range for classes": (["suite=cs224n_extra", "task.quora.sources.mrpc.range=[0,1]"],
                                     ["task.quora.sources.mrpc.range", "[0.0, 1.0]", "labels"]),
    "a source's labels for scores": (["suite=cs224n_extra", "+task.sts.sources.sick.labels={a:1}"],
                                     ["task.sts.sources.sick.labels", "range"]),
    "a source of pairs for single texts": (["+source@task.sst.sources.mrpc=mrpc"],
                                           ["task.sst.sources.mrpc.columns.text_pair", "null"]),
    "sources for generated text": (["+source@task.quora.sources.mrpc=mrpc"], ["data_dir", "null"]),
    "a source without its folder": (["suite=cs224n_extra", "data_dir=nowhere"],
                                    ["data_dir", "nowhere"]),
    "half a name of the hub": (["suite=hub", "task.sst.train=['hub://sst5:train']"],
                               ["task.sst.train", "hub://sst5:train", "hub://owner/name:split"]),
    "an encoder of no shape": (["encoder=auto"],
                               ["encoder.checkpoint: found null", "a folder, a hub id or pkg://"]),
    "a cache beyond any disk": (["cache.max_gb=1e300"], ["cache.max_gb", "1e+300", "up to 1e+09"]),
    "data of nobody": (["data_dir='~nosuchuser/x'"], ["data_dir: found ~nosuchuser/x", "./~NAME"]),
    "a checkpoint of nobody": (["encoder.checkpoint='~nosuchuser/x'"],
                               ["encoder.checkpoint: found ~nosuchuser/x", "the home of a user"]),
    "a tokenizer of nobody": (["encoder.tokenizer='~nosuchuser/x'"],
                              ["encoder.tokenizer: found ~nosuchuser/x"]),
    "a run of nobody": (["resume=~nosuchuser/x"], ["resume: found ~nosuchuser/x"]),
    "an unknown objective": (["score.objective=best"], ["score.objective", "best", "weighted"]),
}  # fmt: skip


def refused(done, *words):
    """Holds the form of every refusal, and that its message has these words."""
    assert done.code == 2, done.out + done.err
    assert "Traceback" not in done.err
    # Log lines stand before it.
    (message,) = [line for line in done.err.splitlines() if line.startswith("mtl-train: ")]
    assert done.err.rstrip().endswith(message), done.err
    for word in words:
        assert word in message, message
    for path in done.cwd.rglob("result.json"):
        assert json.loads(path.read_text())["status"] == "failed"


# Mistakes that Hydra or OmegaConf finds, and one of each other kind, through the whole command.
COMMAND = (
    "a plan that is missing", "a value of another type", "an unknown added key", "an unknown key",
    "an unknown option", "an unknown key of a task", "an unknown key of the cache",
    "an unknown key of a source", "the cache of nobody", "a field of a phase that is not there",
    "a phase beside others", "a field of a source that is not there",
    "a change of a phase that is not there", "no such run to resume", "a run of nobody",
    "split above the layers",
    "a negative seed", "no data_dir", "a dry run's sampler",
)  # fmt: skip


@pytest.mark.parametrize("name", COMMAND)
def test_the_command_refuses(mtl_train, name):
    overrides, words = OVERRIDES[name]
    quick = QUICK if not any(word.startswith(("encoder", "resume")) for word in overrides) else ()
    refused(mtl_train(*quick, *overrides), *words)


@pytest.mark.parametrize("name", [name for name in OVERRIDES if name not in COMMAND])
def test_a_job_refuses(tmp_path, name):
    """Without the command around it, which composes every config anew."""
    overrides, words = OVERRIDES[name]
    quick = QUICK if not any(word.startswith("encoder") for word in overrides) else ()
    with pytest.raises(UserError) as error:
        run(load_config("dry_run=false", *quick, *overrides), tmp_path / "run", RunStart())
    code, message = explain(error.value)
    refused(Outcome(code, "", f"mtl-train: {message}\n", tmp_path), *words)


GROUPS = sorted(path.name for path in files("mtl_sharing.conf").iterdir()
                if path.is_dir() and path.name not in ("hydra", "__pycache__"))  # fmt: skip


@pytest.mark.parametrize("group", [*GROUPS, "+sweep", "+cluster", "hydra/launcher", "~cache"])
def test_a_group_is_given_a_name(group):
    assert len(GROUPS) > 15
    for value in ("3", "1.5", "true", "null", "[1]", "[a,3]", "[[a]]", "default,3", "range(1,3)"):
        if (group, value) != ("~cache", "null"):
            with pytest.raises(UserError) as error:
                compose_config([f"{group}={value}"])
            text = str(error.value).replace(" ", "")
            assert text.startswith(f"{group.lstrip('+~')}:found{value},whichisnoname;allowed:")
    if group in GROUPS:
        # The groups experiment, task and source are no entries of the defaults list themselves.
        with pytest.raises(UserError) as error:
            compose_config([f"{group}=nonsense"])
        assert str(error.value).startswith(
            (f"{group}: found nonsense", f"{group}: found nothing to override")
        )


COMMAND_LINES = {
    "--config-name=nope": "--config-name: found nope; allowed: train",
    "--config-dir=nope": "--config-dir: found ",
    "--config-path=nope": "--config-path: found mtl_sharing.cli.nope; allowed: the folder",
    "split": "split: found no =; allowed: split=VALUE",
    "data_dir=it's": """data_dir: found it's, which needs quotes as text; allowed: "data_dir='it""",
    "-m n_jobs=2 seed=1,2": "n_jobs: found an unknown key here; allowed: hydra.sweeper.n_jobs=N",
    "-m hydra.sweeper.n_jobs=2 seed=1,2": "hydra.sweeper.n_jobs: found an unknown key here;",
    "--config-dir=mine trainer=mine": "trainer.betas: found an unknown key (nearest: ",
    "--config-dir=mine sharing=mine": "sharing.depths: found [1, 2] (mine/sharing/mine.yaml);",
    "--config-dir=mine optimizer=mine": "mine/optimizer/mine.yaml:2: found broken YAML (",
}  # fmt: skip


@pytest.mark.parametrize(("line", "message"), COMMAND_LINES.items(), ids=COMMAND_LINES)
def test_a_command_line(mtl_train, tmp_path, line, message):
    files = {"trainer": "betas: 3", "sharing": "depths: [1, 2]", "optimizer": "lr: [3"}
    for group, text in files.items():
        (tmp_path / "mine" / group).mkdir(parents=True)
        (tmp_path / "mine" / group / "mine.yaml").write_text(f"{text}\n")
    done = mtl_train(*line.split())
    refused(done)
    assert done.err.removeprefix("mtl-train: ").replace(f"{tmp_path}/", "").startswith(message)


@pytest.mark.parametrize("overrides", [["cache=3"], ["-m", "cache=default,3"], ["-m", "+sweep=1"]])
def test_the_command_refuses_a_group_that_is_no_name(mtl_train, overrides):
    refused(mtl_train(*overrides), overrides[-1].strip("+").partition("=")[0], "no name")


def test_an_entry_of_a_group_is_given_a_name():
    with pytest.raises(UserError, match=r"^task@task.sst: found 2, .*bundled_sst"):
        compose_config(["task@task.sst=2"])
    assert compose_config(["~phases"]).phases == {}
    assert compose_config(["cache={max_gb:2}", "seed=3"]).cache.max_gb == 2


@pytest.mark.parametrize(
    "added",
    ["phases.x.kind=masked_lm", "phases.x={kind:ranking,task:sts}", "task.x.columns.text=a",
     "task.sst.sources.x.train=[a.csv]", "task.x.sources.x.train=[a.csv]"],
)  # fmt: skip
def test_the_form_that_adds_an_entry_is_the_one_that_works(added):
    tasks = "suite.tasks=[sst,sts]"
    with pytest.raises(UserError) as error:
        compose_config([tasks, f"+{added}"])
    resolve_spec(compose_config([tasks, error.value.allowed.split("'")[-2]]))


def test_hydra_still_names_the_override_that_it_cannot_merge():
    override = "+phases.x.kind=ranking"
    with initialize_config_module("mtl_sharing.conf"), pytest.raises(HydraException) as error:
        compose("train", overrides=[override])
    assert str(error.value) == f"{MERGING}{override}", (
        "Hydra words its error in another way: adapt MERGING in config/mistakes.py, or the message"
        " for a missing task, source or phase no longer shows how to add it"
    )
    assert "PhaseConfig" in str(error.value.__cause__), (
        "OmegaConf no longer names the type of a missing entry: config/compose.py needs it to tell"
        " tasks, sources and phases apart"
    )


def own_task(folder: Path, text: str | bytes, kind: str = "classes", name: str = "mine.csv"):
    """Words that train on one table of the user's own."""
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    ranges = {"classes": "classes: 3", "binary": "{}", "regression": "range: [0, 5]"}[kind]
    (folder / "conf" / "task").mkdir(parents=True, exist_ok=True)
    fields = "" if ranges == "{}" else f"{ranges}\n"
    (folder / "conf" / "task" / "mine.yaml").write_text(
        f"kind: {kind}\n{fields}train: [{name}]\ndev: [{name}]\n"
    )
    words = (f"--config-dir={folder / 'conf'}", "+task@task.mine=mine", "suite.tasks=[mine]")
    return [*words, f"data_dir={folder}", *QUICK]


GOOD = "text,label\n" + "".join(f"some words {i},{i % 2}\n" for i in range(12))
TABLES = {
    "a label that is no number": (GOOD + "a,high\n", "classes", ["mine.csv:14", "high", "0 to 2"]),
    "a class that is not whole": (GOOD + "more,1.5\n", "classes", ["mine.csv:14", "1.5"]),
    "a class out of range": (GOOD + "more,3\n", "classes", ["mine.csv:14", "3", "0 to 2"]),
    "a score out of range": (GOOD + "more,5.5\n", "regression", ["mine.csv:14", "5.5", "0 to 5"]),
    "a binary label out of range": (GOOD + "more,2\n", "binary", ["mine.csv:14", "2", "0 to 1"]),
    "a missing column": ("text,lable\na,1\n", "classes", ["mine.csv", "label", "lable"]),
    "an empty table": ("text,label\n", "classes", ["mine", "empty"]),
    "an empty file": ("", "classes", ["mine.csv", "empty"]),
    "text that is not UTF-8": (GOOD.encode() + b"caf\xe9,1\n", "classes", ["mine.csv:14", "UTF-8"]),
}  # fmt: skip


@pytest.mark.parametrize(("table", "kind", "words"), TABLES.values(), ids=TABLES)
def test_tables(mtl_train, tmp_path, table, kind, words):
    refused(mtl_train(*own_task(tmp_path, table, kind)), *words)


def test_a_missing_file(mtl_train, tmp_path):
    words = own_task(tmp_path, GOOD)
    (tmp_path / "mine.csv").rename(tmp_path / "mein.csv")
    refused(mtl_train(*words), "mine.csv", "mein.csv")


def test_rows_without_label_or_text(mtl_train, tmp_path):
    words = own_task(tmp_path, GOOD + "more,\n,1\n")
    refused(mtl_train(*words, "suite.on_bad_row=error"), "mine.csv:14", "label")
    done = mtl_train(*words)
    assert done.code == 0, done.err
    assert "mine train: 2 rows skipped" in done.err
    assert "mine.csv:14" in done.err


SOURCES = {
    "a score that fits no range": ("regression", "", "a b,7\n",
                                   ["more.csv:2", "'7'", "0 to 5", "sources.more.range"]),
    "a score out of the source's range": ("regression", "range: [1, 5]", "a b,0.5\n",
                                          ["more.csv:2", "'0.5'", "1 to 5", "sources.more.range"]),
    "a class that fits no class": ("classes", "", "a b,3\n",
                                   ["more.csv:2", "'3'", "0 to 2", "sources.more.labels"]),
    "a class that the map has not": ("classes", "labels: {good: 2, bad: 0}", "a b,god\n",
                                     ["more.csv:2", "'god'", "nearest: good"]),
    "a map to no class": ("classes", "labels: {good: 3}", "a b,good\n",
                          ["task.mine.sources.more.labels.good", "3", "0 to 2"]),
    "a map from a number": ("classes", "labels: {1: 2}", "a b,1\n",
                            ["task.mine.sources.more.labels: ", "key 1 (int)", "quote it"]),
    "a map from a word that YAML reads as true": (
        "classes", "labels: {yes: 2}", "a b,yes\n",
        ["task.mine.sources.more.labels: ", "key yes, on or true (bool)", "quote it, as in 'yes'"]),
    "a map from a word that YAML reads as false": (
        "classes", "labels: {'yes': 2, Off: 1}", "a b,yes\n",
        ["task.mine.sources.more.labels: ", "key no, off or false (bool)", "quote it, as in 'no'"]),
    "no row": ("classes", "", "", ["task.mine.sources.more", "empty", "more.csv"]),
}  # fmt: skip


@pytest.mark.parametrize(("kind", "fields", "row", "words"), SOURCES.values(), ids=SOURCES)
def test_a_source_that_does_not_fit_its_task(mtl_train, tmp_path, kind, fields, row, words):
    own = own_task(tmp_path, GOOD, kind)
    (tmp_path / "more.csv").write_text("text,label\n" + row)
    (tmp_path / "conf" / "source").mkdir()
    (tmp_path / "conf" / "source" / "more.yaml").write_text(f"train: [more.csv]\n{fields}\n")
    refused(mtl_train(*own, "+source@task.mine.sources.more=more"), *words)


def test_no_network_for_a_data_set(mtl_train, monkeypatch, tmp_path):
    pytest.importorskip("datasets", reason="the extra hub is not installed")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    refused(mtl_train("suite=hub", *QUICK), "task.sst.train", "hub://SetFit/sst5:train", "network")


def test_a_data_set_without_the_library(mtl_train, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    refused(mtl_train("suite=hub", *QUICK), "task.sst.train", "pip install 'mtl-sharing[hub]'")


class Checkpoint:
    """A small BERT checkpoint to spoil."""

    def __init__(self, folder: Path) -> None:
        from transformers import BertConfig, BertModel

        config = BertConfig(hidden_size=12, num_hidden_layers=3, num_attention_heads=3,
                            intermediate_size=20, vocab_size=40,
                            max_position_embeddings=64)  # fmt: skip
        self.folder = folder / "bert"
        BertModel(config).save_pretrained(self.folder)
        words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "is", "a"]
        (self.folder / "vocab.txt").write_text("\n".join(words))
        self.weights = self.folder / "model.safetensors"

    def run(self, mtl_train, *words):
        rows = [word for word in QUICK if not word.startswith("encoder")]
        source = f"encoder.checkpoint={self.folder}"
        return mtl_train(*rows, "encoder=auto", source, "split=2", "suite.max_length=60", *words)


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(tmp_path)


def test_a_sound_checkpoint_trains(mtl_train, checkpoint):
    done = checkpoint.run(mtl_train)
    assert done.code == 0, done.err
    assert done.result["plan"] == "S2-I1"


def test_a_checkpoint_of_another_shape(mtl_train, checkpoint):
    done = checkpoint.run(mtl_train, "encoder.layers=4")
    refused(done, "encoder.layers", "4", "3")


def test_a_checkpoint_of_another_family(mtl_train, checkpoint):
    refused(checkpoint.run(mtl_train, "encoder.family=roberta"), "encoder.family", "bert")


def test_weights_that_do_not_fit_their_own_config(mtl_train, checkpoint):
    config = json.loads((checkpoint.folder / "config.json").read_text())
    config["num_hidden_layers"] = 4
    (checkpoint.folder / "config.json").write_text(json.dumps(config))
    refused(checkpoint.run(mtl_train), "model.safetensors", "layer.3")


def test_a_truncated_file(mtl_train, checkpoint):
    checkpoint.weights.write_bytes(checkpoint.weights.read_bytes()[:-100])
    refused(checkpoint.run(mtl_train), "model.safetensors", "damaged")


def test_a_surplus_weight(mtl_train, checkpoint):
    from safetensors.torch import load_file

    weights = load_file(checkpoint.weights) | {"adapter.weight": torch.ones(2)}
    save_file(weights, checkpoint.weights)
    refused(checkpoint.run(mtl_train), "model.safetensors", "adapter.weight")


class Evil:
    """Pickles to a call."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_bin_that_tries_to_run_code(mtl_train, checkpoint, tmp_path):
    checkpoint.weights.unlink()
    torch.save({"x": Evil(tmp_path / "ran")}, checkpoint.folder / "pytorch_model.bin")
    refused(checkpoint.run(mtl_train), "pytorch_model.bin", "code")
    assert not (tmp_path / "ran").exists()


def test_no_network_for_a_hub_id(mtl_train, monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    done = mtl_train("encoder=bert_base")
    refused(done, "encoder.checkpoint", "google-bert/bert-base-uncased", "network")


def test_a_loss_that_becomes_nan(mtl_train):
    rows = [word for word in QUICK if "max_steps" not in word]
    done = mtl_train(*rows, "trainer.max_steps=60", "optimizer.lr=1e25", "optimizer.clip=null",
                     "scheduler=none")  # fmt: skip
    refused(done, "loss of task", "optimizer.lr")
    assert done.result["status"] == "failed"
    assert "loss of task" in done.result["reason"]


def test_weights_that_become_nan_in_the_last_step(mtl_train):
    rows = [word for word in QUICK if "max_steps" not in word]
    done = mtl_train(*rows, "trainer.max_steps=1", "optimizer.lr=1e25", "scheduler=none")
    refused(done, "loss of task", "on dev")


def test_debug_shows_the_traceback(mtl_train):
    done = mtl_train("split=13", "trainer.debug=true")
    assert done.code == 2
    assert "Traceback" in done.err


def test_an_output_folder_that_cannot_be_made(mtl_train, tmp_path):
    (tmp_path / "outputs").write_text("a file where the folder should be")
    done = mtl_train(*QUICK)
    assert done.code == 2
    assert "outputs" in done.err
    assert "Traceback" not in done.err


def test_a_log_that_cannot_be_opened(mtl_train, tmp_path):
    (tmp_path / "run" / "train.log").mkdir(parents=True)
    done = mtl_train(*QUICK, "hydra.run.dir=run")
    assert done.code == 2
    assert "train.log" in done.err
    assert "Traceback" not in done.err


def test_a_full_disk_leaves_nothing_that_looks_finished(mtl_train, tmp_path):
    """A limit on the size of files stands for a disk that takes no more."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        done = mtl_train(*QUICK, "hydra.run.dir=run")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    refused(done, "model.safetensors")
    assert done.run_result("run")["status"] == "failed"
    assert not (tmp_path / "run" / "model.safetensors").exists()
    assert not list((tmp_path / "run").rglob("*.tmp"))


def test_any_print_of_a_command_escapes_what_the_terminal_cannot_show(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), encoding="ascii", newline="\n")
    monkeypatch.setattr("sys.stdout", output)
    run_command(lambda: print("ü"), False, "mtl-train")
    assert output.buffer.getvalue() == b"\\xfc\n"
