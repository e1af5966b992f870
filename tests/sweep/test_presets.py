"""Every sweep preset composes, draws what its report tried, and none is forgotten."""

import csv
from itertools import product

import pytest

from mtl_sharing.config import Config
from mtl_sharing.score.objectives import check_objectives
from mtl_sharing.sweep.study.components import is_grid, make_pruner, make_sampler
from support import QUICK, ROOT
from sweep_spaces import sweep_spec

FOLDER = ROOT / "sweeps" / "sweep"
PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))
# Points (None without end), most trials (None as many as points), objective, whether separate
# models come first. For 12 layers: 13 splits, 91 ways of three depths.
EXPECTED = {
    "alpha_schedules": (1 + 1 + 11 + 11 * 11 * 3, 24, ["performance"], False),
    "fsi": (13 * 14 // 2, 40, ["keep"], True),
    "hybrid_encoders": (3, None, ["performance"], False),
    "hybrid_heads": (1 + 3 * 4, None, ["performance"], False),
    "hybrid_schedules": (7, None, ["performance"], False),
    "hybrid_splits": (13, None, ["keep"], True),
    "mops_lr_search": (None, 24, ["performance"], False),
    "mops_subset": (3 * 3, None, ["keep"], True),
    "mops_weight_search": (6, None, ["performance"], False),
    "mops_xyz": (2**3 * 2, None, ["keep"], True),
    "pals_size": (7, 24, ["keep"], True),
    "pareto": (None, 40, ["performance", "memory", "time"], True),
    "regimes": (None, 40, ["keep"], True),
    "search": ((13 + 13 + 1) * 3, 24, ["keep"], True),
    "split_alpha": (None, 24, ["keep"], True),
    "split_points": (13, None, ["keep"], True),
}
OF_REPORTS = [name for name in PRESETS if name.startswith(("mops", "hybrid"))]
OTHERS = [name for name in PRESETS if name not in OF_REPORTS]


def _mostly_slow(*fast: str, of: list[str] = PRESETS) -> list:
    """Presets, all but ``fast`` marked slow."""
    return [n if n in fast else pytest.param(n, marks=pytest.mark.slow) for n in of]


def small(name: str) -> list[str]:
    """The preset on bundled text with the bundled encoder, unless it is about encoders."""
    encoder = [] if name == "hybrid_encoders" else ["encoder=tiny"]
    return [f"+sweep={name}", "suite=bundled", *encoder]


def listed(name: str, mark: str = "") -> list[str]:
    """First names in the rows of a document's tables."""
    lines = (ROOT / "docs" / name).read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `") and mark in line]
    return sorted(row.split("`")[1] for row in rows if not row.startswith("| `+"))


def test_no_preset_is_forgotten():
    assert len(PRESETS) == 16
    assert list(EXPECTED) == PRESETS
    assert listed("systems.md", "(sweep)") == OF_REPORTS
    assert set(PRESETS) <= set(listed("sweeps.md"))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_composes(name):
    points, trials, objectives, reference = EXPECTED[name]
    spec = sweep_spec(*small(name))
    assert spec.options.study_name == name
    assert (spec.options.n_trials, spec.options.reference) == (trials, reference)
    assert list(spec.objectives) == objectives
    assert is_grid(spec.options) == (trials is None)
    check_objectives(spec.objectives, spec.config.score)
    make_sampler(spec.options, 0)
    make_pruner(spec.options)
    assert spec.points == points
    if points is not None:
        different = {tuple(sorted(point.items())) for point in spec.space.points()}
        assert len(different) == points


@pytest.mark.parametrize("name", _mostly_slow("split_points"))
def test_corners_compose(name):
    spec = sweep_spec(*small(name))
    corners = [spec.compose_trial(point) for point in spec.space.corners()]
    assert len(corners) >= 2
    if spec.options.reference:
        assert spec.reference.is_baseline


def test_a_sweeps_reference_has_no_teacher():
    spec = sweep_spec(*small("split_points"), "distillation=annealed")
    assert spec.reference.is_baseline
    assert all(
        spec.compose_trial(point).config.distillation.enabled for point in spec.space.corners()
    )


# The presets of reports are composed on their reports' encoder below.
@pytest.mark.parametrize("name", _mostly_slow("fsi", "regimes", of=OTHERS))
def test_a_corner_fits_another_encoder(name):
    spec = sweep_spec(f"+sweep={name}", "encoder=minilm_l6")
    *_, last = spec.space.corners()
    assert spec.compose_trial(last).run_spec.plan.depth == 6


def configs(name: str) -> list[tuple[str, Config]]:
    """Plan and config of each of a preset's points, on its report's encoder."""
    spec = sweep_spec(f"+sweep={name}")
    trials = [spec.compose_trial(point) for point in spec.space.points()]
    return [(str(trial.run_spec.plan), trial.config) for trial in trials]


def with_heads(letter: str, heads: str) -> str:
    """The plan of one block and a head stack; individual heads go without saying."""
    return f"{letter}12" if heads == "I-I-I" else f"{letter}12/{heads}"


@pytest.mark.slow
def test_mops_xyz_is_all_head_stacks_in_both_contexts():
    spec = sweep_spec("+sweep=mops_xyz")
    tuned, frozen = (
        [point for point in spec.space.points() if point["context"] == context]
        for context in ("tuned", "frozen")
    )
    # Contexts and heads set different keys: every stack is composed in one of the contexts.
    contexts = {
        o for point in tuned + frozen for o in spec.overrides({"context": point["context"]})
    }
    stacks = [
        [[o for o in spec.overrides(p) if o not in contexts] for p in ps] for ps in (tuned, frozen)
    ]
    assert stacks[0] == stacks[1]
    trials = [spec.compose_trial(point) for point in (*tuned, frozen[0], frozen[-1])]
    tried = [(str(trial.run_spec.plan), trial.config.optimizer.lr) for trial in trials]
    letters = ["-".join(stack) for stack in product("SI", repeat=3)]
    expected = [(with_heads("S", stack), 1e-5) for stack in letters]
    expected += [(with_heads("F", stack), 1e-3) for stack in ("I-I-I", "S-S-S")]
    assert sorted(tried) == sorted(expected)


def test_mops_subset_is_every_pair_in_the_regimes_of_two_shared_layers():
    spec = sweep_spec("+sweep=mops_subset")
    points = list(spec.space.points())
    pairs, heads = ("quora+sst", "sst+sts", "quora+sts"), ("ISS", "SIS", "SSI")
    assert [(point["heads"], point["sharing.groups"]) for point in points] == list(
        product(heads, pairs)
    )
    trials = [spec.compose_trial(point) for point in points[::4]]  # each stack, each pair
    tried = [(str(trial.run_spec.plan), trial.config.optimizer.lr) for trial in trials]
    stacks = ("I-{0}-{0}", "{0}-I-{0}", "{0}-{0}-I")
    assert tried == [
        (f"S12/{stack.format('G:' + pair)}", 1e-5)
        for stack, pair in zip(stacks, pairs, strict=True)
    ]


def test_mops_subset_with_the_frozen_context_too():
    spec = sweep_spec("+sweep=mops_subset", "hydra.sweeper.params.context='choice(tuned,frozen)'")
    tuned, frozen = (
        [point for point in spec.space.points() if point["context"] == context]
        for context in ("tuned", "frozen")
    )
    assert (len(tuned), len(frozen)) == (9, 9)
    # Context and heads are independent, so that one composition of each context will do.
    assert spec.compose_trial(tuned[0]).config.optimizer.lr == 1e-5
    assert spec.compose_trial(frozen[0]).config.optimizer.lr == 1e-3
    assert all("optimizer.lr=1e-3" in spec.overrides(point) for point in frozen)


def test_mops_weight_search_is_the_reports_weightings():
    tried = [tuple(config.loss.weights[task] for task in ("sst", "quora", "sts"))
             for _, config in configs("mops_weight_search")]  # fmt: skip
    assert sorted(tried) == sorted([
        (0.4, 0.4, 0.2), (0.4, 0.2, 0.4), (0.2, 0.4, 0.4),
        (0.5, 0.25, 0.25), (0.25, 0.5, 0.25), (0.25, 0.25, 0.5),
    ])  # fmt: skip


def test_mops_lr_search_is_log_uniform():
    (lr,) = sweep_spec(*small("mops_lr_search")).space.distributions.values()
    assert (lr.low, lr.high, lr.log) == (1e-7, 1e-1, True)


def test_hybrid_schedules_are_the_reports():
    tried = [(config.scheduler.name, config.optimizer.weight_decay)
             for _, config in configs("hybrid_schedules")]  # fmt: skip
    assert sorted(tried) == sorted([
        ("onecycle", 0), ("cosine", 0), ("cosine", 0.001),
        ("none", 0), ("none", 0.0001), ("none", 0.001), ("none", 0.01),
    ])  # fmt: skip


def test_hybrid_splits_are_all_numbers_of_shared_layers():
    spec = sweep_spec("+sweep=hybrid_splits")
    assert list(spec.space.points()) == [{"split": split} for split in range(13)]
    plans = [str(spec.compose_trial({"split": n}).run_spec.plan) for n in (0, 1, 11, 12)]
    assert plans == ["I12", "S1-I11", "S11-I1", "S12"]


def test_hybrid_encoders_are_the_reports_three_with_half_shared():
    tried = [(config.encoder.name, plan) for plan, config in configs("hybrid_encoders")]
    assert tried == [("bert_base", "S6-I6"), ("roberta_base", "S6-I6"), ("distilbert", "S3-I3")]


@pytest.mark.parametrize("encoder", ["tiny", pytest.param("bert_base", marks=pytest.mark.slow)])
def test_widths_of_pals_are_multiples_of_the_heads(encoder):
    spec = sweep_spec("+sweep=pals_size", f"encoder={encoder}")
    trials = [spec.compose_trial(point).run_spec.architecture for point in spec.space.points()]
    sizes = [trial.pals.size for trial in trials if trial.pals is not None]
    assert trials[0].pals is None
    assert len(sizes) == len(set(sizes)) == 6
    assert all(size % trials[0].encoder.heads == 0 for size in sizes)
    assert encoder != "bert_base" or sizes == [48, 96, 144, 204, 324, 384]


def test_fsi_fills_the_encoder():
    spec = sweep_spec(*small("fsi"))
    points = list(spec.space.points())
    plans = {str(spec.compose_trial(point).run_spec.plan) for point in points[::30]}
    assert len(plans) == 4
    assert {sum(point.values()) for point in points} == set(range(13))


TINY = (*(word for word in QUICK if "score" not in word and "train_rows" not in word),
        "suite.max_train_rows=100", "score.pairs=1", "hydra.sweeper.n_trials=3",
        "encoder.layers=4", "trainer.max_steps=2")  # fmt: skip


@pytest.mark.parametrize("name", _mostly_slow())
def test_three_trials_of_a_preset(mtl_train, tmp_path, name):
    done = mtl_train("-m", *small(name), *TINY)
    assert done.code == 0, done.err
    with (tmp_path / "outputs" / "sweeps" / name / "sweep.csv").open() as file:
        rows = list(csv.DictReader(file))
    states = [row["state"] for row in rows if not row["same_as"]]
    assert len(states) == 3
    assert set(states) <= {"COMPLETE", "PRUNED"}
