"""The ``sharing`` group to values: the plan, and the parts added to it.

A depth or a width may be a number, or a share of the encoder's like ``4/12`` or ``204/768``. So one
file says what a report did with BERT base, and fits every encoder.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from string import Formatter

from mtl_sharing.config import Config, SharingConfig
from mtl_sharing.errors import UserError, check_known, one_of
from mtl_sharing.model.parts import LaneShape, PalShape, TaskHead
from mtl_sharing.model.settings import LanesConfig, PalsConfig
from mtl_sharing.model.shape import EncoderShape
from mtl_sharing.plan import SharingPlan

log = logging.getLogger(__name__)

_NOT_DEPTHS = ("rest", "groups")


def make_plan(config: Config, tasks: tuple[str, ...], layers: int) -> SharingPlan:
    """The plan that ``sharing`` and ``split`` describe for an encoder with ``layers`` layers.

    Raises:
        UserError: a depth outside 0..layers, or a plan that breaks a rule of the notation.
    """
    sharing, where = config.sharing, "sharing.plan"
    text = sharing.plan
    if config.split != Config.split and (text is not None or "{split}" not in sharing.template):
        log.warning("split=%s changes nothing here: only a template with {split} reads it",
                    config.split)  # fmt: skip
    if text is None and not sharing.template:
        raise UserError(where, "null", "a plan, such as sharing.plan=F4-S4-I4")
    if text is None:
        where = "sharing.groups" if "{groups}" in sharing.template else "sharing.template"
        text = _fill(sharing, config.split, layers)
    return SharingPlan.parse(text, tasks, layers, config.head.depth, where=where)


def _fill(sharing: SharingConfig, split: int | str, layers: int) -> str:
    """The regime's template with its numbers."""
    known: dict[str, int | str] = {"split": split, "layers": layers, **sharing.depths}
    named = _names(sharing.template)
    names = [name for name in named if name not in _NOT_DEPTHS]
    for name in names:
        check_known("sharing.template", name, known)
    for name in sharing.depths:
        check_known("sharing.depths", name, names)
    depths = _depths({name: known[name] for name in names}, layers)
    rest = layers - sum(depths[name] for name in names)
    if rest < 0 or (rest > 0 and "rest" not in named):
        used = one_of(f"{name}={known[name]}" for name in names)
        rule = f"depths that add up to {'at most ' if 'rest' in named else ''}{layers} layers"
        raise UserError("sharing.depths", used, rule)
    if "groups" in named and not sharing.groups:
        raise UserError("sharing.groups", "null", "groups of tasks, like quora+sts")
    return sharing.template.format(**depths, rest=rest, groups=sharing.groups)


def _names(template: str) -> list[str]:
    """The names in braces, in order."""
    try:
        fields = [field for field in Formatter().parse(template) if field[1] is not None]
    except ValueError as error:
        found = f"{template} ({error})"
        raise UserError("sharing.template", found, "{name} for a number") from None
    for _, name, form, conversion in fields:
        if form or conversion or not re.fullmatch("[a-z_]+", name or ""):
            raise UserError("sharing.template", template, "{name} for a number, and nothing else")
    return [str(name) for _, name, _, _ in fields]


def _depths(wanted: Mapping[str, int | str], layers: int) -> dict[str, int]:
    """Whole numbers of layers. Bounds between blocks are rounded, so that shares of 1 fill up."""
    depths, bound = {}, Fraction(0)
    for name, value in wanted.items():
        where = "split" if name == "split" else f"sharing.depths.{name}"
        exact = _layers(where, value, layers)
        depths[name] = _round(bound + exact) - _round(bound)
        bound += exact
        _tell(where, value, layers, depths[name])
    return depths


def _layers(where: str, value: int | str, layers: int) -> Fraction:
    """A number of layers as it stands, or a share of ``layers``."""
    text = str(value).strip()
    if re.fullmatch("[0-9]{1,6}(/0*[1-9][0-9]{0,5})?", text):
        exact = Fraction(text) * (layers if "/" in text else 1)
        if exact <= layers:
            return exact
    raise UserError(where, value, f"0 to {layers}, or a share of the encoder's {layers}, like 1/2")


def _round(exact: Fraction) -> int:
    return int(exact + Fraction(1, 2))


