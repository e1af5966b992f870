"""What is stored and what is not: room, use, plans, and folders that take nothing."""

import errno
import gc
import shutil
import weakref
from collections import Counter
from dataclasses import replace

import pytest

from frozen_runs import count_tokens
from mtl_sharing.data.tokens.batches import TrainingBatches
from mtl_sharing.evaluation import evaluate
from mtl_sharing.job.frozen_states import read_passes, with_frozen_states
from mtl_sharing.job.phase_settings import make_phase_settings
from mtl_sharing.job.phases import make_trainer
from mtl_sharing.training.settings import PhaseConfig
from support import QUICK

PLAN = ("sharing.plan=F2-I1",)


def stored_in(inputs):
    """Names of the splits of tasks that have states."""
    splits = {"train": inputs.train, "dev": inputs.dev}
    each = ((f"{split}/{task}", splits[split][task]) for split in splits for task in splits[split])
    return {name for name, data in each if data.collate([0]).text.states is not None}


ALL = {f"{split}/{task}" for split in ("train", "dev") for task in ("sst", "quora", "sts")}


def bytes_in(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("share", [0.0001, 0.3, pytest.param(0.6, marks=pytest.mark.slow)])
def test_what_does_not_fit_runs_through_the_layers(train, entries, tmp_path, caplog, share):
    plain = train(*PLAN, "cache.prefix=false")
    train(*PLAN)
    cache = tmp_path / "cache"
    bound, whole = share * bytes_in(cache), len(entries())
    shutil.rmtree(cache)
    words = (*PLAN, f"cache.max_gb={bound / 1e9}")
    cold = train(*words)
    cold.check_equal(plain, 1e-5)
    known = {folder: folder.stat().st_ino for folder in entries()}
    assert bytes_in(cache) <= bound if cache.exists() else not known
    assert (len(known) > 0) == (share > 0.1)
    assert len(known) < whole
    assert cold.computed > 0
    assert (cold.computed < plain.computed) == (share > 0.1)
    # Nothing is driven out to be made again.
    warm = train(*words)
    warm.check_equal(cold, 0)
    assert {folder: folder.stat().st_ino for folder in entries()} == known
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def test_a_pair_without_the_states_of_one_text_has_none(prepare, entries):
    """They would be read for nothing."""
    assert stored_in(with_frozen_states(*prepare(*PLAN))) == ALL
    *_, second = (folder for folder, about in entries().items() if about["texts"] == 11)
    shutil.rmtree(second)
    found = with_frozen_states(*prepare(*PLAN, "trainer.max_steps=1"))
    assert stored_in(found) == ALL - {"train/quora"}


def test_a_pair_is_computed_where_both_texts_fit(prepare, entries):
    run_spec, inputs = prepare(*PLAN, "suite.tasks=[quora]")
    train, dev = ({"quora": data["quora"]} for data in (inputs.train, inputs.dev))
    inputs = replace(inputs, train=train, dev=dev)
    # Room for each of them, and not for both; dev is larger.
    states = 12 * 4 * len(train["quora"].second.tokens)
    run_spec.config.cache.max_gb = (1.5 * states + 8192) / 1e9
    assert not stored_in(with_frozen_states(run_spec, inputs))
    assert not entries()
    run_spec.config.cache.max_gb *= 3
    assert stored_in(with_frozen_states(run_spec, inputs))


@pytest.mark.parametrize("words", [("trainer.max_steps=3",), ("trainer.max_steps=4",)])
def test_what_is_read_at_most_once_is_taken_but_not_computed(prepare, entries, words):
    """Three steps are one epoch of sts, whose last batch is a small one."""
    first = with_frozen_states(*prepare(*PLAN, *words))
    dev = {name for name in ALL if name.startswith("dev")}
    assert stored_in(first) == dev | ({"train/sts"} if "4" in words[0] else set())
    assert stored_in(with_frozen_states(*prepare(*PLAN))) == ALL
    known = entries()
    assert stored_in(with_frozen_states(*prepare(*PLAN, *words))) == ALL
    assert entries() == known


@pytest.mark.parametrize(
    ("phase", "tasks"),
    [
        (PhaseConfig(steps=1), ()),
        (PhaseConfig(steps=2), ("sts",)),
        (PhaseConfig(steps=2, when="after"), ("sts",)),
        (PhaseConfig(steps=3, frozen=True), ("quora", "sts")),
        (PhaseConfig(steps=4), ("sst", "quora", "sts")),
        # Larger batches make fewer: 3 of sst, 2 of quora and of sts.
        (PhaseConfig(steps=1, batch_size=6), ("sts",)),
        (PhaseConfig(steps=2, batch_size=6), ("sst", "quora", "sts")),
        # Six turns make two batches of each task.
        (PhaseConfig(steps=6, sampler="sequential"), ("sts",)),
        # Other kinds read no states.
        (PhaseConfig("masked_lm", steps=40), ()),
        (PhaseConfig("ranking", steps=40, task="quora"), ()),
    ],
    ids=str,
)
def test_phases_of_the_tasks_count_beside_the_main_training(prepare, phase, tasks):
    """Two steps of three examples, and the phase's: sst has 5 such batches, quora 4, sts 3."""
    run_spec, inputs = prepare(*PLAN, "trainer.max_steps=2")
    run_spec = replace(run_spec, config=replace(run_spec.config, phases={"own": phase}))
    inputs = replace(inputs, pairs={"quora": inputs.train["quora"]})
    found = stored_in(with_frozen_states(run_spec, inputs))
    assert {name for name in found if name.startswith("train")} == {f"train/{t}" for t in tasks}


@pytest.mark.parametrize("words", [(), ("sampler.name=annealed", "trainer.accumulation=2")])
def test_the_passes_foretold_are_those_that_a_run_makes(prepare, tmp_path, monkeypatch, words):
    run_spec, inputs = prepare(*PLAN, "trainer.max_steps=5", "trainer.eval_every=2",
                                  "trainer.eval_examples=7", *words)  # fmt: skip
    phases = {
        "early": PhaseConfig(frozen=True, steps=4, batch_size=2),
        "late": PhaseConfig(when="after", steps=7, sampler="round_robin"),
    }
    run_spec = replace(run_spec, config=replace(run_spec.config, phases=phases))
    found = {"train": Counter(), "dev": Counter()}
    give, ask = TrainingBatches.__getitem__, evaluate.predict

    def given(batches, number):
        found["train"][batches.task] += 1 / len(batches)
        return give(batches, number)

    def asked(network, task, data, *rest):
        found["dev"][task] += len(data) / len(inputs.dev[task])
        return ask(network, task, data, *rest)

    monkeypatch.setattr(TrainingBatches, "__getitem__", given)
    monkeypatch.setattr(evaluate, "predict", asked)
    trainer = make_trainer(run_spec, inputs, tmp_path)
    trainer.run()
    evaluate.evaluate(trainer.network, inputs.dev, trainer.measures, trainer.runtime)
    for split, passes in read_passes(
        run_spec, inputs, make_phase_settings(run_spec, inputs)
    ).items():
        assert passes == pytest.approx(found[split])


@pytest.mark.parametrize("steps", [3000, 3001, 30_000])
def test_tasks_in_turn_count_alike_in_a_long_training(prepare, steps):
    words = ("sampler.name=round_robin", f"trainer.max_steps={steps}")
    assert stored_in(with_frozen_states(*prepare(*PLAN, *words))) == ALL


def test_a_run_that_wants_no_states_leaves_them_alone(train, entries, caplog):
    stored = train(*PLAN)
    times = {}
    for folder in entries():
        (folder / "values.npy").write_bytes(b"damaged")
        times[folder] = (folder / "entry.json").stat().st_mtime_ns
    plain = train(*PLAN, "cache.prefix=false")
    plain.check_equal(stored, 1e-5)
    assert plain.computed > 0
    assert {f: (f / "entry.json").stat().st_mtime_ns for f in times} == times
    assert "frozen layers from the cache" not in caplog.messages[-1]
    assert not [record for record in caplog.records if record.levelname == "WARNING"]


def refuse(*_, **__):
    raise OSError(errno.EROFS, "Read-only file system")


@pytest.mark.parametrize("filled", [False, True])
def test_a_folder_that_can_only_be_read(prepare, train_on, entries, monkeypatch, caplog, filled):
    run_spec, plain = prepare(*PLAN)
    wanted = train_on(run_spec, plain)
    if filled:
        with_frozen_states(run_spec, plain)
    known = entries()
    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.mkdir", refuse)
        patch.setattr("os.utime", refuse)
        inputs = with_frozen_states(run_spec, plain)
    assert stored_in(inputs) == (ALL if filled else set())
    assert entries() == known
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (0 if filled else 1)
    train_on(run_spec, inputs).check_equal(wanted, 1e-5)


def test_a_file_where_the_folder_should_be(train, tmp_path, caplog):
    (tmp_path / "cache").write_text("mine")
    train(*PLAN).check_equal(train(*PLAN, "cache.prefix=false"), 0)
    assert caplog.text.count("going on without the cache") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("sharing.plan=S3",),
        ("sharing.plan=I3",),
        ("sharing.plan=S1-F2",),
        ("sharing.plan=ES-F2-I1",),
        ("sharing.plan=EI-F3",),
        ("sharing.plan=EF-S3",),
        ("sharing.plan=F3", "sharing.pals.size=6"),
    ],
    ids=" ".join,
)
def test_nothing_is_stored_where_states_change(prepare, tmp_path, words):
    run_spec, inputs = prepare(*words)
    assert with_frozen_states(run_spec, inputs) is inputs
    assert not (tmp_path / "cache").exists()


