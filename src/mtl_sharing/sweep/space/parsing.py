"""From the sweeper's options and the command line to the space, and what every trial has."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from optuna.distributions import BaseDistribution

from mtl_sharing.errors import UserError, check_known
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.space import Condition, Space, values_of


def make_space(
    options: SweeperConfig,
    arguments: Sequence[str],
    choices: Mapping[str, str],
) -> tuple[Space, list[str]]:
    """The space of a sweep's config and command line, and the overrides that every trial has.

    Args:
        arguments: the command line's overrides; they win over the config's.
        choices: the option composed for each config group.

    Raises:
        UserError: no parameter at all, one without values, a condition on none, or a choice that
            stands for nothing.
    """
    words = [f"{name}={value}" for name, value in (options.params or {}).items()]
    given = {key_of(word) for word in arguments}
    try:
        found, fixed, deleted = create_params_from_overrides(
            [word for word in words if key_of(word) not in given] + list(arguments)
        )
    # All that upstream raises for what it cannot make a distribution of.
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise UserError("the sweep's space", str(error) or "a range without values",
                        "choices, ranges and intervals with values") from None  # fmt: skip
    known = {name.lstrip("+"): value for name, value in fixed.items()}
    meanings = _meanings(options, {**{n: [v] for n, v in known.items()}, **found}, given)
    when = {n: _condition(n, text) for n, text in options.when.items() if n not in known}
    space = Space(_ordered(found, when), when, options.depths,
                  fixed={**choices, **known}, meanings=meanings)  # fmt: skip
    if not found and not any(map(space.free, space.depths)):
        raise UserError("the sweep's space", "no parameter with several values",
                        "split=0,3,6, trainer.seed=..., or +sweep=NAME")  # fmt: skip
    return space, [*space.words(fixed), *deleted]


def _meanings(
    options: SweeperConfig, parameters: Mapping[str, Any], given: Iterable[str]
) -> dict[str, dict[str, list[str]]]:
    """What choices stand for, without the keys that the command line says itself."""
    found: dict[str, dict[str, list[str]]] = {}
    for name, choices in options.stands_for.items():
        if name not in parameters:
            continue
        values = parameters[name]
        for value in values if isinstance(values, list) else values_of(name, values):
            check_known(f"hydra.sweeper.params.{name}", str(value), choices)
        found[name] = {
            choice: [word for word in words if key_of(word) not in given]
            for choice, words in choices.items()
        }
    return found


def key_of(word: str) -> str:
    """The key of an override."""
    return word.partition("=")[0].lstrip("+~")


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
