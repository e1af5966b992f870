"""predictions.parquet: the predictions of a run's best weights for every dev example."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.run_folder.layout import PREDICTIONS
from mtl_sharing.utils.files import replace_file

if TYPE_CHECKING:
    import pyarrow as pa


def write_predictions(
    folder: Path, answers: Mapping[str, Answers], examples: Mapping[str, Sequence[Example]]
) -> None:
    """Replaces the run's predictions.parquet: a row for each example, task after task.

    Columns: task, id, text, text_pair (null for single texts), label and prediction (in label
    units), probability (of the predicted class; null for regression), error (see
    :class:`Answers`).
    """
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.concat_tables([_rows(task, answers[task], examples[task]) for task in answers])
    replace_file(
        folder / PREDICTIONS, lambda path: parquet.write_table(table, path, compression="zstd")
    )


def _rows(task: str, answers: Answers, examples: Sequence[Example]) -> "pa.Table":
    import pyarrow as pa

    labels = [None if e.label is None else float(e.label) for e in examples]
    none = pa.nulls(len(examples), pa.float64())
    return pa.table(
        {
            "task": pa.array([task] * len(examples), pa.string()),
            "id": pa.array([e.id for e in examples], pa.string()),
            "text": pa.array([e.text for e in examples], pa.string()),
            "text_pair": pa.array([e.text_pair for e in examples], pa.string()),
            "label": pa.array(labels, pa.float64()),
            "prediction": pa.array(answers.values),
            "probability": none if answers.probability is None else pa.array(answers.probability),
            "error": pa.array(answers.error, mask=np.isnan(answers.error)),
        }
    )
