"""AdamW with its parameter groups, gradient clipping and learning rate schedules."""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mtl_sharing.errors import UserError, check_above, check_known, check_range, check_rate
from mtl_sharing.training.settings import OptimizerConfig, SchedulerConfig

SCHEDULES = ("none", "linear", "cosine", "onecycle")


def _plain(method: Callable[..., Any]) -> Callable[..., Any]:
    return getattr(method, "__wrapped__", method)


class AdamW(torch.optim.AdamW):
    """torch's AdamW without the wrappers that exclude its methods from ``torch.compile``.

    The first call of a wrapped method imports the compiler: 1.5 s and 70 MB for nothing.
    """

    add_param_group = _plain(torch.optim.AdamW.add_param_group)
    zero_grad = _plain(torch.optim.AdamW.zero_grad)
    state_dict = _plain(torch.optim.AdamW.state_dict)
    load_state_dict = _plain(torch.optim.AdamW.load_state_dict)
    step = torch.no_grad()(_plain(torch.optim.AdamW.step))


def make_optimizer(
    trained: Iterable[tuple[str, nn.Parameter]],
    config: OptimizerConfig,
    layers: int = 0,
    others: Sequence[nn.Parameter] = (),
    others_lr: float = 0.0,
) -> AdamW:
    """Makes a fused AdamW over named weights of a network, grouped by learning rate and decay.

    Args:
        layers: of the encoder, for ``layer_decay``.
        others: weights outside the network, trained without weight decay.
        others_lr: peak learning rate of ``others``.

    Raises:
        UserError: a setting is out of range.
    """
    check_optimizer(config)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained:
        lr = _rate(name, config, layers)
        decay = config.weight_decay if parameter.dim() > 1 else 0.0
        groups.setdefault((lr, decay), []).append(parameter)
    rates = [(parameters, lr, decay) for (lr, decay), parameters in groups.items()]
    rates += [(list(others), others_lr, 0.0)] if others else []
    return AdamW(
        [
            {"params": parameters, "lr": lr, "peak_lr": lr, "weight_decay": decay}
            for parameters, lr, decay in rates
        ],
        betas=(config.betas[0], config.betas[1]),
        eps=config.epsilon,
        fused=True,
    )


def _rate(name: str, config: OptimizerConfig, layers: int) -> float:
    """Peak learning rate of the weight ``name``."""
    if not name.startswith("encoder."):
        return config.lr if config.head_lr is None else config.head_lr
    _, part, number, *_ = (*name.split("."), "", "")
    # Embeddings count as a layer below the first, the pooler and PALs as part of the last.
    depth = int(number) if part == "layers" else -1 if part == "embeddings" else layers - 1
    return config.lr * config.layer_decay ** (layers - 1 - depth)


def check_optimizer(config: OptimizerConfig) -> None:
    """Raises UserError for a setting out of range."""
    for name in ("lr", "head_lr", "weight_decay"):
        value = getattr(config, name)
        if value is not None:
            check_range(f"optimizer.{name}", value, 0)
    check_above("optimizer.epsilon", config.epsilon, 0)
    if not 0 < config.layer_decay <= 1:
        raise UserError("optimizer.layer_decay", config.layer_decay, "above 0, up to 1")
    if config.clip is not None:
        check_above("optimizer.clip", config.clip, 0)
    if len(config.betas) != 2 or not all(0 <= beta < 1 for beta in config.betas):
        raise UserError("optimizer.betas", list(config.betas), "two numbers, 0 up to, not with, 1")


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Sets every group's learning rate to ``factor`` times its peak."""
    for group in optimizer.param_groups:
        group["lr"] = group["peak_lr"] * factor


def clip_gradients(optimizer: torch.optim.Optimizer, largest: float) -> None:
    """Makes the next step scale all gradients so that their common norm is at most ``largest``.

    The fused step divides gradients by ``grad_scale`` as it reads them, as for mixed precision, so
    that clipping needs no pass over the weights.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    norm = _norm(gradients)
    # The 1e-6 is that of torch's clip_grad_norm_. On a CPU a scale of 1 is left out, since the step
    # writes scaled gradients back. On a GPU reading the norm would wait for it.
    within = norm.device.type == "cpu" and bool(norm + 1e-6 <= largest)
    scale = None if within else ((norm + 1e-6) / largest).clamp(min=1.0)
    optimizer.grad_scale = scale  # type: ignore[attr-defined]


def _norm(gradients: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all gradients together."""
    if all(gradient.is_cuda for gradient in gradients):
        return torch.nn.utils.get_total_norm(gradients)
    # On a CPU a dot product takes half of the time of torch's norm, and rounds less.
    squares = [torch.dot(flat, flat) for flat in (grad.flatten() for grad in gradients)]
    return torch.stack(squares).sum().sqrt()


def rate_factor(config: SchedulerConfig, step: int, total: int) -> float:
    """The learning rate of step ``step``, counted from 0, of ``total``, as a share of its peak.

    A pure function, so that a resumed run needs no scheduler state. ``onecycle`` is the learning
    rate of Smith and Topin 2018 with torch's default factors (25 and 1e4) and cosine annealing.
    Raises UserError for an unknown schedule, or a warm-up outside 0..1.
    """
    check_known("scheduler.name", config.name, SCHEDULES)
    check_rate("scheduler.warmup", config.warmup)
    if config.name == "onecycle":
        return _one_cycle(step, total, config.warmup)
    warmup = config.warmup * total
    if step < warmup:
        return (step + 1) / (warmup + 1)
    progress = (step - warmup) / max(1.0, total - warmup)
    if config.name == "linear":
        return max(0.0, 1 - progress)
    return 1.0 if config.name == "none" else 0.5 * (1 + math.cos(math.pi * progress))


def _one_cycle(step: int, total: int, warmup: float) -> float:
    start, end, peak = 1 / 25, 1 / 25 / 1e4, warmup * total - 1
    if step < peak:
        return _anneal(start, 1.0, step / peak)
    return _anneal(1.0, end, (step - peak) / max(1.0, total - 1 - peak))


def _anneal(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2
