"""Prediction files of Stanford's CS 224N default project, in the layout of its scoring."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mtl_sharing.data.examples.examples import Example
from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.evaluation.evaluate import Answers
from mtl_sharing.predict.predictor import rounded
from mtl_sharing.utils.files import replace_text

CS224N = "cs224n"


@dataclass(frozen=True)
class _Layout:
    """A task's file.

    Attributes:
        name: start of the file's name.
        column: header of the predictions.
        kind: kind that the task must have.
        integer: whether predictions are written as integers.
    """

    name: str
    column: str
    kind: str
    integer: bool = False


# The course's own spelling.
_LAYOUTS = {
    "sst": _Layout("sst", "Predicted_Sentiment", "classes", integer=True),
    "quora": _Layout("para", "Predicted_Is_Paraphrase", "binary"),
    "sts": _Layout("sts", "Predicted_Similiary", "regression"),
    "cfimdb": _Layout("cfimdb", "Predicted_Sentiment", "binary", integer=True),
}


def course_file(spec: TaskSpec, split: str) -> str:
    """The name of a task's file, such as ``para-dev-output.csv``.

    Raises:
        UserError: a task that is not in the course.
    """
    layout = _LAYOUTS.get(spec.name)
    if layout is None:
        allowed = f"--tasks with some of {one_of(_LAYOUTS)}, or another format"
        raise UserError(f"--format {CS224N}", f"the task {spec.name}", allowed)
    if spec.kind != layout.kind:
        found = f"the task {spec.name} of kind {spec.kind}"
        raise UserError(f"--format {CS224N}", found, f"kind {layout.kind}, as in the course")
    return f"{layout.name}-{split}-output.csv"


def write_course_file(
    path: Path, spec: TaskSpec, examples: Sequence[Example], answers: Answers
) -> None:
    """Replaces a task's file: a header, then ``<id> , <prediction> `` for each example."""
    layout = _LAYOUTS[spec.name]
    lines = [f"id \t {layout.column} \n"]
    for example, value in zip(examples, answers.values, strict=True):
        lines.append(f"{example.id} , {int(value) if layout.integer else rounded(value)} \n")
    replace_text(path, "".join(lines))
