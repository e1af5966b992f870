"""The columns of a task's predictions: the answer, its probability, and that of each class."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mtl_sharing.data.tasks.task import TaskSpec
from mtl_sharing.errors import UserError, one_of
from mtl_sharing.evaluation.evaluate import Answers

_PROBABILITY = "probability"


@dataclass(frozen=True)
class AnswerColumns:
    """The columns that show a task's predictions, the same in every format.

    Attributes:
        name: the column of the predicted class or value.
        probability: the column of the predicted class's probability. That of a class has the
            class's name after it, as in ``sst_probability_good``. A regression has neither.
        each_class: whether there is a column for each class.
    """

    spec: TaskSpec
    name: str
    probability: str
    each_class: bool = True

    @classmethod
    def of_task(cls, spec: TaskSpec, prefix: str, each_class: bool) -> "AnswerColumns":
        """The columns beside those of other tasks, which begin with the task's name."""
        name = f"{prefix}{spec.name}"
        return cls(spec, name, f"{name}_{_PROBABILITY}", each_class)

    @classmethod
    def of_file(cls, spec: TaskSpec, each_class: bool) -> "AnswerColumns":
        """The columns in a file of one task: ``prediction`` and ``probability``."""
        return cls(spec, "prediction", _PROBABILITY, each_class)

    @property
    def types(self) -> dict[str, str]:
        """The columns in their order, each with the name of its Arrow type."""
        if self.spec.kind == "regression":
            return {self.name: "float64"}
        names = class_names(self.spec) if self.each_class else ()
        kind = "string" if self.spec.labels else "int64"
        probabilities = [self.probability, *(f"{self.probability}_{name}" for name in names)]
        return {self.name: kind} | dict.fromkeys(probabilities, "float64")

    def cells(self, answers: Answers) -> dict[str, list[Any]]:
        """The columns with their values; None where there is no prediction."""
        if answers.probability is None or answers.probabilities is None:
            return {self.name: numbers(answers.values)}
        columns: list[list[Any]] = [readable(self.spec, answers.values)]
        columns.append(numbers(answers.probability))
        if self.each_class:
            columns += map(numbers, answers.probabilities.T)
        return dict(zip(self.types, columns, strict=True))


def check_names(columns: Iterable[AnswerColumns], where: str) -> None:
    """Raises UserError where two tasks have a column of the same name."""
    counts = Counter(name for own in columns for name in own.types)
    if twice := [name for name, count in counts.items() if count > 1]:
        found = f"two tasks with a column named {one_of(twice)}"
        raise UserError(where, found, "one of these tasks at a time")


def class_names(spec: TaskSpec) -> tuple[str | int, ...]:
    """The names of a task's classes, or their numbers where they have none."""
    return spec.labels or tuple(range(spec.classes or 0))


def readable(spec: TaskSpec, values: NDArray[np.float64]) -> list[str | int | float | None]:
    """Labels as they are written: a class by its name or number, a value as it is.

    None for NaN.
    """
    names = class_names(spec)
    known = [None if np.isnan(value) else float(value) for value in values]
    return [v if v is None or not names else names[int(v)] for v in known]


def numbers(values: NDArray[Any]) -> list[float | None]:
    """A network's outputs in the fewest digits that identify them in fp32; None for NaN."""
    return [None if np.isnan(value) else float(str(value)) for value in values.astype(np.float32)]
