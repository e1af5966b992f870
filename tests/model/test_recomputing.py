"""Values that the backward pass makes anew: the same gradients from less memory."""

import pytest
import torch

from mtl_sharing.model.encoder.attention import SequenceLayout
from mtl_sharing.model.encoder.dropout import recomputed
from mtl_sharing.model.encoder.layers import EncoderLayer

LENGTHS = (31, 17, 43)


def kept_bytes(layer, run):
    """Bytes that autograd keeps for what ``run`` gives, the layer's weights apart."""
    found = {}
    weights = {weight.untyped_storage().data_ptr() for weight in layer.parameters()}

    def note(tensor):
        if tensor.untyped_storage().data_ptr() not in weights:
            found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        run()
    return sum(found.values())


def test_a_value_is_made_anew_with_the_same_gradient():
    weight = torch.randn(300, 200, requires_grad=True)
    inner = torch.randn(400, 300, requires_grad=True)
    calls = []

    def recompute():
        calls.append(1)
        return inner.exp()

    plain = inner.exp() @ weight
    wanted = torch.autograd.grad(plain.square().sum(), (inner, weight))
    active = inner.exp()
    with recomputed(active, recompute):
        found = active @ weight
    assert not calls
    for ours, theirs in zip(
        torch.autograd.grad(found.square().sum(), (inner, weight)), wanted, strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    assert len(calls) == 1


def test_without_gradients_nothing_is_hooked():
    with torch.no_grad(), recomputed(torch.ones(2), lambda: torch.ones(2)) as hooks:
        assert hooks is None


def test_the_feed_forward_keeps_one_of_its_two_large_states(make_shape, monkeypatch):
    shape = make_shape(dropout=0.0, attention_dropout=0.0, intermediate=640)
    layer, layouts = EncoderLayer(shape), [SequenceLayout.of(LENGTHS, torch.device("cpu"))]
    rows, kept = torch.randn(sum(LENGTHS), shape.hidden), []
    for saves_input in (True, False):
        monkeypatch.setattr(layer, "saves_input", saves_input)
        kept.append(kept_bytes(layer, lambda: layer(rows, layouts)))
    large = rows.shape[0] * 640 * 4
    assert kept[1] - kept[0] == large


@pytest.mark.parametrize(("activation", "keeps"), [("gelu", True), ("relu", False)])
def test_only_activations_that_keep_their_input_are_made_anew(make_shape, activation, keeps):
    """The others keep their output, so that the feed-forward's input costs nothing more."""
    layer = EncoderLayer(make_shape(activation=activation))
    values = torch.randn(64, 32, requires_grad=True)
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(saved.append, lambda tensor: tensor):
        layer.activation(values)
    assert layer.saves_input == keeps == (saved[0].data_ptr() == values.data_ptr())


@pytest.mark.parametrize("activation", ["gelu", "relu"])
def test_bf16_autocast_gives_the_same_gradients(make_shape, monkeypatch, activation):
    shape = make_shape(activation=activation, dropout=0.0, attention_dropout=0.0)
    layer, layouts = EncoderLayer(shape), [SequenceLayout.of(LENGTHS, torch.device("cpu"))]
    rows = torch.randn(sum(LENGTHS), shape.hidden)
    results = []
    for saves_input in (layer.saves_input, False):
        monkeypatch.setattr(layer, "saves_input", saves_input)
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            found = layer(rows, layouts)
        found.float().square().sum().backward()
        results.append([found, *(weight.grad for weight in layer.parameters())])
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs)