def test_the_score_is_measured_without_states(mtl_train, monkeypatch, tmp_path):
    """Both sides run all their layers on tokens: what lies in a cache decides no score."""
    found = {}

    def watched(makers, text, pairs, turns):
        for name, make in zip(("regime", "baseline"), makers, strict=True):
            learner = make()
            seen = count_tokens(learner.network)
            for step in range(3):
                learner.update(step, 3)
            found[name] = sum(seen)
        found["states"] = text.states

    monkeypatch.setattr("mtl_sharing.job.measurement.time_side_by_side", watched)
    words = [word for word in QUICK if "pairs" not in word]
    done = mtl_train(*words, "encoder.layers=3", "sharing.plan=F2-I1", "trainer.max_steps=12",
                     "score.pairs=1", f"cache.folder={tmp_path / 'cache'}")  # fmt: skip
    assert done.code == 0, done.err
    assert found["regime"] == found["baseline"] > 0
    assert found["states"] is None


def test_what_is_not_trained_is_not_computed(prepare, entries):
    words = ("sharing.plan=F3", "loss.weights.sst=1", "loss.weights.quora=0", "loss.weights.sts=0")
    run_spec, inputs = prepare(*words, "trainer.max_steps=40")
    known = with_frozen_states(run_spec, inputs)
    assert known.train["sst"].first.states is not None
    assert known.train["quora"].first.states is None
    assert known.dev["quora"].first.states is not None


def test_states_do_not_hold_the_starting_weights(prepare):
    run_spec, inputs = prepare("sharing.plan=F3", "trainer.max_steps=40")
    weight = weakref.ref(inputs.tower["layer.0"]["qkv.weight"])
    inputs = replace(with_frozen_states(run_spec, inputs), tower={})
    gc.collect()
    assert inputs.train["sst"].first.states is not None
    assert weight() is None
