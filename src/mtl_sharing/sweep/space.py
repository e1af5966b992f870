"""What a sweep draws: plain, conditional and composed parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra_plugins.hydra_optuna_sweeper._impl import OptunaSweeperImpl
from optuna.distributions import (
    BaseDistribution,
    FloatDistribution,
    IntDistribution,
    distribution_to_json,
)

from mtl_sharing.errors import UserError

Point = dict[str, Any]
# For a parameter, the overrides that each of its choices stands for.
Meanings = Mapping[str, Mapping[str, Sequence[str]]]
Suggest = Callable[[str, BaseDistribution], Any]


@dataclass(frozen=True)
class Condition:
    """A parameter is drawn only where another override has one of these values."""

    key: str
    values: tuple[str, ...]

    def holds(self, known: Mapping[str, Any]) -> bool:
        """Whether it does under these values."""
        return str(known.get(self.key)) in self.values


@dataclass(frozen=True)
class Space:
    """The parameters of a sweep.

    Attributes:
        distributions: by override key, in the order in which they are drawn.
        when: the condition of those that have one.
        depths: groups of keys drawn as numbers of layers that together are at most the encoder's,
            one after the other, so that no draw has to be rejected.
        layers: the encoder's layers under the overrides drawn so far.
        fixed: what is the same in every trial: overrides, and the options chosen for groups.
        meanings: of the parameters that are no keys of the config.
    """

    distributions: Mapping[str, BaseDistribution]
    when: Mapping[str, Condition] = field(default_factory=dict)
    depths: Sequence[Sequence[str]] = ()
    layers: Callable[[Sequence[str]], int] = lambda words: 12
    fixed: Mapping[str, str] = field(default_factory=dict)
    meanings: Meanings = field(default_factory=dict)

    def draw(self, suggest: Suggest) -> Point:
        """One point, each of its values by ``suggest(name, distribution)``."""
        point: Point = {}
        for name, distribution in self.distributions.items():
            if self._applies(name, point):
                point[name] = _plain(suggest(name, distribution), distribution)
        for group in self.depths:
            self._draw_depths(group, point, suggest)
        return point

    def words(self, point: Point) -> list[str]:
        """A point as overrides."""
        words: list[str] = []
        for name, value in point.items():
            meanings = self.meanings.get(name)
            words += [f"{name}={value}"] if meanings is None else meanings[str(value)]
        return words

    def _draw_depths(self, group: Sequence[str], point: Point, suggest: Suggest) -> None:
        open_names = [name for name in group if self._applies(name, point)]
        if open_names:
            left = self.layers(self.words(point))
            for name in open_names:
                point[name] = suggest(name, IntDistribution(0, left))
                left -= point[name]

    def _applies(self, name: str, point: Point) -> bool:
        condition = self.when.get(name)
        return condition is None or condition.holds({**self.fixed, **point})

    def points(self) -> Iterator[Point]:
        """Every point, the last parameter fastest.

        Raises:
            UserError: a parameter has no end of values.
        """
        path: list[int] = []
        while True:
            taken: list[tuple[int, int]] = []

            def suggest(
                name: str,
                distribution: BaseDistribution,
                path: list[int] = path,
                taken: list[tuple[int, int]] = taken,
            ) -> Any:
                options = values_of(name, distribution)
                number = path[len(taken)] if len(taken) < len(path) else 0
                taken.append((number, len(options)))
                return options[number]

            yield self.draw(suggest)
            while taken and taken[-1][0] + 1 == taken[-1][1]:
                taken.pop()
            if not taken:
                return
            path = [number for number, _ in taken]
            path[-1] += 1

    @property
    def finite(self) -> bool:
        """Whether every parameter has an end of values."""
        return all(_is_discrete(each) for each in self.distributions.values())

    def corners(self) -> Iterator[Point]:
        """Points that together hold every choice and both ends of every range, under some
        condition that lets them be drawn."""
        return corners_of(self.draw)

    def record(self) -> dict[str, Any]:
        """The space as plain values, to tell it from another."""
        return {
            "params": {name: distribution_to_json(d) for name, d in self.distributions.items()},
            "when": {name: f"{c.key}={'|'.join(c.values)}" for name, c in self.when.items()},
            "depths": [list(group) for group in self.depths],
            "stands for": {name: dict(choices) for name, choices in self.meanings.items()},
        }


@dataclass
class _Corners:
    """Draws one point after the other, each with what no earlier one had.

    Attributes:
        seen: values met, by parameter.
        open: values under which, when they were last taken, a later parameter had more to show.
    """

    seen: set[tuple[str, Any]] = field(default_factory=set)
    open: set[tuple[str, Any]] = field(default_factory=set)
    taken: list[tuple[str, list[Any], Any]] = field(default_factory=list)
    fresh: bool = False

    def suggest(self, name: str, distribution: BaseDistribution) -> Any:
        """A value not met yet, else one that may lead to such, else the first."""
        ends = _ends(distribution)
        new = [end for end in ends if (name, end) not in self.seen]
        value = next(iter([*new, *(end for end in ends if (name, end) in self.open), *ends]))
        self.fresh = self.fresh or bool(new)
        self.seen.add((name, value))
        self.taken.append((name, ends, value))
        return value

    def close(self) -> bool:
        """Sees what the point has left open; whether another may bring more."""
        before, more = len(self.open), False
        for name, ends, value in reversed(self.taken):
            (self.open.add if more else self.open.discard)((name, value))
            more = more or any((name, end) not in self.seen for end in ends)
        again = self.fresh or len(self.open) < before
        self.taken, self.fresh = [], False
        return again


def corners_of(draw: Callable[[Suggest], Point]) -> Iterator[Point]:
    """Points by ``draw`` until no choice and no end of a range is left that it offers."""
    corners = _Corners()
    while True:
        point = draw(corners.suggest)
        if corners.fresh:
            yield point
        if not corners.close():
            return


def _plain(value: Any, distribution: BaseDistribution) -> Any:
    """Without the rounding errors of steps: 0.3, not 0.30000000000000004."""
    stepped = isinstance(distribution, FloatDistribution) and distribution.step is not None
    return round(value, 12) if stepped else value


def _is_discrete(distribution: BaseDistribution) -> bool:
    try:
        OptunaSweeperImpl._to_grid_sampler_choices(distribution)
    except ValueError:
        return False
    return True


def values_of(name: str, distribution: BaseDistribution) -> list[Any]:
    """All values of a parameter.

    Raises:
        UserError: it has no end of them.
    """
    try:
        return list(OptunaSweeperImpl._to_grid_sampler_choices(distribution))
    except ValueError:
        allowed = "choices or a range with steps, since a grid visits every value"
        raise UserError(name, distribution, allowed) from None


def _ends(distribution: BaseDistribution) -> list[Any]:
    if hasattr(distribution, "choices"):
        return list(distribution.choices)
    low, high = getattr(distribution, "low"), getattr(distribution, "high")  # noqa: B009
    return [low] if low == high else [low, high]
