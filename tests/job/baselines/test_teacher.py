"""Runs that learn from separate models: whose outputs they learn from, and where these are."""

import json
import shutil
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from safetensors.torch import load_file as load_weights

from mtl_sharing.errors import Stopped, UserError
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.run import run_job
from mtl_sharing.job.spec import resolve_spec, start_on_machine
from mtl_sharing.job.stages import Hooks, prepare
from mtl_sharing.job.teacher import read_train_outputs
from mtl_sharing.training.learner import Learner
from mtl_sharing.utils.hashing import digest_rows
from support import QUICK, load_config

WORDS = (*QUICK, "encoder.layers=2", "encoder.dropout=0.2", "trainer.device=cpu",
         "trainer.eval_every=2", "score.clock=flops", "trainer.precision=fp32",
         "optimizer.lr=0.01")  # fmt: skip
SHARED, SEPARATE = ("sharing.plan=S2",), ("sharing.plan=I2",)
TAUGHT = ("distillation.weight=1", "distillation.end=0")
NO_CACHE = "cache.max_gb=1e-9"


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Inputs that all runs of this file share, and the folder with their tokenizer."""
    folder = tmp_path_factory.mktemp("inputs")
    run_spec = start_on_machine(resolve_spec(load_config(*WORDS, "cache.tokens=false")))
    return load_inputs(run_spec, folder), folder


@pytest.fixture
def train(tmp_path, text):
    """Trains in a folder of the given name, on the shared inputs or on some of their rows."""

    def call(name, *words, rows=None, **hooks):
        inputs = text[0] if rows is None else some(text[0], rows)
        folder = tmp_path / name

        def load(run_spec, at):
            shutil.copyfile(text[1] / "tokenizer.json", at / "tokenizer.json")
            return replace(inputs)

        folder.mkdir(exist_ok=True)
        config = load_config(*WORDS, f"cache.folder={tmp_path / 'cache'}", *words)
        run_job(config, folder, Hooks(load=load, curves=False, **hooks))
        return folder

    return call


def some(inputs, rows):
    """The inputs with these rows of train, in this order."""
    train = {}
    for task, data in inputs.train.items():
        second = None if data.second is None else data.second.take(rows)
        train[task] = replace(data, first=data.first.take(rows), second=second,
                              labels=data.labels[rows])  # fmt: skip
    digests = {task: found[rows] for task, found in inputs.train_rows.items()}
    return replace(inputs, train=train, train_rows=digests)


def weights(folder):
    return load_weights(folder / "model.safetensors")


def same(one, other):
    return all(torch.equal(weight, other[name]) for name, weight in one.items())


def teacher(folder):
    return load_file(folder / "checkpoint" / "teacher.safetensors")


@pytest.mark.slow
def test_separate_models_keep_what_their_best_weights_give(train, text):
    folder = train("alone", *SEPARATE, "optimizer.lr=0.3")  # so that the last are not the best
    run_spec = resolve_spec(load_config(*WORDS, *SEPARATE))
    network = run_spec.network(run_spec.architecture, text[0].tower).eval()
    network.load_state_dict(weights(folder))
    found = read_train_outputs(folder)
    for task, data in text[0].train.items():
        rows = np.array([17, 3, 17, 39])
        objective = run_spec.measures[task].objective
        outputs = found.of(task, objective, text[0].train_rows[task][rows])
        with torch.no_grad():
            wanted = [network({task: data.collate([row]).text})[task][0] for row in rows]
        torch.testing.assert_close(torch.from_numpy(outputs), torch.stack(wanted))


def test_separate_models_are_trained_once_for_all_that_learn_from_them(train, trained):
    first = train("first", *SHARED, *TAUGHT)
    assert trained == ["I2", "S2"]
    second = train("second", *SHARED, "score.reference=separate")
    assert trained == ["I2", "S2", "S2"]
    assert not same(weights(second), weights(first))


@pytest.mark.slow
def test_a_run_of_separate_models_teaches_others(train, trained):
    outputs = read_train_outputs(train("alone", *SEPARATE)).arrays
    for task, found in teacher(train("taught", *SHARED, *TAUGHT)).items():
        assert np.array_equal(found, outputs[f"outputs/{task}"])
    assert trained == ["I2", "S2"]


@pytest.mark.slow
def test_a_distilled_run_is_no_baseline(train, trained, tmp_path):
    folder = train("self", *SEPARATE, *TAUGHT, "score.reference=separate")
    assert trained == ["I2", "I2"]
    assert not (folder / "train_outputs.safetensors").exists()
    assert len(list(tmp_path.glob("cache/baselines/separate-*"))) == 1
    train("other", *SHARED, "score.reference=separate")
    assert trained == ["I2", "I2", "S2"]


@pytest.mark.slow
def test_a_teacher_is_no_reference_of_a_run_that_wants_none(train):
    result = json.loads((train("run", *SHARED, *TAUGHT) / "result.json").read_text())
    assert result["reference"] is None and result["kept"] is None
    assert result["regime"] == "S2 + distilled 1 to 0 at temperature 2"


@pytest.mark.parametrize("damage", ["gone", pytest.param("damaged", marks=pytest.mark.slow)])
def test_an_entry_without_outputs_is_made_again_for_a_run_that_learns(
    train, trained, tmp_path, damage
):
    expected = weights(train("first", *SHARED, *TAUGHT))
    (path,) = tmp_path.glob("cache/baselines/separate-*/train_outputs.safetensors")
    path.unlink() if damage == "gone" else path.write_bytes(path.read_bytes()[:-9])
    trained.clear()
    train("compared", *SHARED, "score.reference=separate")
    assert trained == ["S2"]  # which reads no outputs
    assert same(weights(train("again", *SHARED, *TAUGHT)), expected)
    assert trained == ["S2", "I2", "S2"] and path.is_file()


@pytest.mark.slow
@pytest.mark.parametrize("words", [(NO_CACHE,), ("cache.folder=/dev/null",)])
def test_a_teacher_needs_no_cache(train, trained, words):
    folder = train("run", *SHARED, *TAUGHT, *words)
    assert trained == ["I2", "S2"]
    assert same(weights(folder), weights(train("cached", *SHARED, *TAUGHT)))
    assert not (folder / "baselines").exists()


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_its_own_copy(train, trained, tmp_path, monkeypatch):
    expected = weights(train("whole", *SHARED, *TAUGHT))
    update = Learner.update

    def interrupted(self, step, total, *ended):
        if step == 2:
            signal.raise_signal(signal.SIGINT)
        return update(self, step, total, *ended)

    monkeypatch.setattr(Learner, "update", interrupted)
    with pytest.raises(Stopped):
        train("run", *SHARED, *TAUGHT)
    monkeypatch.setattr(Learner, "update", update)
    shutil.rmtree(tmp_path / "cache")
    trained.clear()
    assert same(weights(train("run", *SHARED, *TAUGHT)), expected)
    assert trained == ["S2"]


@pytest.mark.slow
def test_a_damaged_copy_is_named(train, text, tmp_path):
    folder = train("run", *SHARED, *TAUGHT)
    path = folder / "checkpoint" / "teacher.safetensors"
    path.write_bytes(path.read_bytes()[:-1])
    run_spec = resolve_spec(load_config(*WORDS, *SHARED, *TAUGHT))
    with pytest.raises(UserError, match="a damaged file"):
        prepare(run_spec, folder, Hooks(load=lambda *_: text[0], pinned=False))


def test_a_run_of_other_rows_in_another_order_teaches(train, trained, tmp_path):
    alone = train("alone", *SEPARATE)
    rows = np.random.default_rng(0).permutation(40)[:23]
    shutil.rmtree(tmp_path / "cache")
    trained.clear()
    run = train("run", *SHARED, *TAUGHT, f"distillation.teacher={alone}", rows=rows)
    assert trained == ["S2"]
    outputs = read_train_outputs(alone).arrays
    for task, found in teacher(run).items():
        assert np.array_equal(found, outputs[f"outputs/{task}"][rows])


@pytest.mark.slow
def test_a_teacher_that_does_not_fit_is_named(train, tmp_path):
    rows = np.arange(30)
    named = f"distillation.teacher={train('alone', *SEPARATE, rows=rows)}"
    fails = [
        ((named,), None, "no outputs for 10 of 40 train rows of sst"),
        ((named, "task.quora.loss=mse"), rows, "outputs of BinaryCrossEntropy"),
        ((f"distillation.teacher={tmp_path}",), rows, "which has no train_outputs.safetensors"),
    ]
    for number, (words, read, found) in enumerate(fails):
        with pytest.raises(UserError) as caught:
            train(f"run-{number}", *SHARED, *TAUGHT, *words, rows=read)
        assert caught.value.where == "distillation.teacher" and found in str(caught.value)


def test_without_a_way_to_train_separate_models_the_teacher_is_named(text, tmp_path):
    run_spec = resolve_spec(load_config(*WORDS, *SHARED, *TAUGHT))
    with pytest.raises(UserError, match="separate models are not trained here"):
        prepare(run_spec, tmp_path, Hooks(load=lambda *_: text[0], pinned=False))


@pytest.mark.slow
def test_separate_models_that_do_not_train_end_the_run(train):
    with pytest.raises(UserError, match="in training separate models"):
        train("run", *SHARED, *TAUGHT, "optimizer.lr=1e38", "optimizer.clip=null")


def test_rows_are_told_apart_by_their_texts():
    rows = [("a", "b"), ("ab", ""), ("ab",), ("", "ab"), ("b", "a"), ("a", "b")]
    found = [row.tobytes() for row in digest_rows(rows)]
    assert len(set(found)) == 5 and found[0] == found[-1]
    assert digest_rows([]).shape == (0, 16)


@pytest.mark.slow
def test_rows_find_their_outputs_whatever_was_read(mtl_train, tmp_path):
    """Of several sources, with bad rows and held-out ones, in another order and number."""
    texts = [f"film {n} {'good' if n % 2 else 'bad'} indeed" for n in range(60)]
    lines = [f"{text}\t{n % 2}" for n, text in enumerate(texts)]
    own, extra = tmp_path / "own.tsv", tmp_path / "extra.tsv"
    own.write_text("\n".join(["text\tlabel", *lines[:20], "\t1", *lines[20:40]]) + "\n")
    extra.write_text("\n".join(["text\tlabel", *lines[40:]]) + "\n")
    words = [*QUICK, "encoder.layers=1", "suite.max_train_rows=null", "trainer.precision=fp32",
             "suite.tasks=[mine]", f"data_dir={tmp_path}", "sharing.plan=I1",
             "+task={mine:{kind:binary,train:[own.tsv],dev:[own.tsv],columns:{text:text,"
             "label:label},sources:{extra:{train:[extra.tsv]}}}}",
             f"cache.folder={tmp_path / 'cache'}"]  # fmt: skip
    alone = mtl_train(*words, "hydra.run.dir=alone")
    assert alone.code == 0, alone.err
    own.write_text("\n".join(["text\tlabel", "\t0", *lines[39:10:-1]]) + "\n")
    taught = mtl_train(*words, *TAUGHT, "distillation.teacher=alone",
                       "suite.select_fraction=0.2", "hydra.run.dir=taught")  # fmt: skip
    assert taught.code == 0, taught.err
    known = read_train_outputs(tmp_path / "alone").arrays
    rows = {row.tobytes(): out for row, out in
            zip(known["rows/mine"], known["outputs/mine"], strict=True)}  # fmt: skip
    found = teacher(tmp_path / "taught")["mine"]
    of_text = {rows[digest_rows([(text,)])[0].tobytes()].tobytes(): text for text in texts}
    # Every output is that of a text which is left, and none is that of a text which is gone.
    kept = [of_text[one.tobytes()] for one in found]
    assert 35 <= len(kept) < 49 and not set(kept) & set(texts[:11])
