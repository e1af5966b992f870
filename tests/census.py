"""Parameters of a built network, counted by walking its modules, for tests of the accounting."""

from collections.abc import Iterable

import torch
from torch import nn

from mtl_sharing.model.architecture import Architecture
from mtl_sharing.model.network import Network
from mtl_sharing.score.parameters import PlanCost

Copies = list[tuple[tuple[str, ...], nn.Module]]


def built(architecture: Architecture) -> Network:
    """The network, without memory for its weights."""
    with torch.device("meta"):
        return Network(architecture, None)


def count(modules: Iterable[nn.Module], trains: bool | None = None) -> int:
    """Parameters of the modules, each once; only those that train (or do not) if asked."""
    found = {id(p): p for module in modules for p in module.parameters()}
    return sum(p.numel() for p in found.values() if trains in (None, p.requires_grad))


def copies_of(network: Network) -> dict[str, Copies]:
    """Every stage's copies with their owners, as the modules say."""
    encoder, heads = network.encoder, network.heads
    stages = [encoder.embeddings, *encoder.layers, encoder.pooler, network.norm, *heads.hidden]
    found = {
        stage.name: list(zip(stage.owners, stage.copies, strict=True))
        for stage in stages
        if stage is not None
    }
    each = [(head.name,) for head in network.architecture.heads]
    if encoder.pals is not None:
        found["pals"] = list(zip(each, encoder.pals.tasks, strict=True))
    if count([heads.fusions]):
        found["lanes.fusion"] = list(zip(each, heads.fusions, strict=True))
    return found | {"output": list(zip(each, heads.outputs, strict=True))}


def served(network: Network, task: str) -> int:
    """Parameters of the modules that a task's predictions go through."""
    head = network.architecture.head_of(task)
    layers = network.architecture.encoder.layers
    last = layers - 1 if head.layer is None else head.layer
    unread = {f"layer.{number}" for number in range(last + 1, layers)}
    if head.pooling != "pooler":
        unread.add("pooler")
    modules = []
    for stage, copies in copies_of(network).items():
        in_head = stage.startswith("head.") or stage in ("lanes.fusion", "output")
        readers = heads_read(network, task) if in_head else {task}
        if stage not in unread:
            modules += [copy for owners, copy in copies if readers & set(owners)]
    return count(modules)


def heads_read(network: Network, task: str) -> set[str]:
    """The heads that a prediction for ``task`` takes, its own and all upstream of it."""
    lanes = network.architecture.lanes
    upstream = lanes.upstream[task] if lanes is not None else ()
    return {task}.union(*(heads_read(network, name) for name in upstream))


def shared(network: Network) -> int:
    """Parameters with two owners or more."""
    copies = [copy for stage in copies_of(network).values() for copy in stage]
    return count(module for owners, module in copies if len(owners) > 1)


def summary(network: Network) -> dict[str, int | dict[str, int]]:
    """What the ``params`` node of a record must say of the network."""
    each = {task: served(network, task) for task in network.architecture.plan.tasks}
    return {
        "total": count([network]),
        "trainable": count([network], trains=True),
        "shared": shared(network),
        "single_task_total": max(each.values()),
        "per_task": each,
    }


def stage_counts(network: Network) -> dict[str, tuple[int, ...]]:
    """For every stage the parameters of each copy."""
    return {
        stage: tuple(count([module]) for _, module in copies)
        for stage, copies in copies_of(network).items()
    }


def check_cost(cost: PlanCost, network: Network) -> None:
    """Holds every number of the accounting against the built network."""
    wanted = summary(network)
    assert cost.total == wanted["total"]
    assert cost.trainable == wanted["trainable"]
    assert cost.shared == wanted["shared"]
    assert cost.model_bytes == 4 * wanted["total"]
    assert {task: cost.serving(task) for task in cost.tasks} == wanted["per_task"]
    assert cost.summary() == wanted
    found = {stage.stage: stage.parameters for stage in cost.stages}
    assert found == stage_counts(network)
    assert len(found) == len(cost.stages)
    for stage in cost.stages:
        copies = copies_of(network)[stage.stage]
        assert stage.owners == tuple(owners for owners, _ in copies)
        trained = count((module for _, module in copies), trains=True)
        assert trained == (stage.total if stage.trains else 0), stage.stage
