"""A trained run in memory, which predicts any texts."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer

from mtl_sharing.errors import UserError, check_known, check_range, one_of
from mtl_sharing.job.description import describe_regime
from mtl_sharing.job.run_result import RunResult, run_text
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.network import Network
from mtl_sharing.predict.answer_columns import AnswerColumns, check_names
from mtl_sharing.predict.predictor import Predictor
from mtl_sharing.run_folder.layout import AS_WRITTEN, RESULT, Status
from mtl_sharing.run_folder.results import Result, read_result, result_problem

if TYPE_CHECKING:
    import pandas as pd


# By the names of Arrow's types.
_PANDAS_TYPES = {"string": "str", "int64": "Int64", "float64": "float64"}


@dataclass(frozen=True, eq=False, repr=False)
class LoadedRun:
    """A run's network with its tokenizer and settings; ``repr`` shows it in three lines.

    Attributes:
        folder: where it was loaded from.
        run_spec: the run's settings; its encoder has a shape, but no checkpoint.
        network: the run's best weights, in evaluation mode, on ``run_spec.runtime.device``.
    """

    folder: Path
    run_spec: RunSpec
    network: Network
    tokenizer: Tokenizer

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of its tasks, in the plan's order."""
        return self.run_spec.plan.tasks

    @property
    def result(self) -> RunResult | None:
        """The content of the folder's result.json as it is now; None where there is none.

        Raises:
            UserError: the file is damaged.
        """
        result = read_result(self.folder)
        if result is None:
            return None
        if (problem := result_problem(result)) is not None:
            raise UserError(str(self.folder / RESULT), problem, AS_WRITTEN)
        return RunResult(result, self.folder)

    def __repr__(self) -> str:
        about: dict[str, Any] = {
            "regime": describe_regime(self.run_spec), "seed": self.run_spec.config.seed,
            "params": {"total": sum(weight.numel() for weight in self.network.parameters())},
            "tasks": {name: {} for name in self.tasks},
        }  # fmt: skip
        # A damaged result hinders no prediction.
        with suppress(UserError, OSError, AttributeError, KeyError, TypeError, ValueError):
            result: Result = self.result or {}
            is_finished = result.get("status") == Status.FINISHED
            return run_text(result if is_finished else result | about, self.folder)
        return run_text(about, self.folder)

    @cached_property
    def predictor(self) -> Predictor:
        """Predicts rows of texts as arrays."""
        return Predictor(self.run_spec, self.network, self.tokenizer)

    def predict(
        self,
        texts: Iterable[str | None],
        text_pairs: Iterable[str | None] | None = None,
        tasks: Sequence[str] | None = None,
        batch_size: int | None = None,
        class_probabilities: bool = True,
    ) -> "pd.DataFrame":
        """Predicts tasks for texts, all in one pass of the layers that the tasks share.

        Args:
            texts: the texts, or the first texts of pairs: a list, a column of a table and so on,
                read in its order. None, NaN and NA are missing texts.
            text_pairs: the second texts, as many.
            tasks: some of the run's tasks. None takes all, without ``text_pairs`` all tasks of
                single texts.
            batch_size: rows of a batch; None takes the run's ``trainer.eval_batch_size``.
            class_probabilities: whether the probability of each class is returned, too.

        Returns:
            A row for each text. Each task has a column of its name: the label's name where labels
            have names, else the class number (Int64), or a value in label units (float64). Tasks
            of classes also have ``<task>_probability``, of the predicted class, and
            ``<task>_probability_<class>``, of each. Values are missing where the row lacks a text
            that the task reads.

        Raises:
            UserError: an unknown task, a task of pairs without ``text_pairs``, texts that are
                no lists of equal length, or two tasks with a column of one name.
        """
        import pandas as pd

        firsts = _text_list("texts", texts)
        seconds = None if text_pairs is None else _text_list("text_pairs", text_pairs)
        if seconds is not None and len(seconds) != len(firsts):
            allowed = f"{len(firsts)}, one for each text"
            raise UserError("text_pairs", f"{len(seconds)} texts", allowed)
        chosen = self._predictable(tasks, seconds is not None)
        size = self.run_spec.runtime.evaluation_batch if batch_size is None else batch_size
        check_range("batch_size", size, 1)
        specs = self.run_spec.specs
        columns = [AnswerColumns.of_task(specs[n], "", class_probabilities) for n in chosen]
        check_names(columns, "tasks")
        answers = self.predictor.predict(firsts, seconds, chosen, size)
        series = {}
        for own in columns:
            for name, cells in own.cells(answers[own.spec.name]).items():
                series[name] = pd.Series(cells, dtype=_PANDAS_TYPES[own.types[name]])
        return pd.DataFrame(series)

    def _predictable(self, tasks: Sequence[str] | None, pairs: bool) -> tuple[str, ...]:
        """The tasks to predict, checked against the texts that there are."""
        if isinstance(tasks, str):
            raise UserError("tasks", tasks, f"a list, as in [{tasks!r}]")
        without_texts = [n for n in self.tasks if self.run_spec.specs[n].is_pair and not pairs]
        for name in tasks or ():
            check_known("tasks", name, self.tasks)
            if name in without_texts:
                raise UserError("text_pairs", "none", f"second texts, for task {name}")
        if tasks is not None:
            return tuple(dict.fromkeys(tasks))
        chosen = tuple(name for name in self.tasks if name not in without_texts)
        if not chosen:
            raise UserError("text_pairs", "none", f"second texts, for {one_of(self.tasks)}")
        return chosen

    def select_tasks(self, names: Sequence[str] | None) -> tuple[str, ...]:
        """The tasks of the option ``--tasks``, in the run's order; None takes all.

        Raises:
            UserError: a task that the run does not have.
        """
        for name in names or ():
            check_known("--tasks", name, self.tasks)
        return tuple(name for name in self.tasks if names is None or name in names)


def _text_list(name: str, texts: Iterable[str | None]) -> list[str | None]:
    """The texts by position, whatever their index was; missing ones are None."""
    if isinstance(texts, str) or not isinstance(texts, Iterable):
        found = "one text" if isinstance(texts, str) else repr(texts)
        raise UserError(name, found, "a list of texts")
    import pandas as pd

    listed: list[str | None] = []
    text: Any
    for number, text in enumerate(texts):
        # A table's column has NaN or NA for a missing text.
        if text is pd.NA or (isinstance(text, float) and math.isnan(text)):
            text = None
        if not isinstance(text, str | None):
            raise UserError(f"{name}[{number}]", repr(text), "a text, or None")
        listed.append(text)
    return listed
