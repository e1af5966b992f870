"""Soft sharing through the real trainer: what the penalty does to the weights of a run."""

import csv

import pytest
import torch

from mtl_sharing.job.phases import make_learner, make_trainer

# Losses without dropout and gradients as they are, so that they can be compared.
PLAIN = ("encoder.layers=3", "head.dropout=0", "optimizer.clip=null")
STRENGTH = 0.37


def weights_of(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.fixture
def train(prepare, tmp_path):
    """Trains to the end; gives the weights before and after, and the rows of metrics.csv."""

    def run(*words):
        run_spec, inputs = prepare(*words)
        torch.manual_seed(run_spec.config.seed)
        trainer = make_trainer(run_spec, inputs, tmp_path)
        before = weights_of(trainer.learner.network)
        trainer.run()
        # The network now holds the best weights; the checkpoint has the last.
        state = torch.load(tmp_path / "checkpoint" / "last.pt", weights_only=True)
        with (tmp_path / "metrics.csv").open() as file:
            return before, state["learner"]["network"], list(csv.DictReader(file))

    return run


@pytest.fixture
def learner(prepare):
    """A learner whose copies differ from the start."""

    def make(*words):
        run_spec, inputs = prepare(*PLAIN, *words)
        found = make_learner(run_spec, inputs, run_spec.architecture)
        torch.manual_seed(23)
        with torch.no_grad():
            for parameter in found.network.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.05)
        return found

    return make


def copies_of(weights, prefix="encoder."):
    """For each weight of a stage with a copy for each task, the name of the first and all three."""
    found = {}
    for name in weights:
        names = [name.replace(".copies.0.", f".copies.{task}.") for task in range(3)]
        if name.startswith(prefix) and len(set(names)) == 3 and names[2] in weights:
            found[name] = [weights[each] for each in names]
    return found


def distance(weights, prefix="encoder."):
    """Root of the squared distances of all pairs of copies."""
    stacks = [torch.stack(each).double() for each in copies_of(weights, prefix).values()]
    assert stacks
    squares = [(s[a] - s[b]).pow(2).sum() for s in stacks for a in range(3) for b in range(a)]
    return float(sum(squares)) ** 0.5


def update(learner):
    """One update's figures, and every weight's gradient as the optimiser gets it."""
    found = {}

    def keep(*_):
        named = learner.network.named_parameters()
        found.update({n: p.grad.clone() for n, p in named if p.grad is not None})

    (component,) = learner.components
    component.optimizer.register_step_pre_hook(keep)
    return learner.update(0, 4), found


def test_without_strength_a_tied_run_is_one_of_separate_models(train):
    # The tie makes one training of all tasks. Apart from that it has no say.
    words = (*PLAIN, "seed=3", "trainer.max_steps=2", "optimizer.lr=1e-3", "encoder.dropout=0",
             "encoder.attention_dropout=0", "loss.weights.sst=1", "loss.weights.quora=1",
             "loss.weights.sts=1")  # fmt: skip
    _, tied, rows = train(*words, "sharing.plan=T3", "sharing.tie.strength=0")
    _, separate, _ = train(*words, "sharing.plan=I3")
    assert tied.keys() == separate.keys()
    assert all(torch.equal(tied[name], separate[name]) for name in separate)
    assert distance(tied) > 0.1
    assert "train/tie" not in rows[0]


TWO_LAYERS = ("sharing.plan=T2", "encoder.layers=2", "trainer.max_steps=12", "optimizer.lr=0.002")


def test_a_strong_tie_holds_the_copies_together(train):
    _, loose, _ = train(*TWO_LAYERS, "sharing.tie.strength=0")
    for kind in ("pairs", "mean"):
        _, firm, _ = train(*TWO_LAYERS, "sharing.tie.strength=10", f"sharing.tie.kind={kind}")
        assert distance(loose) > 10 * distance(firm)


