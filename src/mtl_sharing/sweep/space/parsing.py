"""Parses the sweeper's options and the command line into a search space."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from hydra_plugins.hydra_optuna_sweeper._impl import create_params_from_overrides
from optuna.distributions import BaseDistribution

from mtl_sharing.errors import UserError, check_known
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.space import Condition, Expansions, Space, grid_values


def make_space(
    options: SweeperConfig, arguments: Sequence[str], choices: Mapping[str, str]
) -> tuple[Space, list[str]]:
    """The space of a sweep, and the overrides that all of its trials share.

    Args:
        arguments: the command line's overrides; they win over ``options``.
        choices: the option composed for each config group.

    Raises:
        UserError: no parameter at all, a parameter without values, a malformed condition, or a
            choice without an entry in ``stands_for``.
    """
    given = {key_of(argument) for argument in arguments}
    params = [f"{name}={value}" for name, value in (options.params or {}).items()]
    try:
        distributions, fixed, deleted = create_params_from_overrides(
            [param for param in params if key_of(param) not in given] + list(arguments)
        )
    # Whatever upstream raises where it cannot make a distribution.
    except (ValueError, AssertionError, NotImplementedError) as error:
        raise UserError("the sweep's space", str(error) or "a range without values",
                        "choices, ranges and intervals with values") from None  # fmt: skip
    constants = {name.lstrip("+"): value for name, value in fixed.items()}
    values = {name: [value] for name, value in constants.items()}
    values |= {name: grid_values(name, distributions[name]) for name in options.stands_for
               if name in distributions}  # fmt: skip
    when = {n: _condition(n, text) for n, text in options.when.items() if n not in constants}
    space = Space(
        _in_order(distributions, when), when, options.depths, fixed={**choices, **constants},
        expansions=_expansions(options, values, given),
    )  # fmt: skip
    if not distributions and not any(map(space.free_depths, space.depths)):
        raise UserError("the sweep's space", "no parameter with several values",
                        "split=0,3,6, trainer.seed=..., or +sweep=NAME")  # fmt: skip
    return space, [*space.overrides(fixed), *deleted]


def _expansions(
    options: SweeperConfig, values: Mapping[str, Sequence[Any]], given: Collection[str]
) -> Expansions:
    """``stands_for`` of the parameters in use, without the keys on the command line."""
    expansions: dict[str, dict[str, list[str]]] = {}
    for name, choices in options.stands_for.items():
        for value in values.get(name, ()):
            check_known(f"hydra.sweeper.params.{name}", str(value), choices)
        if name in values:
            expansions[name] = {
                choice: [override for override in overrides if key_of(override) not in given]
                for choice, overrides in choices.items()
            }
    return expansions


def key_of(override: str) -> str:
    """The key of an override."""
    return override.partition("=")[0].lstrip("+~")


def _condition(name: str, text: str) -> Condition:
    key, _, values = text.partition("=")
    if not values:
        raise UserError(f"hydra.sweeper.when.{name}", text, "key=value, or key=value|value")
    return Condition(key.strip(), tuple(value.strip() for value in values.split("|")))


def _in_order(
    distributions: Mapping[str, BaseDistribution], when: Mapping[str, Condition]
) -> dict[str, BaseDistribution]:
    """The parameters, each after the one that its condition reads."""
    ordered: dict[str, BaseDistribution] = {}

    def add(name: str, dependents: tuple[str, ...] = ()) -> None:
        if name in dependents:
            raise UserError(f"hydra.sweeper.when.{name}", "a condition on itself", "another key")
        if name in when and when[name].key in distributions:
            add(when[name].key, (*dependents, name))
        ordered.setdefault(name, distributions[name])

    for name in distributions:
        add(name)
    return ordered
