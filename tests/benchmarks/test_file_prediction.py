"""Prediction of a file: the project's and the plain loop's answers are the same."""

import torch

from benchmarks.file_prediction import ROWS, ProjectFilePrediction
from benchmarks.plain_file import PlainFilePrediction
from benchmarks.project import prepare
from support import perturb


def test_both_loops_predict_the_same(tmp_path, small_words):
    words = (*small_words, "sharing=plan", "sharing.plan=S1-I2")
    run_spec, inputs = prepare(words, tmp_path / "run")
    ours = ProjectFilePrediction(run_spec, inputs, tmp_path / "run")
    file = ours.file.take(50)
    assert len(ours.file.firsts) == ROWS and len(set(file.firsts)) > 10
    network = perturb(ours.run.network)
    plain = PlainFilePrediction(run_spec, inputs, tmp_path / "run")
    weights = run_spec.network(run_spec.architecture, inputs.tower)
    weights.load_state_dict(network.state_dict())
    plain.network = type(plain.network)(weights).eval()
    table = ours.run.predict(file.firsts, file.seconds)
    raw = plain.predict(file)
    assert list(raw) == list(run_spec.specs)
    for task, spec in run_spec.specs.items():
        answers, _ = run_spec.measures[task].objective.predictions(raw[task])
        torch.testing.assert_close(
            torch.as_tensor(answers, dtype=torch.float64),
            torch.as_tensor(table[task].to_numpy(), dtype=torch.float64),
            rtol=1e-4, atol=1e-5,
        )  # fmt: skip
