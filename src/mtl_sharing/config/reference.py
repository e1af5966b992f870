"""The reference of all config keys: type, default, meaning and choices, from the dataclasses.

``mtl-train --help-key`` shows it; ``python -m mtl_sharing.config.reference`` prints docs/keys.md.
"""

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import cache
from typing import Any, get_args, get_origin, get_type_hints

from mtl_sharing.config.fields import allowed_values, without_null
from mtl_sharing.config.overrides import options
from mtl_sharing.config.schema import Config
from mtl_sharing.errors import UserError, did_you_mean, one_of

# Most of their tables are in modules that load torch; a test compares them.
CHOICES: Mapping[str, str] = {
    "encoder.family": "bert roberta electra distilbert",
    "encoder.activation": "gelu gelu_new gelu_pytorch_tanh relu silu swish tanh",
    "sharing.tie.kind": "pairs mean trace_norm",
    "sharing.pals.kind": "attention low_rank",
    "sharing.pals.activation": "relu gelu tanh identity",
    "sharing.pals.projections": "shared own",
    "sharing.pals.layers": "all top bottom shared",
    "sharing.lanes.fusion": "concatenation attention",
    "head.activation": "relu gelu tanh",
    "head.pooling": "pooler cls mean",
    "head.regression": "mse scaled_cosine sigmoid_cosine expected_class",
    "pairing.mode": "joined separate",
    "pairing.features": "u v absdiff product",
    "pairing.place": "input output",
    "suite.on_bad_row": "skip error",
    "suite.generator": "bundled planted",
    "suite.clean": "letters lower spaces stop_words stem lemmas",
    "task.*.kind": "classes binary regression",
    "task.*.metric": "accuracy f1 mcc pearson spearman",
    "task.*.loss": "cross_entropy bce mse scaled_cosine sigmoid_cosine expected_class",
    "task.*.pairing": "joined separate",
    "sampler.name": "unified round_robin sequential temperature annealed",
    "sampler.exhausted": "recycle stop",
    "sampler.shape": "linear cosine step",
    "loss.weighting": "fixed uncertainty dwa random",
    "loss.aggregation": "sum mean pcgrad gradvac upgrad mgda cagrad fairgrad imtl_g aligned_mtl",
    "loss.cosines": "none network stages",
    "regularizer.name": "none smart r_drop",
    "scheduler.name": "none linear cosine onecycle",
    "phases.*.kind": "tasks masked_lm ranking",
    "phases.*.when": "before after",
    "phases.*.sampler": "unified round_robin sequential temperature annealed",
    "phases.*.similarity": "dot cosine",
    "trainer.precision": "auto fp32 bf16",
    "score.memory": "model peak_train",
    "score.time": "train predict",
    "score.clock": "measured flops",
    "score.pearson": "unit raw",
    "score.objective": "weighted keep performance",
}
_HEAD = """\
# Every key

Made from the dataclasses by `python -m mtl_sharing.config.reference`; a test compares. A default is
the schema's; the options of a group (`conf/GROUP/`) may set others, and `mtl-train --help` lists
every value as it is composed. `mtl-train --help-key KEY` says the same of one key. `task.*` stands
for every task, `phases.*` for every phase.
"""


@dataclass(frozen=True)
class KeyReference:
    """A config key as a user reads of it.

    Attributes:
        key: with ``*`` in place of a name of the user's own.
        kind: its type in words.
        default: as YAML has it; empty for a key with keys below it.
        meaning: a sentence or more.
        choices: the values that a text can have; empty where others can, too.
        options: the options of a config group: ``key=option``.
        below: the keys below it.
    """

    key: str
    kind: str
    default: str
    meaning: str
    choices: tuple[str, ...]
    options: tuple[str, ...]
    below: tuple[str, ...]


@cache
def references() -> Mapping[str, KeyReference]:
    """The reference of every key, by the key, groups before the keys in them."""
    return {reference.key: reference for reference in _references("", Config)}


