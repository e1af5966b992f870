"""The recursion over the heads of progressive lanes written out by hand."""

import math

import torch

from mtl_sharing.model.specs import TaskHead

TASKS = ("sst", "quora", "sts")
LENGTHS = (5, 1, 11, 5, 2, 3)
WIDTHS = dict(zip(TASKS, (5, 2, 3), strict=True))
SINGLE = tuple(TaskHead(name, WIDTHS[name], pooling="mean") for name in TASKS)
CHAIN = {"sst": (), "quora": ("sst",), "sts": ("sst", "quora")}
LINE = {"sst": (), "quora": ("sst",), "sts": ("quora",)}
MAPS = {
    "chain": CHAIN,
    "turned": {"sst": (), "quora": ("sst",), "sts": ("quora", "sst")},
    "line": LINE,
    "one": {"sst": (), "quora": (), "sts": ("sst",)},
    "backwards": {"sst": ("sts",), "quora": ("sts", "sst"), "sts": ()},
    "none": {"sst": (), "quora": (), "sts": ()},
}
FEATURES = {
    "u": lambda u, v: u,
    "v": lambda u, v: v,
    "absdiff": lambda u, v: abs(u - v),
    "product": lambda u, v: u * v,
}


def pairs(late, features=("absdiff", "u")):
    """Heads of the suite with pairs encoded separately, joined at the head's input or output."""
    quora = TaskHead("quora", 2, features, late, pooling="mean")
    return (SINGLE[0], quora, TaskHead("sts", 3, features, late, pooling="mean"))


def copy_of(stage, task):
    (found,) = [c for o, c in zip(stage.owners, stage.copies, strict=True) if task in o]
    return found


def linear(layer, rows):
    return rows @ layer.weight.T + layer.bias


def text_by_hand(network, task, batch):
    """What enters the lanes: the mean state of each text, normed."""
    states = network.encoder.hidden({task: batch})[task].split(batch.lengths)
    vectors = torch.stack([rows.sum(dim=0) / len(rows) for rows in states])
    norm, mean = copy_of(network.norm, task), vectors.mean(dim=1, keepdim=True)
    variance = ((vectors - mean) ** 2).mean(dim=1, keepdim=True)
    return (vectors - mean) / (variance + 1e-12).sqrt() * norm.weight + norm.bias


def features_of(head, vectors):
    u, v = vectors[: len(vectors) // 2], vectors[len(vectors) // 2 :]
    return torch.cat([FEATURES[name](u, v) for name in head.features], dim=1)


def is_pair(head):
    return bool(head.cosine or head.features)


def as_read(reader, upstream, outputs, texts):
    """Outputs as the reader takes them: of both texts of a pair, or the pair's at each text."""
    half = texts // 2
    if reader.features and not reader.late and not is_pair(upstream):
        return torch.stack([torch.cat([outputs[e], outputs[e + half]]) for e in range(half)])
    if is_pair(upstream) and not (reader.features and not reader.late):
        return torch.stack([outputs[row % half] for row in range(texts)])
    return outputs


def attention(fusion, vectors, outputs):
    """The vectors plus what the fusion mixes of the upstream outputs, row by row."""
    rows = []
    for n, x in enumerate(vectors):
        if len(outputs) == 1:
            (v,) = fusion.values
            rows.append(x + v.weight @ outputs[0][n] + v.bias)
            continue
        query = fusion.query.weight @ x + fusion.query.bias
        keys = [k.weight @ o[n] + k.bias for k, o in zip(fusion.keys, outputs, strict=True)]
        scores = [math.exp(float(query @ key) / math.sqrt(len(query))) for key in keys]
        values = [v.weight @ o[n] + v.bias for v, o in zip(fusion.values, outputs, strict=True)]
        mixed = [s / sum(scores) * value for s, value in zip(scores, values, strict=True)]
        rows.append(x + sum(mixed))
    return torch.stack(rows)


def outputs_by_hand(network, name, texts):
    """Raw outputs of the head ``name`` on these texts, heads upstream of it run on them too."""
    lanes, number = network.architecture.lanes, TASKS.index(name)
    head, vectors = network.architecture.heads[number], texts
    if head.features and not head.late:
        vectors = features_of(head, vectors)
    upstream_outputs = []
    for other in lanes.upstream[name]:
        upstream = network.architecture.heads[TASKS.index(other)]
        outputs = outputs_by_hand(network, other, texts)
        upstream_outputs.append(as_read(head, upstream, outputs, len(texts)))
    if upstream_outputs and lanes.fusion == "concatenation":
        vectors = torch.cat([vectors, *upstream_outputs], dim=1)
    elif upstream_outputs:
        vectors = attention(network.heads.fusions[number], vectors, upstream_outputs)
    for stage in network.heads.hidden:
        vectors = linear(copy_of(stage, name).dense, vectors).clamp(min=0)
    if head.cosine:
        u, v = vectors.chunk(2)
        found = ((u * v).sum(dim=1) / (u.norm(dim=1) * v.norm(dim=1)))[:, None]
    else:
        vectors = features_of(head, vectors) if head.late else vectors
        found = linear(network.heads.outputs[number], vectors)
    # Predictions are in float32.
    return found.float().double()


def check(network, batches):
    """Compares the network's outputs with those by hand and returns them."""
    found = network(batches)
    assert set(found) == set(batches)
    for task, batch in batches.items():
        with torch.no_grad():
            wanted = outputs_by_hand(network, task, text_by_hand(network, task, batch)).float()
        assert found[task].dtype == torch.float32
        torch.testing.assert_close(found[task], wanted, rtol=1e-5, atol=1e-5)
    return found
