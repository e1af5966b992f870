"""Encoders with projected attention layers written out by hand, one sequence at a time."""

import math

import torch

from mtl_sharing.model.specs import PalShape, TaskHead
from mtl_sharing.plan.settings import PalsConfig

TASKS = ("a", "b", "c")
LENGTHS = {"a": (5, 1, 11, 5), "b": (7, 7), "c": (1, 3)}
HEADS = tuple(TaskHead(name, n, pooling="mean") for name, n in zip(TASKS, (5, 1, 2), strict=True))
FUNCTIONS = {
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "relu": lambda x: x.clamp(min=0),
    "tanh": torch.tanh,
    "identity": lambda x: x,
}
PAL = PalShape(6, 2, "attention", "gelu", "shared", (0, 1, 2))


def config(layers="all", **changes):
    """Small PALs, other settings as given."""
    return PalsConfig(**{"size": 6, "heads": 2, "layers": layers} | changes)


def copy_of(stage, task):
    (found,) = [c for o, c in zip(stage.owners, stage.copies, strict=True) if task in o]
    return found


def linear(layer, rows):
    return rows @ layer.weight.T + layer.bias


def norm(layer, rows):
    mean = rows.mean(dim=1, keepdim=True)
    variance = ((rows - mean) ** 2).mean(dim=1, keepdim=True)
    return (rows - mean) / (variance + 1e-5).sqrt() * layer.weight + layer.bias


def attend(fused, rows, heads):
    """Attention of one sequence, head by head, with Q, K and V taken from the fused layer."""
    weights, biases = fused.weight.chunk(3), fused.bias.chunk(3)
    query, key, value = (rows @ w.T + b for w, b in zip(weights, biases, strict=True))
    width, found = query.shape[1] // heads, []
    for n in range(heads):
        span = slice(n * width, (n + 1) * width)
        scores = query[:, span] @ key[:, span].T / math.sqrt(width)
        weights = torch.exp(scores) / torch.exp(scores).sum(dim=1, keepdim=True)
        found.append(weights @ value[:, span])
    return torch.cat(found, dim=1)


def pal_by_hand(pal, number, rows, shape):
    """TS of a task's ``number``-th layer that has one."""
    act, pair = FUNCTIONS[shape.activation], number if shape.projections == "own" else 0
    encode, decode = pal.encode[pair], pal.decode[pair]
    if shape.kind == "low_rank":
        return linear(decode, act(linear(encode, rows)))
    return act(linear(decode, attend(pal.qkv[number], linear(encode, rows), shape.heads)))


def states_by_hand(network, task, ids, layers=3):
    """States of one sequence of ``task`` after ``layers`` layers."""
    encoder, shape = network.encoder, network.architecture.pals
    table = copy_of(encoder.embeddings, task)
    places = table.position.weight[: len(ids)]
    rows = table.word.weight[ids[:, 0]] + places + table.token_type.weight[ids[:, 1]]
    rows = norm(table.norm, rows)
    for depth in range(layers):
        layer = copy_of(encoder.layers[depth], task)
        mixed = linear(layer.attention_output, attend(layer.qkv, rows, 3))
        middle = norm(layer.attention_norm, rows + mixed)
        inner = middle + linear(layer.down, FUNCTIONS["gelu"](linear(layer.up, middle)))
        if depth in shape.layers:
            pal = encoder.pals.tasks[TASKS.index(task)]
            inner = inner + pal_by_hand(pal, shape.layers.index(depth), rows, shape)
        rows = norm(layer.output_norm, inner)
    return rows


def outputs_by_hand(network, task, batch, layers=3):
    ids = torch.stack([batch.tokens, batch.token_types], dim=1).split(batch.lengths)
    pooled = [states_by_hand(network, task, each, layers).mean(dim=0) for each in ids]
    return linear(network.heads.outputs[TASKS.index(task)], torch.stack(pooled))


def check(network, batches, head_layers=None):
    """Compares states and outputs with those by hand."""
    states, found = network.encoder.hidden(batches), network(batches)
    for task, batch in batches.items():
        ids = torch.stack([batch.tokens, batch.token_types], dim=1).split(batch.lengths)
        depth = 1 + (head_layers or {}).get(task, 2)
        wanted = torch.cat([states_by_hand(network, task, each, depth) for each in ids])
        torch.testing.assert_close(states[task], wanted, rtol=1e-9, atol=1e-10)
        outputs = outputs_by_hand(network, task, batch, depth)
        torch.testing.assert_close(found[task], outputs.float(), rtol=1e-5, atol=1e-6)
