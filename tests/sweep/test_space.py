"""Spaces: what is drawn fits the conditions, nothing is left out, corners reach every end."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.distributions import (
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from mtl_sharing.errors import UserError
from mtl_sharing.sweep.settings import SweeperConfig
from mtl_sharing.sweep.space.space import Condition, Space, grid_values
from mtl_sharing.sweep.space.spec import make_space

ABSENT = object()


@st.composite
def distributions(draw):
    kind = draw(st.sampled_from(["choices", "integers", "steps"]))
    if kind == "choices":
        return CategoricalDistribution(draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")])))
    low, count = draw(st.integers(-2, 2)), draw(st.integers(0, 3))
    if kind == "integers":
        step = draw(st.integers(1, 2))
        return IntDistribution(low, low + count * step, step=step)
    return FloatDistribution(low / 10, (low + count) / 10, step=0.1)


@st.composite
def spaces(draw):
    """Spaces of up to three parameters and two depths, any of them under a condition."""
    names = [f"p{n}" for n in range(draw(st.integers(0, 3)))]
    found = {name: draw(distributions()) for name in names}
    depths = [f"d{n}" for n in range(draw(st.integers(0, 2)))]
    when = {}
    for number, name in enumerate([*names, *depths]):
        before = names[:number]
        if before and draw(st.booleans()):
            key = draw(st.sampled_from(before))
            values = [str(_rounded(value)) for value in grid_values(key, found[key])]
            wanted = draw(st.lists(st.sampled_from(values), min_size=1, unique=True))
            when[name] = Condition(key, tuple(wanted))
    sizes = draw(st.dictionaries(st.sampled_from("abc"), st.integers(0, 4)))
    encoder = CategoricalDistribution(tuple("abc"[: draw(st.integers(1, 3))]))
    found = {"encoder": encoder, **found} if draw(st.booleans()) else found
    named = {"encoder": {letter: [f"encoder={letter}"] for letter in "abc"}}

    def layers(words):
        return next((sizes.get(w[-1], 3) for w in words if w.startswith("encoder=")), 3)

    return Space(found, when, [depths] if depths else [], layers, expansions=named)


def _rounded(value):
    return round(value, 12) if isinstance(value, float) else value


def key(point):
    return tuple(sorted(point.items()))


def allowed(space):
    """Every point by another way: all combinations, those that break a rule left out."""
    depths = [name for group in space.depths for name in group]
    most = max((space.layers([f"encoder={letter}"]) for letter in "abc"), default=0)
    options = {name: [*map(_rounded, grid_values(name, each)), ABSENT]
               for name, each in space.distributions.items()}  # fmt: skip
    options |= {name: [*range(max(most, 3) + 1), ABSENT] for name in depths}
    for values in product(*options.values()):
        point = {n: v for n, v in zip(options, values, strict=True) if v is not ABSENT}
        if all((name in point) == _wanted(space, name, point) for name in options):
            words = [f"encoder={point['encoder']}"] if "encoder" in point else []
            if sum(point.get(name, 0) for name in depths) <= space.layers(words):
                yield point


def _wanted(space, name, point):
    condition = space.when.get(name)
    return condition is None or str(point.get(condition.key)) in condition.values


@given(spaces())
def test_points_are_all_that_the_rules_allow_and_each_once(space):
    points = [key(point) for point in space.points()]
    assert len(points) == len(set(points))
    assert set(points) == {key(point) for point in allowed(space)}


@given(spaces(), st.randoms(use_true_random=False))
def test_a_random_draw_is_one_of_the_points(space, random):
    drawn = space.draw(lambda name, each: random.choice(grid_values(name, each)))
    assert key(drawn) in {key(point) for point in space.points()}


@given(spaces())
def test_corners_reach_every_choice_and_both_ends(space):
    corners, points = list(space.corners()), list(space.points())
    assert {key(point) for point in corners} <= {key(point) for point in points}
    for name in {name for point in points for name in point}:
        values = {point[name] for point in points if name in point}
        if isinstance(space.distributions.get(name), CategoricalDistribution):
            ends = values
        else:
            ends = {min(values), max(values)}
        assert ends <= {point[name] for point in corners if name in point}


@given(spaces())
def test_few_corners(space):
    """Each brings something new, or none would be worth a check."""
    seen = set()
    for point in space.corners():
        assert not point or set(point.items()) - seen
        seen |= set(point.items())


def test_depths_that_need_the_largest_encoder_and_nothing_before_them():
    """The end of the second depth lies where the first is 0 and the encoder is the larger one."""
    sizes = {"encoder=a": 2, "encoder=b": 5}
    encoder = CategoricalDistribution(("a", "b"))
    space = Space({"encoder": encoder}, {}, [["x", "y"]],
                  lambda words: next(sizes[w] for w in words))  # fmt: skip
    assert {"encoder": "b", "x": 0, "y": 5} in list(space.corners())


def options(**given):
    return SweeperConfig(**given)


def space_of(config, *words, choices=None):
    space, fixed = make_space(config, words, choices or {})
    return replace(space, layers=lambda words: 4), fixed


def test_three_depths_that_together_are_the_encoder():
    space, _ = space_of(options(depths=[["frozen", "shared"]]))
    points = [(point["frozen"], point["shared"]) for point in space.points()]
    assert points == [(f, s) for f in range(5) for s in range(5 - f)]


@pytest.mark.parametrize("depth", ["1", "1/4"])
def test_a_fixed_depth_leaves_fewer_to_the_others(depth):
    space, _ = space_of(options(depths=[["frozen", "shared"]]), f"frozen={depth}")
    assert list(space.points()) == [{"shared": n} for n in range(4)]


def test_a_depth_with_values_of_its_own_leaves_fewer_to_the_others():
    space, _ = space_of(options(depths=[["frozen", "shared"]]), "shared=1,3")
    points = [(point["frozen"], point["shared"]) for point in space.points()]
    assert points == [(f, s) for s in (1, 3) for f in range(5 - s)]


def test_what_the_command_line_fixes_is_not_drawn():
    config = options(params={"lr": "choice(1,2)", "seed": "range(0,3)"}, depths=[["split"]])
    space, fixed = space_of(config, "lr=5", "split=3", "+sweep=mine")
    assert fixed == ["lr=5", "split=3", "+sweep=mine"]
    assert list(space.points()) == [{"seed": 0}, {"seed": 1}, {"seed": 2}]


def test_a_condition_reads_what_is_fixed_and_what_is_composed():
    config = options(params={"sampler.alpha": "range(0,2)", "split": "choice(1,2)"},
                     when={"sampler.alpha": "sampler=temperature"})  # fmt: skip
    drawn = [{"sampler.alpha": a, "split": s} for a in (0, 1) for s in (1, 2)]
    for words, choices in (["sampler=temperature"], {}), ([], {"sampler": "temperature"}):
        space, _ = space_of(config, *words, choices=choices)
        assert list(space.points()) == drawn
    space, _ = space_of(config, "sampler=unified", choices={"sampler": "temperature"})
    assert list(space.points()) == [{"split": 1}, {"split": 2}]


CONTEXTS = {
    "params": {"context": "choice(tuned,frozen)"},
    "stands_for": {"context": {"tuned": ["split=0"], "frozen": ["split=12", "optimizer.lr=1e-3"]}},
}


def test_a_choice_stands_for_several_overrides():
    space, fixed = space_of(options(**CONTEXTS))
    assert fixed == []
    words = [space.overrides(point) for point in space.points()]
    assert words == [["split=0"], ["split=12", "optimizer.lr=1e-3"]]


def test_a_fixed_choice_stands_for_its_overrides_too():
    config = options(**CONTEXTS | {"params": {"context": "frozen", "seed": "range(0,2)"}})
    space, fixed = space_of(config)
    assert fixed == ["split=12", "optimizer.lr=1e-3"]
    assert [space.overrides(point) for point in space.points()] == [["seed=0"], ["seed=1"]]


def test_the_command_line_wins_over_what_a_choice_stands_for():
    space, fixed = space_of(options(**CONTEXTS), "optimizer.lr=0.5")
    assert fixed == ["optimizer.lr=0.5"]
    assert [space.overrides(point) for point in space.points()] == [["split=0"], ["split=12"]]


MISTAKES = {
    "no parameter": ({}, "no parameter"),
    "a choice that stands for nothing": (
        CONTEXTS | {"params": {"context": "choice(tuned,frosen)"}}, "nearest: frozen"),
    "a condition without a value": (
        {"params": {"a": "1,2"}, "when": {"a": "b"}}, "key=value"),
    "a condition on itself": (
        {"params": {"a": "1,2"}, "when": {"a": "a=1"}}, "condition on itself"),
    "a range without values": ({"params": {"a": "range(3,3)"}}, "at least one value"),
}  # fmt: skip


@pytest.mark.parametrize(("given", "words"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(given, words):
    with pytest.raises(UserError, match=words):
        space_of(options(**given))


def test_a_grid_over_a_parameter_without_end():
    space, _ = space_of(options(params={"optimizer.lr": "interval(0.1,1.0)"}))
    assert not space.finite
    with pytest.raises(UserError, match=r"optimizer\.lr.*a grid visits every value"):
        list(space.points())
    assert [point["optimizer.lr"] for point in space.corners()] == [0.1, 1.0]


@settings(max_examples=20)
@given(st.integers(0, 100))
def test_stepped_values_have_no_rounding_errors(number):
    space, _ = space_of(options(params={"sampler.alpha": "range(0.0,1.01,0.01)"}))
    value = space.draw(lambda name, each: each.low + number * each.step)["sampler.alpha"]
    assert space.overrides({"sampler.alpha": value}) == [f"sampler.alpha={round(number / 100, 2)}"]
