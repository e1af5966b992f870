"""What decides where states are kept: what they are made of, and nothing else."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from frozen_texts import SHAPE, cache_in, layers_of, rows_of
from mtl_sharing.job.frozen_states import with_frozen_states


@pytest.fixture
def key(tmp_path):
    """The key of eleven texts whose states two frozen layers give, or of what is given instead."""

    def of(layers=None, rows=None, read="all"):
        rows = rows_of(11) if rows is None else rows
        return cache_in(tmp_path, layers).key(rows, read)

    return of


def nudged(stage, name):
    """Layers of which one weight differs in its last bit."""
    layers = layers_of()
    weight = layers.tower[stage][name].flatten()
    weight[-1] = torch.nextafter(weight[-1], torch.tensor(9.0))
    return layers


@pytest.mark.parametrize("stage", ["embeddings", "layer.0", "layer.1"])
def test_every_weight_of_a_frozen_stage_counts(key, stage):
    names = list(layers_of().tower[stage])
    found = {key(nudged(stage, name)) for name in names} | {key()}
    assert len(found) == len(names) + 1 > 5


@pytest.mark.parametrize("stage", ["layer.2", "pooler"])
def test_no_weight_above_counts(key, stage):
    assert {key(nudged(stage, name)) for name in layers_of().tower[stage]} == {key()}


def test_what_the_shape_says_beside_the_weights_counts(key):
    changes = [{"heads": 7}, {"activation": "relu"}, {"epsilon": 1e-12}, {"position_offset": 2}]
    layers = layers_of()
    found = {key(replace(layers, shape=replace(SHAPE, **change))) for change in changes}
    assert len(found | {key()}) == 5


def test_what_a_frozen_layer_never_uses_does_not_count(key):
    changes = [{"dropout": 0.0}, {"attention_dropout": 0.5}, {"layers": 7}, {"pooler": False}]
    layers = layers_of()
    assert {key(replace(layers, shape=replace(SHAPE, **change))) for change in changes} == {key()}


def test_depth_precision_and_what_is_read_count(key):
    others = [layers_of(1), layers_of(3), layers_of(precision="bf16"), layers_of(seed=6)]
    found = {key(), *map(key, others), key(read="first"), key(read="mean")}
    assert len(found) == 7


def test_every_token_and_every_bound_between_texts_counts(key):
    rows = rows_of(11)
    tokens, types, offsets = rows.tokens.copy(), rows.token_types.copy(), rows.offsets.copy()
    tokens[-1] += 1
    types[0] = 1 - types[0]
    offsets[5] += 1
    found = {
        key(),
        key(rows=replace(rows, tokens=tokens)),
        key(rows=replace(rows, token_types=types)),
        key(rows=replace(rows, offsets=offsets)),
        key(rows=rows.take(np.arange(10))),
        key(rows=rows.take(np.arange(11)[::-1])),
        # Another tokenizer is seen by its ids.
        key(rows=replace(rows, tokens=60 - rows.tokens)),
    }
    assert len(found) == 7


def test_how_the_tokens_lie_in_memory_does_not_count(key):
    rows = rows_of(11)
    apart = np.repeat(rows.tokens, 2)[::2]
    assert not apart.flags.c_contiguous
    assert key(rows=replace(rows, tokens=apart, truncated=3)) == key()


BASE = ("sharing.plan=F2-I1",)
SAME = [
    ("seed=9",),
    ("trainer.batch_size=2",),
    ("encoder.dropout=0.3", "encoder.attention_dropout=0"),
    ("encoder.layers=5", "sharing.plan=F2-S1-T2"),
    ("encoder.layers=4", "sharing.plan=F2-S2", "sharing.pals.size=6", "sharing.pals.layers=top"),
    ("head.depth=2", "head.pooling=cls", "optimizer.lr=1"),
]
OTHER = [
    ("sharing.plan=F1-I2",),
    ("sharing.plan=F3",),
    ("trainer.precision=bf16",),
    ("encoder.activation=relu",),
    ("encoder.layers=4", "sharing.plan=F4", "head.layer=1"),
]


@pytest.mark.parametrize("words", SAME, ids=" ".join)
def test_runs_with_equal_frozen_layers_share_states(prepare, entries, words):
    with_frozen_states(*prepare(*BASE))
    known = entries()
    assert known
    found = with_frozen_states(*prepare(*BASE, *words))
    assert entries() == known
    for data in (*found.train.values(), *found.dev.values()):
        assert data.first.states is not None


@pytest.mark.parametrize("words", OTHER, ids=" ".join)
def test_runs_with_other_frozen_layers_do_not(prepare, entries, words):
    with_frozen_states(*prepare(*BASE))
    known = set(entries())
    with_frozen_states(*prepare(*BASE, *words))
    assert len(set(entries()) - known) == len(known)
