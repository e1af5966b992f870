"""How gradients on shared weights become one: by hand, and against torchjd on a full Jacobian."""

import importlib.util

import pytest
import torch
from torch import nn
from torchjd.aggregation import GradVacWeighting

from mtl_sharing.errors import UserError
from mtl_sharing.objectives import aggregation
from mtl_sharing.objectives.aggregation import AGGREGATIONS, check_aggregation, make_aggregator
from mtl_sharing.objectives.settings import LossConfig

SIZES = {"embeddings": [(5, 3)], "layer.0": [(7,), (3, 2)]}
WIDTH = 15 + 7 + 6


def make(rule, cosines="none", **values):
    shared = {name: [nn.Parameter(torch.zeros(s)) for s in sizes] for name, sizes in SIZES.items()}
    config = LossConfig(aggregation=rule, cosines=cosines, **values)
    return make_aggregator(config, shared, ("task0", "task1", "task2", "a", "b"))


def weights_of(surgery):
    return [weight for stage in surgery.shared.values() for weight in stage]


def give(surgery, row):
    """Leaves a row of the Jacobian in the weights, as a backward pass would."""
    parts = row.split([weight.numel() for weight in weights_of(surgery)])
    for weight, part in zip(weights_of(surgery), parts, strict=True):
        weight.grad = part.view_as(weight).clone()


def merged(surgery, rows):
    for number, row in enumerate(rows):
        give(surgery, row)
        surgery.collect(f"task{number}")
        assert all(weight.grad is None for weight in weights_of(surgery))
    cosines = surgery.aggregate()
    return torch.cat([weight.grad.flatten() for weight in weights_of(surgery)]), cosines


def jacobian(rows=3, seed=0, shift=0.0):
    torch.manual_seed(seed)
    return torch.randn(rows, WIDTH) + shift


def test_pcgrad_of_a_conflict_by_hand():
    one, other = torch.zeros(2, WIDTH)
    one[0], other[0], other[1] = 2.0, -1.0, 1.0
    found, cosines = merged(make("pcgrad", cosines="network"), torch.stack([one, other]))
    # g1 - (g1 g2 / |g2|^2) g2 = (2, 0) + (-1, 1) = (1, 1); g2 - (g1 g2 / |g1|^2) g1 = (0, 1).
    assert found[:2].tolist() == pytest.approx([1.0, 2.0]) and not found[2:].any()
    assert cosines == {"network/task0+task1": pytest.approx(-(0.5**0.5))}


@pytest.mark.parametrize("rule", ["sum", "pcgrad", "gradvac"])
def test_without_conflict_these_are_the_plain_sum(rule):
    rows = jacobian(shift=2.0)
    assert (rows @ rows.T).min() > 0
    found, _ = merged(make(rule, cosines="network"), rows)
    torch.testing.assert_close(found, rows.sum(0))


def oracle(rule):
    from torchjd import aggregation as theirs

    return {
        "sum": theirs.Sum, "mean": theirs.Mean, "pcgrad": theirs.PCGrad,
        "gradvac": theirs.GradVac, "upgrad": theirs.UPGrad, "mgda": theirs.MGDA,
        "cagrad": lambda: theirs.CAGrad(c=0.5), "fairgrad": lambda: theirs.FairGrad(alpha=1.0),
        "imtl_g": theirs.IMTLG, "aligned_mtl": theirs.AlignedMTL,
    }[rule]()  # fmt: skip


@pytest.mark.parametrize("shift", [0.0, -0.3])
@pytest.mark.parametrize("rule", AGGREGATIONS)
def test_every_rule_is_torchjd_s_aggregator_of_the_full_jacobian(rule, shift):
    missing = [name for name in AGGREGATIONS[rule] if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"{rule} needs {', '.join(missing)}: pip install 'mtl-sharing[solvers]'")
    rows = jacobian(seed=5, shift=shift)
    rows[2] -= rows[0]  # a conflict
    torch.manual_seed(11)
    wanted = oracle(rule)(rows.double())
    torch.manual_seed(11)
    found, _ = merged(make(rule, cosines="network"), rows)
    torch.testing.assert_close(found, wanted.float(), rtol=2e-4, atol=2e-5)


def test_rows_add_up_over_micro_batches():
    surgery, rows = make("mean"), jacobian(rows=2)
    for row, task in [(rows[0], "a"), (rows[1], "b"), (2 * rows[0], "a")]:
        give(surgery, row)
        surgery.collect(task)
    surgery.aggregate()
    found = torch.cat([weight.grad.flatten() for weight in weights_of(surgery)])
    torch.testing.assert_close(found, (3 * rows[0] + rows[1]) / 2)


