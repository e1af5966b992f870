"""Makes a plan from a sharing regime's template, and numbers from fractions.

Depths and widths are numbers, or fractions of the encoder's, like ``4/12`` or ``204/768``. With
fractions one config reproduces a setting for BERT base and fits every encoder.
"""

import logging
import re
from collections.abc import Mapping
from fractions import Fraction
from string import Formatter

from mtl_sharing.errors import UserError, check_known, one_of
from mtl_sharing.plan.plan import SharingPlan
from mtl_sharing.plan.settings import DEFAULT_SPLIT, SharingConfig

log = logging.getLogger(__name__)

_NOT_DEPTHS = ("rest", "groups")


def make_plan(
    sharing: SharingConfig, split: int | str, tasks: tuple[str, ...], layers: int, head_layers: int
) -> SharingPlan:
    """Makes the plan of ``sharing`` and ``split`` for an encoder with ``layers`` layers.

    Args:
        head_layers: number of hidden layers of each head.

    Raises:
        UserError: a depth outside 0..layers, or a plan that breaks a rule of the notation.
    """
    where, text = "sharing.plan", sharing.plan
    if split != DEFAULT_SPLIT and (text is not None or "{split}" not in sharing.template):
        log.warning("split=%s changes nothing here: only a template with {split} reads it",
                    split)  # fmt: skip
    if text is None and not sharing.template:
        raise UserError(where, "null", "a plan, such as sharing.plan=F4-S4-I4")
    if text is None:
        where = "sharing.groups" if "{groups}" in sharing.template else "sharing.template"
        text = _fill(sharing, split, layers)
    return SharingPlan.parse(text, tasks, layers, head_layers, where=where)


def _fill(sharing: SharingConfig, split: int | str, layers: int) -> str:
    """Fills the numbers into the template."""
    values: dict[str, int | str] = {"split": split, "layers": layers, **sharing.depths}
    named = _names(sharing.template)
    names = [name for name in named if name not in _NOT_DEPTHS]
    for name in names:
        check_known("sharing.template", name, values)
    for name in sharing.depths:
        check_known("sharing.depths", name, names)
    depths = _depths({name: values[name] for name in names}, layers)
    rest = layers - sum(depths[name] for name in names)
    if rest < 0 or (rest > 0 and "rest" not in named):
        used = one_of(f"{name}={values[name]}" for name in names)
        rule = f"depths that add up to {'at most ' if 'rest' in named else ''}{layers} layers"
        raise UserError("sharing.depths", used, rule)
    if "groups" in named and not sharing.groups:
        raise UserError("sharing.groups", "null", "groups of tasks, like quora+sts")
    return sharing.template.format(**depths, rest=rest, groups=sharing.groups)


def _names(template: str) -> list[str]:
    """The names in braces, in their order."""
    try:
        fields = [field for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        found = f"{template} ({error})"
        raise UserError("sharing.template", found, "{name} for a number") from None
    for _, name, form, conversion in fields:
        if form or conversion or not re.fullmatch("[a-z_]+", name or ""):
            raise UserError("sharing.template", template, "{name} for a number, and nothing else")
    return [str(name) for _, name, _, _ in fields]


def _depths(values: Mapping[str, int | str], layers: int) -> dict[str, int]:
    """Rounds the depths to whole layers."""
    # The bounds between blocks are rounded, so that fractions that add up to 1 fill all layers.
    depths, bound = {}, Fraction(0)
    for name, value in values.items():
        where = "split" if name == "split" else f"sharing.depths.{name}"
        exact = layer_count(where, value, layers)
        depths[name] = round_half_up(bound + exact) - round_half_up(bound)
        bound += exact
        log_fraction(where, value, layers, depths[name])
    return depths


def layer_count(where: str, value: int | str, layers: int) -> Fraction:
    """Parses a number of layers, or a fraction of ``layers``."""
    text = str(value).strip()
    if re.fullmatch("[0-9]{1,6}(/0*[1-9][0-9]{0,5})?", text):
        exact = Fraction(text) * (layers if "/" in text else 1)
        if exact <= layers:
            return exact
    raise UserError(where, value, f"0 to {layers}, or a share of the encoder's {layers}, like 1/2")


def round_half_up(exact: Fraction) -> int:
    """The nearest whole number; halves go up."""
    return int(exact + Fraction(1, 2))


def log_fraction(where: str, value: int | str, size: int, result: int) -> None:
    """Logs the result of a fraction whose denominator is not this encoder's size."""
    if "/" in str(value) and str(value).partition("/")[2].strip() != str(size):
        level = logging.INFO if result else logging.WARNING
        log.log(level, "%s=%s is %d of this encoder's %d", where, value, result, size)


def scaled_width(where: str, value: int | str, hidden: int, multiple: int = 1) -> int:
    """Parses a width, or a fraction of ``hidden`` to the nearest multiple of ``multiple``.

    Raises:
        UserError: neither of the two, or 0.
    """
    if not re.fullmatch("0*[1-9][0-9]{0,5}(/0*[1-9][0-9]{0,5})?", str(value).strip()):
        allowed = "1 or more, or a share of the encoder's width, like 256/768"
        raise UserError(where, value, allowed)
    if "/" not in str(value):
        return int(value)
    width = max(1, round_half_up(Fraction(str(value)) * hidden / multiple)) * multiple
    log_fraction(where, value, hidden, width)
    return width
