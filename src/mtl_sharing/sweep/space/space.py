"""The search space of a sweep: plain, conditional and composed parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from hydra.core.override_parser.types import FloatRange
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from mtl_sharing.errors import UserError

Point = dict[str, Any]
Expansions = Mapping[str, Mapping[str, Sequence[str]]]
"""The overrides that each choice of a parameter stands for."""
Suggest = Callable[[str, BaseDistribution], Any]


@dataclass(frozen=True)
class Condition:
    """Restricts a parameter to points where another override has one of these values."""

    key: str
    values: tuple[str, ...]

    def holds(self, overrides: Mapping[str, Any]) -> bool:
        """Whether ``overrides`` meet the condition."""
        return str(overrides.get(self.key)) in self.values

    def __str__(self) -> str:
        return f"{self.key}={'|'.join(self.values)}"


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep.

    Attributes:
        distributions: by override key, in the order in which they are drawn.
        when: conditions, by the parameter that they restrict.
        depths: groups of keys drawn as numbers of layers. The sum of a group is at most the
            encoder's layers: each draw is bounded by what the earlier ones left.
        layers: the encoder's number of layers under the overrides drawn so far.
        fixed: values that all trials share: overrides, and the options chosen for groups.
        expansions: overrides for the choices of parameters that are no keys of the config.
    """

    distributions: Mapping[str, BaseDistribution]
    when: Mapping[str, Condition] = field(default_factory=dict)
    depths: Sequence[Sequence[str]] = ()
    layers: Callable[[Sequence[str]], int] = lambda overrides: 12
    fixed: Mapping[str, str] = field(default_factory=dict)
    expansions: Expansions = field(default_factory=dict)

    def draw(self, suggest: Suggest) -> Point:
        """Draws a point; each value comes from ``suggest(name, distribution)``."""
        point: Point = {}
        for name, distribution in self.distributions.items():
            if self._applies(name, point):
                point[name] = _rounded(suggest(name, distribution), distribution)
        for group in self.depths:
            self._draw_depths(group, point, suggest)
        return point

    def overrides(self, point: Point) -> list[str]:
        """The overrides that a point stands for."""
        overrides: list[str] = []
        for name, value in point.items():
            expansions = self.expansions.get(name)
            overrides += [f"{name}={value}"] if expansions is None else expansions[str(value)]
        return overrides

    def _draw_depths(self, group: Sequence[str], point: Point, suggest: Suggest) -> None:
        drawn = [name for name in self.free_depths(group) if self._applies(name, point)]
        if not drawn:
            return
        layers = self.layers(self.overrides(point))
        values = {**self.fixed, **point}
        left = layers - sum(_depth(values[name], layers) for name in group if name in values)
        for name in drawn:
            point[name] = suggest(name, IntDistribution(0, max(0, left)))
            left -= point[name]

    def free_depths(self, group: Sequence[str]) -> list[str]:
        """The depths of a group that are neither fixed nor parameters with their own values."""
        return [name for name in group if name not in self.fixed and name not in self.distributions]

    def _applies(self, name: str, point: Point) -> bool:
        condition = self.when.get(name)
        return condition is None or condition.holds({**self.fixed, **point})

    def points(self) -> Iterator[Point]:
        """Iterates over every point, the last parameter fastest; raises what grid_values does."""
        return walk(self.draw, grid_values)

    @property
    def finite(self) -> bool:
        """Whether every parameter has finitely many values."""
        return all(map(_is_discrete, self.distributions.values()))

    def corners(self) -> Iterator[Point]:
        """Points that together hold every choice and both bounds of every range.

        Parameters that decide what others may be take all their values. The others take one value
        in each point: a bound that no earlier point has.
        """
        seen: set[tuple[str, Any]] = set()
        required: set[tuple[str, Any]] = set()
        depths = {name for group in self.depths for name in self.free_depths(group)}
        deciding = depths | {name for name in self.distributions if self._decides(name)}

        def options(name: str, distribution: BaseDistribution) -> list[Any]:
            bounds = bounds_of(distribution)
            required.update((name, bound) for bound in bounds)
            if name not in deciding:
                return [next((bound for bound in bounds if (name, bound) not in seen), bounds[0])]
            several = name not in depths and _is_discrete(distribution)
            return grid_values(name, distribution) if several else bounds

        count = -1
        while len(seen) > count:
            count = len(seen)
            for point in walk(self.draw, options):
                if new := required.intersection(point.items()) - seen:
                    seen |= new
                    yield point

    def _decides(self, name: str) -> bool:
        """Whether a parameter's value changes what others may be."""
        choices = self.expansions.get(name, {"": [name]}).values()
        encoder = any(key.startswith("encoder") for overrides in choices for key in overrides)
        conditions = any(condition.key == name for condition in self.when.values())
        return conditions or (bool(self.depths) and encoder)

    def record(self) -> dict[str, Any]:
        """The space as plain values, which a study keeps to recognise its sweep."""
        return {
            "params": {name: distribution_to_json(d) for name, d in self.distributions.items()},
            "when": {name: str(condition) for name, condition in self.when.items()},
            "depths": [list(group) for group in self.depths],
            "stands for": {name: dict(choices) for name, choices in self.expansions.items()},
        }