def test_a_task_that_reads_only_some_weights_has_zeros_elsewhere():
    surgery, rows = make("pcgrad", cosines="stages"), jacobian(rows=2)
    rows[1, 15:] = 0.0
    rows[1, :15] = -rows[0, :15]
    for row, task in zip(rows, "ab", strict=True):
        give(surgery, row)
        if task == "b":
            for weight in surgery.shared["layer.0"]:
                weight.grad = None
        surgery.collect(task)
    cosines = surgery.aggregate()
    found = torch.cat([weight.grad.flatten() for weight in weights_of(surgery)])
    gramian = rows @ rows.T
    scale_a = 1 - gramian[0, 1] / gramian[0, 0]  # of row a: its own, and what b gave up
    scale_b = 1 - gramian[0, 1] / gramian[1, 1]
    torch.testing.assert_close(found, scale_a * rows[0] + scale_b * rows[1])
    assert cosines["embeddings/a+b"] == pytest.approx(-1)
    assert set(cosines) == {"embeddings/a+b", "network/a+b"}


def test_cosines_of_every_stage_and_of_all():
    rows = jacobian(rows=3)
    _, cosines = merged(make("sum", cosines="stages"), rows)
    assert len(cosines) == 3 * 3
    for stage, part in {
        "network": rows,
        "embeddings": rows[:, :15],
        "layer.0": rows[:, 15:],
    }.items():
        for one, other in [(0, 1), (0, 2), (1, 2)]:
            wanted = torch.cosine_similarity(part[one], part[other], dim=0).item()
            assert cosines[f"{stage}/task{one}+task{other}"] == pytest.approx(wanted, abs=1e-6)


def test_a_task_without_shared_weights_has_no_say():
    """MGDA would give all weight to an empty row, and a mean would count it."""
    rows = jacobian(rows=2)
    for rule in ("mgda", "mean", "aligned_mtl"):
        wanted, _ = merged(make(rule), rows)
        surgery = make(rule)
        surgery.collect("a")  # no gradient at all
        found, _ = merged(surgery, rows)
        assert torch.equal(found, wanted) and found.any()


def test_rows_keep_the_order_of_the_tasks():
    surgery, rows = make("sum", cosines="network"), jacobian(rows=2)
    for task, row in zip("ba", rows, strict=True):
        give(surgery, row)
        surgery.collect(task)
    assert list(surgery.aggregate()) == ["network/a+b"]


def test_gradients_that_are_not_finite_are_named():
    rows = jacobian(rows=2)
    rows[1, 3] = float("inf")
    with pytest.raises(UserError, match=r"the tasks' gradients: found infinite.*optimizer\.lr"):
        merged(make("fairgrad"), rows)


def test_a_single_task_keeps_its_gradient():
    rows = jacobian(rows=1)
    for rule in ("pcgrad", "mgda", "mean"):
        found, cosines = merged(make(rule, cosines="network"), rows)
        assert torch.equal(found, rows[0]) and cosines == {}


def test_what_a_rule_remembers_is_restored_without_drawing_numbers():
    one, two = make("gradvac"), make("gradvac")
    for seed in range(4):
        merged(one, jacobian(seed=seed, shift=0.8))  # alike, as they should stay then
    random = torch.get_rng_state()
    two.load_state_dict(one.state_dict())
    assert torch.equal(torch.get_rng_state(), random)
    torch.manual_seed(1)
    wanted, _ = merged(one, jacobian(seed=9))
    torch.manual_seed(1)
    found, _ = merged(two, jacobian(seed=9))
    assert torch.equal(found, wanted)
    torch.manual_seed(1)
    fresh, _ = merged(make("gradvac"), jacobian(seed=9))
    assert not torch.equal(fresh, wanted)


def merged_of(surgery, rows):
    """The gradient merged of the rows of some tasks, by name."""
    for task, row in rows.items():
        give(surgery, row)
        surgery.collect(task)
    surgery.aggregate()
    return torch.cat([weight.grad.flatten() for weight in weights_of(surgery)])


class VaccineByHand:
    """Wang et al. 2021, algorithm 1, on whole gradients; a target for each pair by name."""

    def __init__(self, beta):
        self.beta, self.targets = beta, {}

    def merged(self, rows):
        names, changed = list(rows), {}
        for one in names:
            gradient, others = rows[one].double(), [name for name in names if name != one]
            for place in torch.randperm(len(others)).tolist():
                other = rows[others[place]].double()
                target = self.targets.get((one, others[place]), 0.0)
                cosine = torch.cosine_similarity(gradient, other, dim=0).item()
                if cosine < target:
                    # Their equation 3: afterwards the cosine is the target.
                    up = target * (1 - cosine**2) ** 0.5 - cosine * (1 - target**2) ** 0.5
                    share = up / (other.norm() * (1 - target**2) ** 0.5)
                    gradient = gradient + gradient.norm() * share * other
                self.targets[one, others[place]] = (1 - self.beta) * target + self.beta * cosine
            changed[one] = gradient
        return sum(changed.values()).float()