def _tell(where: str, value: int | str, whole: int, taken: int) -> None:
    """Says so where a share was written for an encoder of another size."""
    if "/" in str(value) and str(value).partition("/")[2].strip() != str(whole):
        level = logging.INFO if taken else logging.WARNING
        log.log(level, "%s=%s is %d of this encoder's %d", where, value, taken, whole)


def scaled_width(where: str, value: int | str, hidden: int, multiple: int = 1) -> int:
    """A width as it stands, or a share of the encoder's to the nearest multiple of ``multiple``.

    Raises:
        UserError: neither of the two, or 0.
    """
    if not re.fullmatch("0*[1-9][0-9]{0,5}(/0*[1-9][0-9]{0,5})?", str(value).strip()):
        allowed = "1 or more, or a share of the encoder's width, like 256/768"
        raise UserError(where, value, allowed)
    if "/" not in str(value):
        return int(value)
    width = max(1, _round(Fraction(str(value)) * hidden / multiple)) * multiple
    _tell(where, value, hidden, width)
    return width


def make_pals(config: PalsConfig, encoder: EncoderShape, plan: SharingPlan) -> PalShape | None:
    """The projected attention layers that ``sharing.pals`` describes; None where it has no size.

    Raises:
        UserError: a setting that does not fit the encoder or the plan.
    """
    if config.size is None:
        _check_unset("sharing.pals", config, PalsConfig(), "size")
        return None
    heads = encoder.heads if config.heads is None else config.heads
    attention = config.kind == "attention"
    multiple = max(1, heads) if attention else 1
    default = "shared" if attention else "own"
    return PalShape(
        size=scaled_width("sharing.pals.size", config.size, encoder.hidden, multiple),
        heads=heads,
        kind=config.kind,
        activation=config.activation,
        projections=default if config.projections is None else config.projections,
        layers=_pal_layers(config.layers, plan),
    )


def _pal_layers(name: str, plan: SharingPlan) -> tuple[int, ...]:
    half = plan.depth // 2
    several = [
        n for n, own in enumerate(plan.layers) if len(own.owners(plan.tasks)) < len(plan.tasks)
    ]
    chosen: dict[str, Sequence[int]] = {
        "all": range(plan.depth),
        "top": range(half, plan.depth),
        "bottom": range(half),
        "shared": several,
    }
    check_known("sharing.pals.layers", name, chosen)
    if not chosen[name]:
        raise UserError("sharing.pals.layers", f"{name}, which no layer is", one_of(chosen))
    return tuple(chosen[name])


def _check_unset(where: str, config: object, default: object, switch: str) -> None:
    """A setting of a part that is switched off would be lost without a word."""
    if config != default:
        changed = {k: v for k, v in vars(config).items() if v != getattr(default, k)}
        found = f"{changed} without {where}.{switch}"
        raise UserError(where, found, f"{where}.{switch} too, which adds the part")


def make_lanes(config: Config, heads: Sequence[TaskHead]) -> LaneShape | None:
    """The lanes that ``sharing.lanes`` describes; None where it names no fusion.

    Raises:
        UserError: an unknown task, a circle, or a setting out of range.
    """
    lanes, names = config.sharing.lanes, [head.name for head in heads]
    if lanes.fusion is None:
        _check_unset("sharing.lanes", lanes, LanesConfig(), "fusion")
        return None
    for task in lanes.upstream:
        check_known("sharing.lanes.upstream", task, names)
    if lanes.upstream:
        upstream = {name: tuple(lanes.upstream.get(name, ())) for name in names}
    else:
        upstream = {head.name: _readable(head, heads[:n]) for n, head in enumerate(heads)}
    if not any(upstream.values()):
        log.warning("no lanes: no head has another to read")
        return None
    return LaneShape(upstream, lanes.fusion, lanes.upstream_rate, lanes.task_dropout)


def _readable(reader: TaskHead, before: Sequence[TaskHead]) -> tuple[str, ...]:
    """Those of the heads before it that a head can read: one of one text reads none of two."""
    found = tuple(head.name for head in before if reader.pair or not head.pair)
    if len(found) < len(before):
        left = one_of(head.name for head in before if head.name not in found)
        log.info("%s, a head of one text, does not read %s", reader.name, left)
    return found
