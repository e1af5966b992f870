"""The bundled encoder's weights: what is shipped, and the tool that makes them."""

import math

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.tiny_weights import FOLDER, OVERRIDES, main
from mtl_sharing.data.tokens.masking import MaskedBatches
from mtl_sharing.evaluation.evaluate import evaluate
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.phases import make_learner
from mtl_sharing.job.spec import resolve_spec
from mtl_sharing.model.encoder.checkpoint import load_tower
from mtl_sharing.model.pretraining import MaskedLanguageModel, load_mlm_head
from mtl_sharing.objectives.pretraining import MaskedTokens
from support import load_config

SMALL = ("suite.max_train_rows=60", "suite.max_dev_rows=20", "phases.mlm.steps=3")
FILES = ("config.json", "model.safetensors", "tokenizer.json")


def test_what_is_shipped_is_small_and_whole():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES)
    assert (FOLDER / "model.safetensors").stat().st_size < 4e6
    run_spec = resolve_spec(load_config("sharing=shared"))
    assert run_spec.config.encoder.checkpoint == "pkg://mtl_sharing/weights/tiny"
    loaded = load_tower(FOLDER / "model.safetensors", run_spec.shape, seed=0)
    assert loaded.random == ("pooler",)  # no head of the default run reads it
    assert load_mlm_head(FOLDER / "model.safetensors", run_spec.shape) is not None


@pytest.mark.parametrize(
    ("words", "checkpoint"),
    [
        (("suite=bundled",), "pkg://mtl_sharing/weights/tiny"),
        (("suite=cs224n",), None),
        (("suite=bundled", "encoder.checkpoint=null"), None),
    ],
)
def test_only_the_bundled_suite_starts_from_it(words, checkpoint):
    assert load_config("encoder=tiny", *words).encoder.checkpoint == checkpoint


def masked_loss(folder, tmp_path):
    """Mean loss over hidden tokens of dev text that the pretraining did not see."""
    words = ("sharing=shared", "phases=mlm", f"encoder.checkpoint={folder}")
    run_spec = resolve_spec(load_config(*words))
    inputs = load_inputs(run_spec, tmp_path)
    head = load_mlm_head(folder / "model.safetensors", run_spec.shape)
    model = MaskedLanguageModel(run_spec.network(run_spec.architecture, inputs.tower), head)
    losses = []
    for name, data in inputs.dev.items():
        batch = MaskedBatches(name, data, 100, 0, inputs.vocabulary)[0]
        with torch.no_grad():
            raw = model.eval()({name: batch.text})[name]
        losses.append(MaskedTokens(run_spec.shape.vocabulary).loss(raw, batch.labels).item())
    return sum(losses) / len(losses)


def test_the_shipped_weights_predict_hidden_words_of_unseen_text(tmp_path):
    # A guess among all pieces costs log(2048), 7.6.
    assert masked_loss(FOLDER, tmp_path) < math.log(2048) / 3


@pytest.mark.slow
def test_the_tool_writes_what_it_trained(tmp_path, capsys):
    main(tmp_path, (*OVERRIDES, *SMALL))
    assert "step 3 of 3  loss sst " in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(FILES)
    again = tmp_path / "again"
    main(again, (*OVERRIDES, *SMALL))
    one, other = (load_file(place / "model.safetensors") for place in (tmp_path, again))
    assert one.keys() == load_file(FOLDER / "model.safetensors").keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    # Three steps have learnt little: it is not the shipped file that is read back.
    (tmp_path / "run").mkdir()
    assert 6 < masked_loss(tmp_path, tmp_path / "run") < 7.6


@pytest.mark.slow
def test_frozen_layers_mean_something(tmp_path):
    """Heads alone on the shipped encoder do better than on a random one."""
    words = ("sharing=frozen", "trainer.max_steps=150", "optimizer.lr=1e-2", "cache.prefix=false",
             "suite.max_train_rows=1500", "suite.max_dev_rows=400")  # fmt: skip
    found = []
    for start in ((), ("encoder.checkpoint=null",)):
        torch.manual_seed(0)
        run_spec = resolve_spec(load_config(*words, *start))
        place = tmp_path / str(len(start))
        place.mkdir()
        inputs = load_inputs(run_spec, place)
        learner = make_learner(run_spec, inputs, run_spec.architecture)
        for step in range(150):
            learner.update(step, 150)
        judged = evaluate(learner.network, inputs.dev, run_spec.measures, run_spec.runtime)
        found.append(judged.performance)
    assert found[0] > found[1] + 0.03
