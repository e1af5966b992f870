"""Nested mappings: flattened, read by path, compared."""

import pytest

from mtl_sharing.utils.nested import difference, flatten, get

VALUES = {"b": {"y": 1, "x": {"deep": [2, 3]}}, "a": None, "empty": {}}


def test_leaves_come_in_order_with_their_paths():
    assert list(flatten(VALUES)) == [("b.y", 1), ("b.x.deep", [2, 3]), ("a", None), ("empty", {})]
    assert [path for path, _ in flatten(VALUES, "/")] == ["b/y", "b/x/deep", "a", "empty"]
    assert list(flatten({})) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [("b.y", 1), ("b.x", {"deep": [2, 3]}), ("a", None), ("a.b", None), ("b.z", None), ("", None)],
)
def test_a_value_is_read_by_its_path(path, value):
    assert get(VALUES, path) == value


def test_what_is_no_mapping_has_no_values():
    assert get(None, "a") is None and get([1], "0") is None


@pytest.mark.parametrize(
    ("new", "changed"),
    [
        (VALUES, {}),
        ({"b": {"y": 1}}, {}),
        ({"b": {"y": 2, "x": {"deep": [2, 3]}}}, {"b": {"y": 2}}),
        ({"b": {"x": {"deep": [3], "more": 0}}}, {"b": {"x": {"deep": [3], "more": 0}}}),
        ({"a": 0, "c": None}, {"a": 0, "c": None}),
        ({"b": 7}, {"b": 7}),
        ({"a": {"inner": 1}}, {"a": {"inner": 1}}),
    ],
)
def test_the_difference_holds_what_is_new_or_other(new, changed):
    assert difference(VALUES, new) == changed