def reference_of(key: str) -> KeyReference:
    """The reference of a key, which may have the names of tasks and phases in it.

    Raises:
        UserError: no key of that name, with the nearest ones.
    """
    known = references()
    if (found := known.get(_generic(key))) is not None:
        return found
    parent, _, _ = key.rpartition(".")
    near = known.get(_generic(parent))
    names = near.below if near is not None else tuple(known)
    allowed = names if near is not None else [name for name in known if "." not in name]
    raise UserError("--help-key", f"{key}{did_you_mean(key, names)}", one_of(allowed))


def _generic(key: str) -> str:
    """The key with a star in place of each name of the user's own."""
    for name in ("task", "phases", "sources"):
        key = re.sub(rf"(^|\.)({name})\.[^.]+", r"\1\2.*", key)
    return key


def _references(prefix: str, kind: type) -> Iterator[KeyReference]:
    hints, meanings = get_type_hints(kind), _meanings(kind)
    for one in fields(kind):
        key, hint = f"{prefix}{one.name}", hints[one.name]
        inner, group = _inner(hint)
        meaning = meanings.get(one.name) or ("" if inner is None else _first(inner))
        below = "" if inner is None else f"{key}.{group}"
        yield KeyReference(
            key=key,
            kind="a group of keys" if inner is not None else allowed_values(hint),
            default="" if inner is not None else _default(one),
            meaning=meaning,
            choices=tuple(CHOICES.get(key, "").split()),
            options=tuple(options(key)),
            below=() if inner is None else tuple(f"{below}{name.name}" for name in fields(inner)),
        )
        if inner is not None:
            yield from _references(below, inner)


def _inner(hint: Any) -> tuple[Any, str]:
    """The dataclass of the keys below a key, and what stands between; None for a plain value."""
    kind = without_null(hint)
    if is_dataclass(kind):
        return kind, ""
    if get_origin(kind) is dict and is_dataclass(item := get_args(kind)[1]):
        return item, "*."
    return None, ""


def _default(one: "Field[Any]") -> str:
    value = one.default if one.default_factory is MISSING else one.default_factory()
    words = {None: "null", True: "true", False: "false", "": "''"}
    if isinstance(value, bool | str | None) and value in words:
        return words[value]
    return f"[{', '.join(map(str, value))}]" if isinstance(value, list) else str(value)


def _first(kind: type) -> str:
    """The first paragraph of a dataclass's docstring, in plain words."""
    return _plain(inspect.cleandoc(kind.__doc__ or "").partition("\n\n")[0])


def _meanings(kind: type) -> dict[str, str]:
    """The meaning of each field, from the section on attributes of the docstring."""
    section = re.search(r"^(?:Attributes|Args):\n((?:    .*\n?|\n)+)",
                        inspect.cleandoc(kind.__doc__ or ""), re.MULTILINE)  # fmt: skip
    entries = re.findall(r"^    (\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", section[1] if section else "",
                         re.MULTILINE)  # fmt: skip
    return {name: _plain(text) for names, text in entries for name in names.split(", ")}


def _plain(text: str) -> str:
    """A docstring's text on one line, with single backticks and no roles."""
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", " ".join(text.split()).replace("``", "`"))


def keys_page() -> str:
    """The text of docs/keys.md."""
    lines, known = [_HEAD, "## At the top", ""], references()
    top = [one for one in known.values() if "." not in one.key]
    lines += [_line(one) for one in top if not one.below]
    for group in (one for one in top if one.below):
        lines += ["", f"## {group.key}", "", group.meaning]
        if group.options:
            lines += ["", f"Options: {', '.join(f'`{name}`' for name in group.options)}."]
        inner = [one for key, one in known.items() if key.startswith(f"{group.key}.")]
        lines += ["", *(_line(one) for one in inner if not one.below)]
    return "\n".join(lines) + "\n"


def _line(one: KeyReference) -> str:
    choices = f"; of {', '.join(f'`{name}`' for name in one.choices)}" if one.choices else ""
    return f"- `{one.key}` ({one.kind}; default `{one.default}`{choices}): {one.meaning}"


if __name__ == "__main__":
    print(keys_page(), end="")
