"""Overrides from Python values: what they hold is what was given."""

from pathlib import Path

import numpy as np
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from mtl_sharing.config.overrides import override_text
from mtl_sharing.config.python_values import override_texts
from mtl_sharing.errors import UserError


def read(text):
    """The value of an override, as Hydra sets it and OmegaConf resolves it."""
    value = OverridesParser.create().parse_override(text).value()
    plain = value.text if isinstance(value, QuotedString) else value
    return OmegaConf.to_container(OmegaConf.create({"key": plain}), resolve=True)["key"]


@settings(max_examples=40)
@given(st.text(st.characters(codec="utf-8"), max_size=12))
@example("null")
@example("1e-4")
@example("${seed}")
@example("\\${seed}\\")
@example("it's \\'a\\', \"b\"")
def test_a_text_stands_for_itself(text):
    assert override_text(override_texts({"data_dir": text})[0]) == text


def test_values_keep_their_types():
    values = {"a": [1, -2.5, True, None, "1", "a, b", []], "b": {"c": "no", "d": {"e": 1e-05}}}
    assert read(override_texts({"x": values})[0]) == values
    numpy = {"x": [np.int64(3), np.float32(0.5), Path("a b")]}
    assert override_texts(numpy) == ["x=[3,0.5,'a b']"]
    assert override_texts({"+experiment": "pals_rr", "optimizer.lr": 1e-05}) == [
        "+experiment='pals_rr'", "optimizer.lr=1e-05",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "where"),
    [({5: 1}, "settings"), ({"a=b": 1}, "settings"), ({"seed": {1, 2}}, "seed"),
     ({"+task": {"x": {"labels": [b"no"]}}}, r"task\.x\.labels\[0\]")],
)  # fmt: skip
def test_what_no_override_holds_is_named(settings, where):
    with pytest.raises(UserError, match=f"^{where}: found "):
        override_texts(settings)