def point_text(point: Mapping[str, Any]) -> str:
    """The parameters by their last names, such as ``split=6 start=0.333``."""
    return " ".join(
        f"{name.rpartition('.')[2]}={format(value, '.3g' if isinstance(value, float) else '')}"
        for name, value in point.items()
    )


def walk(
    draw: Callable[[Suggest], Point], options: Callable[[str, BaseDistribution], Sequence[Any]]
) -> Iterator[Point]:
    """Draws every point whose values are among ``options(name, distribution)``.

    Depth-first search: ``path`` has the index of each value drawn. Each turn repeats the draw with
    the next path.
    """
    path: list[int] = []
    counts: list[int] = []

    def suggest(name: str, distribution: BaseDistribution) -> Any:
        values = options(name, distribution)
        counts.append(len(values))
        if len(path) < len(counts):
            path.append(0)
        return values[path[len(counts) - 1]]

    while True:
        counts.clear()
        yield draw(suggest)
        while path and path[-1] + 1 == counts[len(path) - 1]:
            path.pop()
        if not path:
            return
        path[-1] += 1


def _depth(value: Any, layers: int) -> int:
    """A depth as a number of layers, where it may be a fraction of them; 0 if it is neither."""
    text = str(value)
    try:
        return int(Fraction(text) * (layers if "/" in text else 1) + Fraction(1, 2))
    except (ValueError, ZeroDivisionError):
        return 0  # composing the config reports it


def _rounded(value: Any, distribution: BaseDistribution) -> Any:
    """Removes the rounding errors of steps: 0.3 instead of 0.30000000000000004."""
    stepped = isinstance(distribution, FloatDistribution) and distribution.step is not None
    return round(value, 12) if stepped else value


def _is_discrete(distribution: BaseDistribution) -> bool:
    return not isinstance(distribution, FloatDistribution) or distribution.step is not None


def grid_values(name: str, distribution: BaseDistribution) -> list[Any]:
    """All values of a parameter, as hydra-optuna-sweeper's grid has them.

    Raises:
        UserError: it has infinitely many.
    """
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        return list(range(distribution.low, distribution.high + 1, distribution.step))
    if not isinstance(distribution, FloatDistribution) or distribution.step is None:
        allowed = "choices or a range with steps, since a grid visits every value"
        raise UserError(name, distribution, allowed)
    values = list(FloatRange(distribution.low, distribution.high, distribution.step))
    # FloatRange excludes its end.
    return values if values[-1:] == [distribution.high] else [*values, distribution.high]


def bounds_of(distribution: Any) -> list[Any]:
    """All choices, or both bounds of a range."""
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    return list(dict.fromkeys((distribution.low, distribution.high)))
