"""Predictions of every dev example, in a run's folder."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from mtl_sharing.data.examples.bundled import bundled_examples
from mtl_sharing.evaluation.evaluate import answers_of
from mtl_sharing.objectives.losses import make_objective
from support import QUICK


def test_a_run_writes_its_predictions(mtl_train):
    done = mtl_train(*QUICK, "encoder.layers=2", "split=1", "suite.clean=[lower]", "sharing=pals")
    settings = json.loads((done.folder / "config.json").read_text())["settings"]
    assert settings["sharing"]["pals"]["size"] is not None
    assert settings["encoder"]["hidden"] == 12
    table = pd.read_parquet(done.folder / "predictions.parquet")
    assert list(table.columns) == ["task", "id", "text", "text_pair", "label", "prediction",
                                   "probability", "error"]  # fmt: skip
    for task, rows in table.groupby("task", sort=False):
        found = done.result["tasks"][task]
        examples = bundled_examples(task, "dev", 0, 0.8)[:30]
        # In dev's own order, and worded as in the data: not as cleaned.
        assert rows["id"].tolist() == [e.id for e in examples]
        assert rows["text"].tolist() == [e.text for e in examples]
        assert rows["label"].tolist() == [e.label for e in examples]
        if task == "sts":
            value = stats.pearsonr(rows["prediction"], rows["label"]).statistic
            wrong = np.abs(rows["prediction"] - rows["label"])
            assert rows["error"].tolist() == pytest.approx(wrong.tolist())
            assert rows["probability"].isna().all()
        else:
            value = (rows["prediction"] == rows["label"]).mean()
            right = rows["prediction"] == rows["label"]
            wanted = (1 - rows["probability"])[right]
            assert rows["error"][right].tolist() == pytest.approx(wanted.tolist())
        assert value == pytest.approx(found["value"], abs=1e-9)


def test_errors_are_what_the_true_label_lacks():
    objective = make_objective(None, "classes", "x", 3, 0.0, 0.0)
    raw = torch.tensor([[0.2, 0.3, 0.5], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]).log()
    found = answers_of(objective, raw, np.array([0.0, 0.0, np.nan]))
    assert found.values.tolist() == [2, 0, 2]
    assert found.probability is not None
    assert found.probability.tolist() == pytest.approx([0.5, 0.7, 0.8])
    assert found.error[:2].tolist() == pytest.approx([0.8, 0.3])
    assert np.isnan(found.error[2])
