"""What a sweep draws: plain, conditional and composed parameters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra_plugins.hydra_optuna_sweeper._impl import (
    OptunaSweeperImpl,
    create_params_from_overrides,
)
from optuna.distributions import BaseDistribution, IntDistribution, distribution_to_json

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import SweeperConfig

Point = dict[str, Any]
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
        layers: the encoder's layers under the values drawn so far.
        fixed: what is the same in every trial: overrides, and the options chosen for groups.
    """

    distributions: Mapping[str, BaseDistribution]
    when: Mapping[str, Condition] = field(default_factory=dict)
    depths: Sequence[Sequence[str]] = ()
    layers: Callable[[Point], int] = lambda point: 12
    fixed: Mapping[str, str] = field(default_factory=dict)

    def draw(self, suggest: Suggest) -> Point:
        """One point, each of its values by ``suggest(name, distribution)``."""
        point: Point = {}
        for name, distribution in self.distributions.items():
            if self._applies(name, point):
                point[name] = suggest(name, distribution)
        for group in self.depths:
            self._draw_depths(group, point, suggest)
        return point

    def _draw_depths(self, group: Sequence[str], point: Point, suggest: Suggest) -> None:
        open_names = [name for name in group if self._applies(name, point)]
        if open_names:
            left = self.layers(point)
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
        """Points that together hold every choice and both ends of every range.

        A conditional parameter is met once its condition is among the choices met.
        """
        seen: set[tuple[str, Any]] = set()
        fresh = True
        while fresh:
            fresh = False

            def suggest(name: str, distribution: BaseDistribution) -> Any:
                nonlocal fresh
                ends = _ends(distribution)
                new = [value for value in ends if (name, value) not in seen]
                fresh = fresh or bool(new)
                value = new[0] if new else ends[0]
                seen.add((name, value))
                return value

            point = self.draw(suggest)
            if fresh:
                yield point

    def record(self) -> dict[str, Any]:
        """The space as plain values, to tell it from another."""
        return {
            "params": {name: distribution_to_json(d) for name, d in self.distributions.items()},
            "when": {name: f"{c.key}={'|'.join(c.values)}" for name, c in self.when.items()},
            "depths": [list(group) for group in self.depths],
        }


def make_space(
    options: SweeperConfig,
    arguments: Sequence[str],
    choices: Mapping[str, str],
    layers: Callable[[Point], int],
) -> tuple[Space, list[str]]:
    """The space of a sweep's config and command line, and the overrides that every trial has.

    Args:
        arguments: the command line's overrides; they win over the config's.
        choices: the option composed for each config group.

    Raises:
        UserError: no parameter at all, one without values, or a condition on none.
    """
    words = [f"{name}={value}" for name, value in (options.params or {}).items()]
    given = {word.partition("=")[0].lstrip("+~") for word in arguments}
    try:
        found, fixed, deleted = create_params_from_overrides(
            [word for word in words if word.partition("=")[0] not in given] + list(arguments)
        )
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise UserError("the sweep's space", str(error) or "a range without values",
                        "choices, ranges and intervals with values") from None  # fmt: skip
    known = {name.lstrip("+"): value for name, value in fixed.items()}
    taken = {*known, *found}
    depths = [[name for name in group if name not in taken] for group in options.depths]
    when = {
        name: _condition(name, text) for name, text in options.when.items() if name not in known
    }
    space = Space(_ordered(found, when), when, [g for g in depths if g], layers,
                  {**choices, **known})  # fmt: skip
    if not found and not space.depths:
        raise UserError("the sweep's space", "no parameter with several values",
                        "split=0,3,6, trainer.seed=..., or +sweep=NAME")  # fmt: skip
    return space, [*(f"{name}={value}" for name, value in fixed.items()), *deleted]


def _condition(name: str, text: str) -> Condition:
    key, equals, values = text.partition("=")
    if not equals or not values:
        raise UserError(f"hydra.sweeper.when.{name}", text, "key=value, or key=value|value")
    return Condition(key.strip(), tuple(value.strip() for value in values.split("|")))


def _ordered(
    found: Mapping[str, BaseDistribution], when: Mapping[str, Condition]
) -> dict[str, BaseDistribution]:
    """A parameter after the one that its condition reads."""
    ordered: dict[str, BaseDistribution] = {}

    def place(name: str, waiting: tuple[str, ...] = ()) -> None:
        if name in waiting:
            raise UserError(f"hydra.sweeper.when.{name}", "a condition on itself", "another key")
        if name in when and when[name].key in found:
            place(when[name].key, (*waiting, name))
        ordered.setdefault(name, found[name])

    for name in found:
        place(name)
    return ordered


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
