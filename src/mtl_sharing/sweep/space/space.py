"""What a sweep draws: plain, conditional and composed parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
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
        drawn = [name for name in self.free(group) if self._applies(name, point)]
        if drawn:
            layers = self.layers(self.words(point))
            known = {**self.fixed, **point}
            left = layers - sum(_layers(known[name], layers) for name in group if name in known)
            for name in drawn:
                point[name] = suggest(name, IntDistribution(0, max(0, left)))
                left -= point[name]

    def free(self, group: Sequence[str]) -> list[str]:
        """The depths of a group that are drawn: neither fixed nor a parameter with own values."""
        return [name for name in group if name not in self.fixed and name not in self.distributions]

    def _applies(self, name: str, point: Point) -> bool:
        condition = self.when.get(name)
        return condition is None or condition.holds({**self.fixed, **point})

    def points(self) -> Iterator[Point]:
        """Every point, the last parameter fastest.

        Raises:
            UserError: a parameter has no end of values.
        """
        return walk(self.draw, values_of)

    @property
    def finite(self) -> bool:
        """Whether every parameter has an end of values."""
        return all(_is_discrete(each) for each in self.distributions.values())

    def corners(self) -> Iterator[Point]:
        """Points that together hold every choice and both ends of every range."""
        seen: set[tuple[str, Any]] = set()
        ends: set[tuple[str, Any]] = set()

        def options(name: str, distribution: BaseDistribution) -> list[Any]:
            own = ends_of(distribution)
            ends.update((name, end) for end in own)
            if name in deciding:
                return own if name in depths else _all_or_ends(distribution)
            return [next((end for end in own if (name, end) not in seen), own[0])]

        depths = {name for group in self.depths for name in self.free(group)}
        deciding = depths | {name for name in self.distributions if self._decides(name)}
        fresh = True
        while fresh:
            fresh = False
            for point in walk(self.draw, options):
                new = ends.intersection(point.items()) - seen
                if new:
                    fresh = True
                    seen |= new
                    yield point

    def _decides(self, name: str) -> bool:
        """Whether a parameter's value changes what others may be."""
        if any(condition.key == name for condition in self.when.values()):
            return True
        meanings = self.meanings.get(name, {"": [name]}).values()
        words = [word for each in meanings for word in each]
        return bool(self.depths) and any(word.startswith("encoder") for word in words)

    def record(self) -> dict[str, Any]:
        """The space as plain values, to tell it from another."""
        return {
            "params": {name: distribution_to_json(d) for name, d in self.distributions.items()},
            "when": {name: f"{c.key}={'|'.join(c.values)}" for name, c in self.when.items()},
            "depths": [list(group) for group in self.depths],
            "stands for": {name: dict(choices) for name, choices in self.meanings.items()},
        }


def walk(
    draw: Callable[[Suggest], Point], options: Callable[[str, BaseDistribution], Sequence[Any]]
) -> Iterator[Point]:
    """Draws every point whose values are among ``options(name, distribution)``."""
    path: list[int] = []
    while True:
        taken: list[tuple[int, int]] = []

        def suggest(
            name: str,
            distribution: BaseDistribution,
            path: list[int] = path,
            taken: list[tuple[int, int]] = taken,
        ) -> Any:
            offered = options(name, distribution)
            number = path[len(taken)] if len(taken) < len(path) else 0
            taken.append((number, len(offered)))
            return offered[number]

        yield draw(suggest)
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        path = [number for number, _ in taken]
        path[-1] += 1


def _layers(value: Any, layers: int) -> int:
    """A depth as it stands or as a share of the encoder's; 0 for what the config will refuse."""
    text = str(value)
    try:
        return int(Fraction(text) * (layers if "/" in text else 1) + Fraction(1, 2))
    except (ValueError, ZeroDivisionError):
        return 0


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


def ends_of(distribution: BaseDistribution) -> list[Any]:
    """All choices, or both ends of a range."""
    if hasattr(distribution, "choices"):
        return list(distribution.choices)
    low, high = getattr(distribution, "low"), getattr(distribution, "high")  # noqa: B009
    return [low] if low == high else [low, high]


def _all_or_ends(distribution: BaseDistribution) -> list[Any]:
    return values_of("", distribution) if _is_discrete(distribution) else ends_of(distribution)
