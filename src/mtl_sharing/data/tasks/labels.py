"""Reads the text of a label as a label of the task, by a source's own names or limits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mtl_sharing.errors import UserError, did_you_mean, one_of

Limits = tuple[float, float]
_YAML_BOOLEANS = ("yes", "no", "on", "off", "true", "false")


@dataclass(frozen=True)
class LabelSpace:
    """The labels that a task takes.

    Attributes:
        classes: how many classes, ``None`` for a regression.
        names: what the classes are called in the data; place = class. ``None``: by number.
        limits: lowest and highest label of a regression, else ``None``.
    """

    classes: int | None
    names: tuple[str, ...] | None
    limits: Limits | None

    def label(self, text: str) -> float | int | None:
        """The class (int) or score (float) that ``text`` names, or ``None``."""
        if self.names is not None:
            return self.names.index(text) if text in self.names else None
        number = number_of(text)
        if self.limits is not None:
            return None if number is None or not _inside(number, self.limits) else number
        assert self.classes is not None
        return int(number) if number is not None and number in range(self.classes) else None

    def allowed(self, text: str) -> str:
        """What could stand in the place of ``text``, which names no label."""
        if self.names is not None:
            unquoted = {"True", "False"} & set(self.names) and text.lower() in _YAML_BOOLEANS
            hint = f" (quote {text} in YAML)" if unquoted else did_you_mean(text, self.names)
            return one_of(self.names) + hint
        if self.limits is not None:
            return _between(self.limits)
        assert self.classes is not None
        return f"a whole number 0 to {self.classes - 1}"


@dataclass(frozen=True)
class LabelReader:
    """How the labels of one source become the task's; without map and limits they are its own.

    Attributes:
        space: the task's labels.
        where: config field of a source that is not the task's own files, else ``None``.
        classes: the source's label texts and the class that each stands for.
        limits: the source's own lowest and highest label, which become the task's.
    """

    space: LabelSpace
    where: str | None = None
    classes: Mapping[str, int] | None = None
    limits: Limits | None = None

    def read(self, text: str, place: str) -> float | int:
        """The task's label for ``text``: a class (int) or a score (float).

        Raises:
            UserError: naming ``place`` (``file:line``), for a text that names no label.
        """
        label = self._label(text)
        if label is None:
            raise UserError(place, f"the label {text!r}", self._allowed(text))
        return label

    def _label(self, text: str) -> float | int | None:
        if self.classes is not None:
            return self.classes.get(text)
        if self.limits is None:
            return self.space.label(text)
        assert self.space.limits is not None
        number = number_of(text)
        if number is None or not _inside(number, self.limits):
            return None
        return _rescaled(number, self.limits, self.space.limits)

    def _allowed(self, text: str) -> str:
        if self.classes is not None:
            return f"{one_of(self.classes)}{did_you_mean(text, self.classes)} ({self.where}.labels)"
        if self.limits is not None:
            return f"{_between(self.limits)} ({self.where}.range)"
        allowed = self.space.allowed(text)
        if self.where is None:
            return allowed
        key = "labels" if self.space.limits is None else "range"
        return f"{allowed} as the task has them, or what the source has, in {self.where}.{key}"


def number_of(text: str) -> float | None:
    """The finite number that ``text`` is; ``1_0``, which Python reads as 10, is none."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) and "_" not in text else None


def check_limits(where: str, limits: list[float] | None) -> Limits:
    """The limits as a pair.

    Raises:
        UserError: naming ``where``, unless they are two finite numbers, the lower one first.
    """
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
    """How a source's labels become those of ``space``.

    Args:
        where: the source's config field.
        labels: the source's label texts, and for each the task's label.
        limits: the source's lowest and highest label.

    Raises:
        UserError: naming ``where``'s field, for a map of a regression, limits of classes, an
            empty map, a label that the task has not, or limits that are none.
    """
    if space.limits is not None:
        if labels is not None:
            raise UserError(f"{where}.labels", dict(labels), "null for a regression; see range")
        found = None if limits is None else check_limits(f"{where}.range", limits)
        return LabelReader(space, where, limits=found)
    if limits is not None:
        raise UserError(f"{where}.range", list(limits), "null for classes; see labels")
    if labels is None:
        return LabelReader(space, where)
    if not labels:
        raise UserError(f"{where}.labels", "an empty map", "the source's labels, or null")
    named = {str(text).strip(): (text, label) for text, label in labels.items()}
    classes = {name: _class(where, space, *pair) for name, pair in named.items()}
    return LabelReader(space, where, classes=classes)


def _class(where: str, space: LabelSpace, text: str, label: int | str) -> int:
    name = str(label).strip()
    found = space.label(name)
    if found is None:
        raise UserError(f"{where}.labels.{text}", repr(label), space.allowed(name))
    return int(found)


def _inside(number: float, limits: Limits) -> bool:
    return limits[0] <= number <= limits[1]


def _between(limits: Limits) -> str:
    return f"a number from {limits[0]:g} to {limits[1]:g}"


def _rescaled(number: float, own: Limits, wanted: Limits) -> float:
    """``number`` moved linearly, so that the limits ``own`` become ``wanted``."""
    share = (number - own[0]) / (own[1] - own[0])
    # Rounding must not carry a label past the task's limits.
    return min(max(wanted[0] + share * (wanted[1] - wanted[0]), wanted[0]), wanted[1])