NAMES = {"x": "task1", "y": "a", "z": "b"}
# Subsets of three of five tasks: each follows another, larger or smaller, or of the same size.
SUBSETS = ["xyz", "xy", "yz", "xz", "xyz", "z", "xy", "xyz", "yz", "xz", "xyz"]


@pytest.mark.parametrize("beta", [0.3, 1.0])
def test_gradvac_keeps_a_target_for_each_pair_whoever_else_is_in_the_update(beta):
    surgery, oracle = make("gradvac", beta=beta), VaccineByHand(beta)
    for seed, subset in enumerate(SUBSETS):
        # Now more, now less alike, so that targets are missed.
        rows = dict(zip(subset, jacobian(len(subset), seed, shift=0.9 * (seed % 2)), strict=True))
        torch.manual_seed(seed)
        wanted = oracle.merged(rows)
        torch.manual_seed(seed)
        found = merged_of(surgery, {NAMES[task]: row for task, row in rows.items()})
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
    # Else a mix-up would not be seen.
    assert len(oracle.targets) == 6 and len(set(oracle.targets.values())) >= 5


def test_pairs_that_take_turns_are_each_as_if_alone():
    """Against torchjd's own aggregator, one for each pair, which never sees another."""
    from torchjd.aggregation import GradVac

    surgery = make("gradvac")
    pairs = [("task0", "task1"), ("task1", "task2"), ("task0", "task2")]
    alone = {pair: GradVac(beta=0.5) for pair in pairs}
    for seed in range(9):
        pair, rows = pairs[seed % 3], jacobian(2, seed, shift=0.9 * (seed < 6))
        found = merged_of(surgery, dict(zip(pair, rows, strict=True)))
        wanted = alone[pair](rows.double()).float()
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
        assert seed < 6 or not torch.allclose(found, rows.sum(0), rtol=1e-2)


def test_the_targets_of_all_pairs_are_restored():
    one, two = make("gradvac"), make("gradvac")
    for seed, subset in enumerate(SUBSETS):
        merged_of(one, {NAMES[task]: jacobian(1, seed, 0.9)[0] * n for n, task in
                        enumerate(subset, 2)})  # fmt: skip
    two.load_state_dict(one.state_dict())
    for subset in ("xz", "xyz"):
        rows = {NAMES[task]: jacobian(1, n)[0] for n, task in enumerate(subset)}
        found = []
        for surgery in (one, two):
            torch.manual_seed(1)
            found.append(merged_of(surgery, rows))
        assert torch.equal(*found)
        assert not torch.allclose(found[0], merged_of(make("gradvac"), rows))


def test_nothing_to_do_is_no_surgery():
    assert make("sum") is None
    assert make_aggregator(LossConfig(aggregation="pcgrad"), {}, ("a", "b")) is None
    assert make("sum", cosines="network") is not None


@pytest.mark.parametrize(
    ("values", "where", "found"),
    [
        ({"aggregation": "pcgrab"}, "loss.aggregation", "pcgrab (nearest: pcgrad)"),
        ({"cosines": "all"}, "loss.cosines", "all"),
        ({"beta": 1.5}, "loss.beta", "1.5"),
        ({"c": 1.0}, "loss.c", "1.0"),
        ({"alpha": -1.0}, "loss.alpha", "-1"),
    ],
)
def test_bad_settings_are_named(values, where, found):
    with pytest.raises(UserError) as caught:
        check_aggregation(LossConfig(**values))
    assert caught.value.where == where and found in str(caught.value)


def test_a_solver_that_is_not_installed_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(aggregation.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as caught:
        check_aggregation(LossConfig(aggregation="upgrad"))
    words = str(caught.value)
    assert caught.value.where == "loss.aggregation" and "upgrad, which needs qpsolvers" in words
    assert "pip install 'mtl-sharing[solvers]'" in words


def test_torchjd_s_gradvac_has_the_private_state_that_is_set_here():
    rule = GradVacWeighting(0.5)
    names = {name for name in ("_phi_t", "_state_key") if hasattr(rule, name)}
    reason = "torchjd's GradVacWeighting keeps its targets elsewhere; see objectives/aggregation.py"
    assert names == {"_phi_t", "_state_key"}, reason
