"""Converts label texts of a source to labels of its task, by the source's own names or limits."""

import json
import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from unicodedata import normalize

from omegaconf import OmegaConf

from mtl_sharing.data.tables.cells import as_number, cell_text, spellings
from mtl_sharing.errors import UserError, check_different, did_you_mean, one_of

Limits = tuple[float, float]


@dataclass(frozen=True)
class LabelSpace:
    """The labels of a task.

    Attributes:
        classes: number of classes, ``None`` for a regression.
        names: names of the classes in the data; ``None`` if the data has their numbers.
        limits: lowest and highest label of a regression, else ``None``.
    """

    classes: int | None
    names: tuple[str, ...] | None
    limits: Limits | None

    def parse(self, text: str) -> float | int | None:
        """The class (int) or score (float) that ``text`` names, or ``None``."""
        if self.names is not None:
            name = find_name(text, self.names)
            return None if name is None else self.names.index(name)
        if self.limits is not None:
            return _number_within(text, self.limits)
        assert self.classes is not None
        number = as_number(text)
        return int(number) if number is not None and number in range(self.classes) else None

    def allowed(self, text: str) -> str:
        """The allowed labels, for an error about ``text``."""
        if self.names is not None:
            return one_of(self.names) + _hint(text, self.names)
        if self.limits is not None:
            return _between(self.limits)
        assert self.classes is not None
        return f"a whole number 0 to {self.classes - 1}"


@dataclass(frozen=True)
class LabelReader:
    """Converts labels of one source. Without map and limits, they are the task's own.

    Attributes:
        space: the task's labels.
        where: config field of a source that is not the task's own files, else ``None``.
        classes: the source's label texts, each with its class.
        limits: the source's lowest and highest label, which are mapped to the task's.
    """

    space: LabelSpace
    where: str | None = None
    classes: Mapping[str, int] | None = None
    limits: Limits | None = None

    def read(self, text: str, where: str) -> float | int:
        """The task's label for ``text``; raises UserError at ``where`` if it names no label."""
        label = self._find(text)
        if label is None:
            raise UserError(where, f"the label {text!r}", self._allowed(text))
        return label

    def read_cell(self, value: Any, where: str) -> float | int | None:
        """The task's label for a table's cell, or None if the cell holds no text or number.

        Raises:
            UserError: as ``read``.
        """
        if self.classes is None and self.space.names is None:
            text = cell_text(value)
            return None if text is None else self.read(text, where)
        texts = spellings(value)
        label = next((found for text in texts if (found := self._find(text)) is not None), None)
        if label is not None:
            return label
        if isinstance(value, bool):
            allowed = f"{self._allowed(str(value))}; booleans are named 'false' and 'true'"
            raise UserError(where, f"the boolean {json.dumps(value)} as a label", allowed)
        # "nan" counts as missing unless it is a name.
        return None if cell_text(value) is None else self.read(texts[0], where)

    def _find(self, text: str) -> float | int | None:
        if self.classes is not None:
            name = find_name(text, self.classes)
            return None if name is None else self.classes[name]
        if self.limits is not None:
            number = _number_within(text, self.limits)
            return None if number is None else self._rescaled(number, self.limits)
        return self.space.parse(text)

    def _rescaled(self, number: float, limits: Limits) -> float:
        """``number`` mapped linearly from ``limits`` to the task's limits."""
        assert self.space.limits is not None
        low, high = self.space.limits
        share = (number - limits[0]) / (limits[1] - limits[0])
        # Rounding must not carry a label past the task's limits.
        return min(max(low + share * (high - low), low), high)

    def _allowed(self, text: str) -> str:
        if self.classes is not None:
            return f"{one_of(self.classes)}{_hint(text, self.classes)} ({self.where}.labels)"
        if self.limits is not None:
            return f"{_between(self.limits)} ({self.where}.range)"
        allowed = self.space.allowed(text)
        if self.where is None:
            named = self.space.names is None and self.space.limits is None
            hint = ", or names in the task's labels, in class order, as labels: ['no', 'yes']"
            return allowed + (hint if named else "")
        key = "labels" if self.space.limits is None else "range"
        return f"{allowed} as in the task, or the source's own in {self.where}.{key}"


def check_limits(where: str, limits: list[float] | None) -> Limits:
    """The limits as a pair; raises UserError unless they are two finite, ascending numbers."""
    if limits is None or len(limits) != 2:
        raise UserError(where, limits, "two numbers, the lowest and the highest label")
    low, high = float(limits[0]), float(limits[1])
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UserError(where, list(limits), "two finite numbers, the lower one first")
    return low, high


def label_reader(
    where: str,
    space: LabelSpace,
    labels: Mapping[str, int | str] | None,
    limits: list[float] | None,
) -> LabelReader:
    """Makes the reader of a source's labels.

    Raises:
        UserError: naming a field of ``where``, for a label map of a regression, limits of classes,
            an empty map, an unknown label of the task, or bad limits.
    """
    if space.limits is not None:
        if labels is not None:
            raise UserError(f"{where}.labels", dict(labels), "null for a regression; see range")
        pair = None if limits is None else check_limits(f"{where}.range", limits)
        return LabelReader(space, where, limits=pair)
    if limits is not None:
        raise UserError(f"{where}.range", list(limits), "null for classes; see labels")
    if labels is None:
        return LabelReader(space, where)
    if not labels:
        raise UserError(f"{where}.labels", "an empty map", "the source's labels, or null")
    check_different(f"{where}.labels", [str(text).strip() for text in labels])
    classes = {}
    for text, label in labels.items():
        name = str(label).strip()
        number = space.parse(name)
        if number is None:
            raise UserError(f"{where}.labels.{text}", repr(label), space.allowed(name))
        classes[str(text).strip()] = int(number)
    return LabelReader(space, where, classes=classes)


def find_name(text: str, names: Iterable[str]) -> str | None:
    """The name that ``text`` is, exactly or in another Unicode form, or None."""
    if text in names:
        return text
    composed = normalize("NFC", text)
    return next((name for name in names if normalize("NFC", name) == composed), None)


def _hint(text: str, names: Iterable[str]) -> str:
    """A hint at a name that YAML has read as another value, or at the nearest name."""
    with suppress(Exception):  # of YAML that is none
        value: Any = OmegaConf.to_container(OmegaConf.create(f"- {text}"), resolve=False)
        value = value[0]
        if not isinstance(value, str) and str(value) in names:
            return f" (YAML reads {text} as {value}: quote it, as in labels: ['{text}'])"
    return did_you_mean(text, names)


def _number_within(text: str, limits: Limits) -> float | None:
    number = as_number(text)
    return number if number is not None and limits[0] <= number <= limits[1] else None


def _between(limits: Limits) -> str:
    return f"a number from {limits[0]:g} to {limits[1]:g}"
