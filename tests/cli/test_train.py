"""The main job from the command line to its folder."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from mtl_sharing import __version__
from mtl_sharing.run_folder.layout import ENTRIES
from support import QUICK, ROOT

SMALL = (*QUICK, "encoder.layers=2", "split=1")
CONTRACT = {
    "schema", "plan", "regime", "parts", "seed", "score", "performance", "performance_raw_r",
    "kept", "reference", "untuned", "against", "tasks", "params", "memory", "time", "baseline",
    "multipliers", "versions", "git",
    "status",
}  # fmt: skip


def test_a_run_leaves_everything_that_the_contract_names(hybrid_run):
    names = {path.name for path in hybrid_run.folder.iterdir()}
    assert names <= set(ENTRIES)
    assert names >= {
        ".hydra", "plan.json", "result.json", "metrics.csv", "curves.png", "model.safetensors",
        "config.json", "tokenizer.json", "checkpoint", "train.log", "predictions.parquet",
    }  # fmt: skip
    result = hybrid_run.result
    assert set(result) >= CONTRACT
    assert result["status"] == "finished"
    assert result["plan"] == "S6-I6"
    assert set(result["tasks"]) == {"sst", "quora", "sts"}
    assert result["tasks"]["sts"]["metric"] == "pearson"
    times = {"train_s", "phases_s", "frozen_s", "step_s", "epoch_steps", "epoch_s",
             "examples_per_s", "predict_all_s"}  # fmt: skip
    assert set(result["time"]) == times
    assert "sst" in hybrid_run.out
    assert str(hybrid_run.folder.relative_to(hybrid_run.cwd)) in hybrid_run.out


@pytest.mark.parametrize(
    ("words", "steps"),
    [((), 120 / 12), (("trainer.accumulation=2",), 5), (("trainer.steps_per_epoch=7",), 7),
     (("sampler=sqrt", "task.sst.batch_size=8"), 5 + 10 + 10)],
)  # fmt: skip
def test_an_epoch_takes_its_steps_whatever_ends_the_training(mtl_train, words, steps):
    """40 examples of each of three tasks, in batches of 4."""
    times = mtl_train(*QUICK, "encoder.layers=1", "trainer.max_steps=13", *words).result["time"]
    assert times["epoch_steps"] == steps
    assert times["epoch_s"] == times["step_s"] * steps > 0


def test_the_score_is_performance_times_what_is_saved(hybrid_run):
    result = hybrid_run.result
    ratios = result["multipliers"]
    assert result["score"] == pytest.approx(
        result["performance"] * ratios["memory"] * ratios["time"]
    )
    sizes = result["baseline"]["model_bytes"] / result["memory"]["model_bytes"]
    assert ratios["memory"] == pytest.approx(sizes)
    assert ratios["memory"] > 1


def test_separate_models_are_their_own_baseline(separate_run):
    result = separate_run.result
    assert result["multipliers"] == {"memory": 1.0, "time": 1.0}
    assert result["score"] == result["performance"]
    assert result["kept"] == 1.0


def test_performance_counts_r_in_both_ways(hybrid_run):
    result = hybrid_run.result
    values = {name: task["value"] for name, task in result["tasks"].items()}
    unit = (values["sst"] + values["quora"] + (values["sts"] + 1) / 2) / 3
    assert result["performance"] == pytest.approx(unit)
    assert result["performance_raw_r"] == pytest.approx(sum(values.values()) / 3)


def test_equal_seeds_give_equal_weights_and_other_seeds_do_not(mtl_train):
    def weights(seed):
        folder = mtl_train(*SMALL, f"seed={seed}", "encoder.dropout=0.1").folder
        return (folder / "model.safetensors").read_bytes()

    first, again, other = weights(3), weights(3), weights(4)
    assert first == again
    assert first != other


def test_the_plan_decides_which_weights_there_are(mtl_train):
    done = mtl_train(*QUICK, "encoder.layers=4", "sharing.plan=F1-S1-G2:quora+sts")
    names = load_file(done.folder / "model.safetensors")
    copies = {name.split(".copies.")[0]: 0 for name in names if ".copies." in name}
    for stage in copies:
        copies[stage] = len({n.split(".copies.")[1][0] for n in names if n.startswith(f"{stage}.")})
    assert [copies[f"encoder.layers.{i}"] for i in range(4)] == [1, 1, 2, 2]
    params = done.result["params"]
    assert params["total"] == sum(value.numel() for value in names.values())
    assert params["trainable"] < params["total"]


@pytest.mark.parametrize("sampler", ["round_robin", "proportional", "unified"])
@pytest.mark.parametrize("pairing", ["joined", "separate"])
def test_samplers_and_pairings_run(mtl_train, sampler, pairing):
    done = mtl_train(*SMALL, f"sampler={sampler}", f"pairing={pairing}", "head=mlp")
    assert done.code == 0, done.err


@pytest.mark.parametrize("loss", ["scaled_cosine", "sigmoid_cosine"])
def test_cosine_heads_run(mtl_train, loss):
    done = mtl_train(*SMALL, "head=cosine", f"head.regression={loss}", "head.pooling=mean")
    assert done.code == 0, done.err


@pytest.mark.parametrize("schedule", ["none", "linear", "cosine", "onecycle"])
def test_schedules_and_accumulation_run(mtl_train, schedule):
    done = mtl_train(*SMALL, f"scheduler={schedule}", "trainer.accumulation=2")
    assert done.code == 0, done.err


def test_bf16_runs_and_keeps_weights_in_float32(mtl_train):
    done = mtl_train(*SMALL, "trainer.precision=bf16")
    assert done.code == 0, done.err
    weights = load_file(done.folder / "model.safetensors")
    assert {str(value.dtype) for value in weights.values()} == {"torch.float32"}


def test_early_stopping_stops(mtl_train):
    # With a rate of 0 no evaluation is better than the first.
    done = mtl_train(*SMALL, "optimizer.lr=0", "trainer.eval_every=1", "trainer.patience=2",
                     "trainer.max_steps=30")  # fmt: skip
    assert len((done.folder / "metrics.csv").read_text().splitlines()) == 1 + 3


def test_dry_run_of_bert_base_needs_no_weights(mtl_train, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    done = mtl_train("dry_run=true", "encoder=bert_base", "sharing=hybrid", "split=6")
    assert done.code == 0, done.err
    plan = json.loads((done.folder / "plan.json").read_text())
    # google-bert/bert-base-uncased: 109,482,240 parameters with its pooler.
    assert plan["tower_parameters"] == 109_482_240
    layer, embeddings, pooler = 7_087_872, 23_837_184, 590_592
    assert plan["params"]["shared"] == embeddings + 6 * layer
    heads = plan["stages"][-1]["total"]
    assert plan["params"]["total"] == embeddings + (6 + 18) * layer + 3 * pooler + heads
    assert "109,482,240" in done.out
    assert {path.name for path in done.folder.iterdir()} <= {
        ".hydra", "plan.json", "settings.json", "manifest.json", "train.log", ".lock",
    }  # fmt: skip


def test_a_task_from_the_users_own_folder(mtl_train, tmp_path):
    (tmp_path / "mine" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "task" / "reviews.yaml").write_text(
        "kind: classes\nlabels: [bad, good]\ncolumns: {text: body, label: verdict}\n"
        "train: [reviews.jsonl]\ndev: [reviews.jsonl]\n"
    )
    rows = [
        {"body": f"it is {word} {i}", "verdict": word} for i in range(9) for word in ("bad", "good")
    ]
    (tmp_path / "reviews.jsonl").write_text("\n".join(map(json.dumps, rows)))
    words = ("--config-dir=mine", "suite=own", "+task@task.reviews=reviews", "data_dir=.")
    done = mtl_train(*SMALL, *words)
    assert done.code == 0, done.err
    assert set(done.result["tasks"]) == {"reviews"}
    # SMALL takes the pretrained weights away.
    told = "encoder=minilm_l6 starts from random weights and knows no word of reviews"
    assert f"{done.out}{done.err}".count(told) == 1


def test_real_text(mtl_train, course_data):
    done = mtl_train(*QUICK, "suite=cs224n", f"data_dir={course_data}", "encoder.vocabulary=900",
                     "suite.max_train_rows=200")  # fmt: skip
    assert done.code == 0, done.err
    assert done.result["tasks"]["quora"]["examples"] == 30


def test_a_sweep_with_hydras_own_sweeper_overwrites_no_other(mtl_train):
    words = (*SMALL, "-m", "hydra.sweep.dir=sweep", "score.objective=performance")
    done = mtl_train(*words, "split=0,2")
    assert done.code == 0, done.err
    plans = {json.loads(path.read_text())["plan"] for path in Path("sweep").glob("*/result.json")}
    assert plans == {"S2", "I2"}
    table = done.out[done.out.rindex("group") :]  # the end of the last run stands before it
    assert "I2" in table and "S2" in table and "performance" in table
    assert "runs  sweep\nnext  mtl-report sweep\n" in table
    before = Path("sweep/0/.hydra/overrides.yaml").read_bytes()
    again = mtl_train(*words, "split=1,2")
    assert again.code == 2
    assert Path("sweep/0/.hydra/overrides.yaml").read_bytes() == before


def test_odd_but_sound_settings_run(mtl_train):
    """One dev row of each task; a frozen plan in which a task has nothing to learn."""
    done = mtl_train(*SMALL, "suite.max_dev_rows=1", "score.pairs=1", "sampler=round_robin",
                     "sharing.plan=F2", "head=cosine")  # fmt: skip
    assert done.code == 0, done.err
    assert done.result["score"] > 0


def test_kept_compares_like_with_like(mtl_train, separate_run):
    folder = f"score.reference={separate_run.folder}"
    raw, unit = (
        mtl_train(*QUICK, folder, f"score.pearson={kind}").result for kind in ("raw", "unit")
    )
    reference = separate_run.result
    assert raw["kept"] == raw["performance_raw_r"] / reference["performance_raw_r"]
    assert unit["kept"] == unit["performance"] / reference["performance"]
    other = mtl_train(*QUICK, folder, "suite.tasks=[sst]")
    assert other.code == 2
    assert "score.reference" in other.err


@pytest.mark.slow
def test_the_console_script_trains_from_any_folder_without_a_compiler(tmp_path):
    """Torch loads its own at the first call of some methods: 1.5 s and 70 MB for nothing."""
    script = Path(sys.executable).with_name("mtl-train")
    command = [sys.executable, "-X", "importtime", script, "--quiet", *SMALL]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "performance" in done.stdout and "S1-I1" in done.stdout
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("import time:")] == []
    imported = {line.rpartition("|")[2].strip() for line in lines}
    assert "torch" in imported and "torch._dynamo" not in imported


def test_help_loads_no_torch():
    script = Path(sys.executable).with_name("mtl-train")
    code = (
        "import sys; sys.argv = ['mtl-train', '--help']\n"
        "from mtl_sharing.cli.train import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'scipy', 'pandas', 'sklearn', 'optuna'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    assert script.is_file()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sharing=hybrid split=6" in done.stdout


def test_an_installed_copy_carries_its_configs(tmp_path):
    """A plain install, not an editable one: the wheel holds conf/ and sweeps/."""
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q"]
    done = subprocess.run([*build, "-w", tmp_path, ROOT], capture_output=True, text=True,
                          check=False, env=os.environ | {"PIP_NO_INDEX": "1"})  # fmt: skip
    assert done.returncode == 0, done.stderr
    import zipfile

    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {f"mtl_sharing/{p.relative_to(ROOT)}" for p in (ROOT / "conf").rglob("*.yaml")}
    wanted |= {f"mtl_sharing/{p.relative_to(ROOT / 'src' / 'mtl_sharing')}"
               for p in (ROOT / "src" / "mtl_sharing").rglob("*.py")}  # fmt: skip
    assert len(wanted) > 60
    assert wanted <= names


@pytest.mark.usefixtures("pictures")
def test_no_steps_evaluate_the_encoder_as_it_is(mtl_train):
    done = mtl_train(*SMALL, "trainer.max_steps=0")
    assert done.code == 0, done.err
    result = done.result
    assert result["status"] == "finished"
    assert result["time"]["train_s"] == 0
    assert result["time"]["step_s"] is None
    assert (done.folder / "curves.png").is_file()
    assert all(task["examples"] for task in result["tasks"].values())


def test_a_task_without_weight_is_left_as_it_starts(mtl_train):
    words = ("loss.weights={sst:1,quora:0,sts:0}", "sharing=individual", "optimizer.lr=1e-2")
    before = load_file(
        mtl_train(*SMALL, *words, "trainer.max_steps=0").folder / "model.safetensors"
    )
    done = mtl_train(*SMALL, *words, "trainer.eval_every=4")
    assert done.code == 0, done.err
    after = load_file(done.folder / "model.safetensors")
    same = {name for name, value in before.items() if value.equal(after[name])}
    # Copies stand in the order of the tasks: 0 is sst's.
    assert {name for name in before if ".copies.0." in name}.isdisjoint(same)
    assert {name for name in before if ".copies.1." in name or ".copies.2." in name} <= same
    assert {"heads.outputs.1.weight", "heads.outputs.2.weight"} <= same
    assert "heads.outputs.0.weight" not in same
    assert set(done.result["tasks"]) == {"sst", "quora", "sts"}


def test_a_reader_that_goes_is_no_mistake():
    command = f"{sys.executable} -m mtl_sharing.cli.train --help | head -n 1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode in (0, 141)
    assert done.stdout.startswith("mtl-train:")
    assert done.stderr == ""


@pytest.mark.parametrize("command", ["train", "predict", "export", "report"])
def test_every_command_has_the_version_of_the_project(command):
    code = f"from mtl_sharing.cli.entry_points import {command}; {command}()"
    done = subprocess.run([sys.executable, "-c", code, "--version"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == f"mtl-sharing {__version__}\n"
