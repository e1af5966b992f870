"""Gradients added to a table's read rows alone, against torch's own dense ones."""

from functools import partial

import pytest
import torch

from mtl_sharing.model.encoder.layers import Embeddings

STEPS = 4
# Nothing random, so that two learners see the same.
PLAIN = ("encoder.dropout=0", "encoder.attention_dropout=0", "head.dropout=0", "encoder.layers=2")


def tables_of(network):
    return [m.word for m in network.modules() if isinstance(m, Embeddings)]


def make_dense(learner):
    """The same learner with gradients as torch makes them."""
    for table in learner.tables:
        table.close()
    for table in tables_of(learner.network):
        table.sparse = False
    learner.tables = []
    return learner


@pytest.fixture
def learner(fresh_learner):
    return partial(fresh_learner, *PLAIN)


@pytest.mark.parametrize(
    "words",
    [
        ("sharing.plan=S2",),
        ("sharing.plan=I2",),
        ("sharing.plan=S1-I1", "trainer.accumulation=3"),
        ("sharing.plan=S2", "optimizer.clip=null", "optimizer.weight_decay=0.3"),
        ("sharing.plan=T2", "sharing.tie.strength=0.5"),
        ("sharing.plan=EF-S2",),
        ("sharing.plan=I2", "sampler.name=round_robin"),
        ("sharing.plan=S2", "optimizer.clip=0.01"),
    ],
    ids=" ".join,
)
def test_training_is_the_same_as_with_dense_gradients(learner, words):
    ours, theirs = learner(*words), make_dense(learner(*words))
    for step in range(STEPS):
        found, wanted = ours.update(step, STEPS), theirs.update(step, STEPS)
        assert found.losses == pytest.approx(wanted.losses, rel=1e-5)
    state = theirs.network.state_dict()
    for name, value in ours.network.state_dict().items():
        torch.testing.assert_close(value, state[name], atol=1e-6, rtol=1e-5, msg=name)


def test_only_rows_that_were_read_are_ever_written(learner):
    ours = learner("sharing.plan=S2", "optimizer.weight_decay=0")
    (table,) = ours.tables
    start = table.weight.detach().clone()
    for step in range(STEPS):
        ours.update(step, STEPS)
        assert not table.buffer.any() and table.weight.grad is None
    untouched = (table.weight == start).all(dim=1)
    assert 0 < int(untouched.sum()) < len(start)


def test_every_task_with_a_table_of_its_own_has_a_buffer_of_its_own(learner):
    ours = learner("sharing.plan=I2")
    weights = [table.weight for table in tables_of(ours.network)]
    assert len(weights) == 3
    assert all(a.weight is b for a, b in zip(ours.tables, weights, strict=True))


def test_a_table_that_no_task_of_a_step_reads_stays_as_it_is(learner):
    ours = learner("sharing.plan=I2", "sampler.name=round_robin", "optimizer.weight_decay=0.5")
    for step in range(STEPS):
        before = [table.weight.detach().clone() for table in tables_of(ours.network)]
        ours.update(step, STEPS)
        pairs = zip(before, tables_of(ours.network), strict=True)
        assert sum(not torch.equal(old, table.weight) for old, table in pairs) == 1


@pytest.mark.parametrize("plan", ["T2", "EF-S2"])
def test_tied_and_frozen_tables_keep_what_torch_does(learner, plan):
    ours = learner(f"sharing.plan={plan}")
    assert not ours.tables
    assert all(not table.sparse for table in tables_of(ours.network))


def test_torch_still_gives_the_rows_of_a_sparse_gradient():
    """The one private name of torch in use."""
    table = torch.nn.Embedding(5, 2, sparse=True)
    table(torch.tensor([3, 1, 3])).sum().backward()
    message = "torch.Tensor._indices is gone: training.row_gradients needs another way to the rows"
    assert hasattr(table.weight.grad, "_indices"), message
    assert table.weight.grad._indices().tolist() == [[3, 1, 3]], message
