"""Penalties that keep a network's answer steady: SMART and R-Drop."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.errors import check_above, check_known, check_range
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.settings import RegularizerConfig

Forward = Callable[[Mapping[str, PackedBatch]], Mapping[str, Tensor]]
"""Text of some tasks to their raw outputs."""


class Regularizer(nn.Module):
    """No penalty. What one remembers is in its state dict.

    Args:
        objectives: of every task.
        weight: of the penalty beside the loss.
    """

    def __init__(self, objectives: Mapping[str, Objective], weight: float = 0.0) -> None:
        super().__init__()
        self.objectives, self.weight = dict(objectives), weight

    def penalties(
        self, forward: Forward, batches: Mapping[str, LabelledBatch], raw: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What is added to the loss of each task, a scalar.

        Args:
            forward: the network as it trains.
            raw: what it gave for the batches, (E, K) for each task.
        """
        return {}

    def observe(self, network: nn.Module) -> None:
        """Takes note of the network after an update."""


class RDrop(Regularizer):
    """Two passes with dropout of their own should agree (Liang et al. 2021).

    The loss becomes the mean of both passes' losses, and ``weight / 2`` times the divergence of
    their answers in both directions is added.
    """

    def penalties(
        self, forward: Forward, batches: Mapping[str, LabelledBatch], raw: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """See :class:`Regularizer`."""
        again = forward({task: batch.text for task, batch in batches.items()})
        found = {}
        for task, batch in batches.items():
            of = self.objectives[task]
            second = of.loss(again[task], batch.labels) - of.loss(raw[task], batch.labels)
            found[task] = (second + self.weight * of.divergence(again[task], raw[task])) / 2
        return found


class Smart(Regularizer):
    """Smoothness-inducing adversarial regularisation (Jiang et al. 2020).

    Adds ``weight`` times the divergence between the answer and that for embeddings disturbed so
    as to change it most. The disturbance starts as normal noise and takes ``steps`` steps along
    the divergence's gradient, after each of which every token's is divided by its largest number
    and ``epsilon``, as in the method's public code; the paper projects onto a ball instead.

    With ``proximal`` above 0, Bregman proximal point optimisation is added: the divergence from a
    network whose weights follow at ``decay`` (momentum, the paper's equation 4).

    Args:
        network: of which the follower is a copy.
    """

    def __init__(
        self,
        objectives: Mapping[str, Objective],
        config: RegularizerConfig,
        width: int,
        network: nn.Module,
    ) -> None:
        super().__init__(objectives, config.weight)
        self.config, self.width = config, width
        self.follower = None
        if config.proximal:
            self.follower = copy.deepcopy(network).eval().requires_grad_(False)

    def penalties(
        self, forward: Forward, batches: Mapping[str, LabelledBatch], raw: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """See :class:`Regularizer`."""
        texts = {task: batch.text for task, batch in batches.items()}
        again = forward(_disturbed(texts, self._worst_noise(forward, texts, raw)))
        found = {task: self.weight * d for task, d in self._divergences(again, raw).items()}
        if self.follower is not None:
            with torch.no_grad():
                before = self.follower(texts)
            for task, divergence in self._divergences(raw, before).items():
                found[task] = found[task] + self.config.proximal * divergence
        return found

    def observe(self, network: nn.Module) -> None:
        """See :class:`Regularizer`."""
        if self.follower is not None:
            own: list[Tensor] = list(self.follower.parameters())
            others: list[Tensor] = list(network.parameters())
            with torch.no_grad():
                torch._foreach_lerp_(own, others, 1 - self.config.decay)

    def _worst_noise(
        self, forward: Forward, texts: Mapping[str, PackedBatch], raw: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """For each task the disturbance of its embeddings, (N, width)."""
        fixed = {task: output.detach() for task, output in raw.items()}
        noise = {
            task: torch.randn(len(text.tokens), self.width, device=text.tokens.device)
            * self.config.noise
            for task, text in texts.items()
        }
        for _ in range(self.config.steps):
            leaves = {task: one.requires_grad_() for task, one in noise.items()}
            divergences = self._divergences(forward(_disturbed(texts, leaves)), fixed)
            total = torch.stack(list(divergences.values())).sum()
            slopes = torch.autograd.grad(total, list(leaves.values()))
            noise = {
                task: _scaled(one.detach() + self.config.step_size * slope, self.config.epsilon)
                for (task, one), slope in zip(leaves.items(), slopes, strict=True)
            }
        return noise

    def _divergences(
        self, one: Mapping[str, Tensor], other: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        return {task: self.objectives[task].divergence(one[task], other[task]) for task in one}


def _scaled(step: Tensor, epsilon: float) -> Tensor:
    return step / (step.abs().amax(dim=-1, keepdim=True) + epsilon)


def _disturbed(
    texts: Mapping[str, PackedBatch], noise: Mapping[str, Tensor]
) -> dict[str, PackedBatch]:
    return {task: replace(text, noise=noise[task]) for task, text in texts.items()}


REGULARIZERS = ("none", "smart", "r_drop")


def check_regularizer(config: RegularizerConfig) -> None:
    """Raises UserError for an unknown name or a number out of range."""
    check_known("regularizer.name", config.name, REGULARIZERS)
    check_range("regularizer.weight", config.weight, 0)
    check_range("regularizer.steps", config.steps, 0)
    check_range("regularizer.step_size", config.step_size, 0)
    check_above("regularizer.epsilon", config.epsilon, 0)
    check_range("regularizer.noise", config.noise, 0)
    check_range("regularizer.proximal", config.proximal, 0)
    check_range("regularizer.decay", config.decay, 0, 1)


def make_regularizer(
    config: RegularizerConfig,
    objectives: Mapping[str, Objective],
    width: int,
    network: nn.Module,
) -> Regularizer:
    """The regulariser that the config asks for.

    Args:
        width: of the encoder's hidden states, where the embeddings are disturbed.

    Raises:
        UserError: as :func:`check_regularizer`.
    """
    check_regularizer(config)
    if config.name == "smart":
        return Smart(objectives, config, width, network)
    if config.name == "r_drop":
        return RDrop(objectives, config.weight)
    return Regularizer(objectives)
