"""Prediction of a file: the project's and the plain loop's answers are the same."""

import numpy as np

from benchmarks.file_prediction import ROWS, ProjectFilePrediction
from benchmarks.plain_file import PlainFilePrediction
from benchmarks.project import prepare
from mtl_sharing.evaluation.evaluate import answers_of
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
    predictor = ours.run.predictor
    ours_by_task = predictor.predict(file.firsts, file.seconds, ours.run.tasks, 16)
    raw = plain.predict(file)
    assert list(raw) == list(ours.run.tasks)
    for task, answers in ours_by_task.items():
        theirs = answers_of(run_spec.measures[task].objective, raw[task], np.full(50, np.nan))
        np.testing.assert_allclose(theirs.values, answers.values, rtol=1e-4, atol=1e-4)
        shown = theirs.values if answers.probability is None else theirs.probability
        if answers.probability is not None:
            np.testing.assert_allclose(shown, answers.probability, rtol=1e-4, atol=1e-4)
        assert len(set(shown.tolist())) > 10