def test_the_trace_norm_leaves_the_copies_one_direction(train):
    def others(strength):
        """Singular values below the largest of each weight's copies, summed."""
        tie = ("sharing.tie.kind=trace_norm", f"sharing.tie.strength={strength}")
        _, weights, _ = train(*TWO_LAYERS, *tie)
        stacks = [torch.stack([w.flatten() for w in c]) for c in copies_of(weights).values()]
        return float(sum(torch.linalg.svdvals(stack)[1:].sum() for stack in stacks))

    assert others(0) > 10 * others(1)


@pytest.mark.parametrize("accumulation", [1, 2])
@pytest.mark.parametrize(
    ("plan", "stages"),
    [
        ("T3", ["embeddings", "layers.0", "layers.1", "layers.2"]),
        ("S1-T1-I1", ["layers.1"]),
        ("F1-T2", ["layers.1", "layers.2"]),
    ],
)
def test_the_tie_is_added_once_an_update(learner, accumulation, plan, stages):
    words = (f"sharing.plan={plan}", f"trainer.accumulation={accumulation}")
    tied = learner(*words, f"sharing.tie.strength={STRENGTH}")
    before = weights_of(tied.network)
    held, found = update(tied)
    free, wanted = update(learner(*words, "sharing.tie.strength=0"))
    assert held.losses == free.losses
    assert held.examples == free.examples == accumulation * 3 * 4
    penalty, prefixes = 0.0, tuple(f"encoder.{stage}." for stage in stages)
    for name, each in copies_of(before, prefixes).items():
        for task, own in enumerate(each):
            away = [own - other for other in each]
            # Each pair is met twice.
            penalty += STRENGTH / 2 * sum(float(gap.pow(2).sum()) for gap in away)
            copy = name.replace(".copies.0.", f".copies.{task}.")
            pulled = wanted.pop(copy) + 2 * STRENGTH * sum(away)
            torch.testing.assert_close(found[copy], pulled, rtol=1e-4, atol=1e-6)
    assert held.tie == pytest.approx(penalty, rel=1e-5)
    assert free.tie is None
    assert wanted
    assert all(torch.equal(found[name], gradient) for name, gradient in wanted.items())


def test_a_task_without_a_batch_in_the_step_is_pulled_too(learner):
    tied = learner(
        "sharing.plan=T3", "sampler.name=round_robin", f"sharing.tie.strength={STRENGTH}"
    )
    held, found = update(tied)
    assert len(held.losses) == 1
    assert all(found[f"encoder.layers.2.copies.{n}.up.weight"].abs().max() > 0 for n in range(3))


def test_the_tie_is_written_down_for_tied_plans_alone(train):
    words = ("encoder.layers=2", "trainer.eval_every=2", "sharing.tie.strength=0.5")
    _, _, rows = train(*words, "sharing.plan=S1-T1")
    assert [row["step"] for row in rows] == ["2", "4"]
    assert all(float(row["train/tie"]) > 0 for row in rows)
    _, _, rows = train(*words, "sharing.plan=S1-I1")
    assert all("train/tie" not in row for row in rows)


def test_only_the_tied_stages_of_a_mixed_plan_are_held(train):
    words = ("sharing.plan=F2-T2-I2", "encoder.layers=6", "optimizer.lr=0.002",
             "trainer.max_steps=6")  # fmt: skip
    _, free, _ = train(*words, "sharing.tie.strength=0")
    before, held, _ = train(*words, "sharing.tie.strength=10")
    frozen = ("encoder.embeddings.", *(f"encoder.layers.{n}." for n in range(2)))
    for name, value in before.items():
        assert torch.equal(held[name], value) == name.startswith(frozen), name
    for layer in range(2, 6):
        prefix = f"encoder.layers.{layer}."
        ratio = distance(free, prefix) / distance(held, prefix)
        assert ratio > 4 if layer < 4 else 0.5 < ratio < 2
