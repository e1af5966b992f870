"""Regularizers that penalise unstable outputs: SMART and R-Drop."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.errors import check_above, check_known, check_range
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.settings import RegularizerConfig

Batches = Mapping[str, LabelledBatch]
Texts = Mapping[str, PackedBatch]
Outputs = Mapping[str, Tensor]
Forward = Callable[[Texts], Outputs]
"""Maps the texts of some tasks to their raw outputs."""
Loss = Callable[[str, Tensor], Tensor]
"""Maps a task and its raw outputs for a batch to the batch's mean loss."""


class Regularizer(nn.Module):
    """No penalty. Any state of a subclass is in its state dict."""

    def __init__(self, objectives: Mapping[str, Objective], weight: float = 0.0) -> None:
        super().__init__()
        self.objectives, self.weight = dict(objectives), weight

    def penalties(
        self, forward: Forward, batches: Batches, raw: Outputs, loss: Loss
    ) -> dict[str, Tensor]:
        """Summand of each task's loss, a scalar.

        Args:
            forward: the network in training mode.
            raw: its outputs for the batches, (E, K) for each task.
            loss: the loss that the penalty is added to.
        """
        return {}

    def observe(self, network: nn.Module) -> None:
        """Follows the network after an update of its weights."""


class RDrop(Regularizer):
    """Divergence of two passes with different dropout masks (Liang et al. 2021).

    The loss becomes the mean of both passes' losses plus ``weight / 2`` times the symmetric
    divergence of their outputs.
    """

    def penalties(
        self, forward: Forward, batches: Batches, raw: Outputs, loss: Loss
    ) -> dict[str, Tensor]:
        """Half of the weighted divergence plus half of the difference of the losses."""
        second = forward({task: batch.text for task, batch in batches.items()})
        penalties = {}
        for task in batches:
            # (L1 + L2) / 2 = L1 + (L2 - L1) / 2, and L1 is the loss without a regularizer.
            change = loss(task, second[task]) - loss(task, raw[task])
            divergence = self.objectives[task].divergence(second[task], raw[task])
            penalties[task] = (change + self.weight * divergence) / 2
        return penalties


class Smart(Regularizer):
    """Smoothness-inducing adversarial regularisation (Jiang et al. 2020).

    Adds ``weight`` times the divergence between the outputs with and without an adversarial
    perturbation of the embeddings. It starts as normal noise and takes ``steps`` steps along the
    divergence's gradient. After each step, a token's perturbation is divided by the sum of its
    largest absolute value and ``epsilon``, as in the authors' code. The paper projects onto a ball
    instead.

    With ``proximal`` above 0, Bregman proximal point optimisation is added: the divergence from a
    network whose weights are a moving average (``decay``; the paper's equation 4).

    Args:
        network: network that the moving average starts from.
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
        self, forward: Forward, batches: Batches, raw: Outputs, loss: Loss
    ) -> dict[str, Tensor]:
        """Weighted divergences from the perturbed and from the momentum network's outputs."""
        texts = {task: batch.text for task, batch in batches.items()}
        perturbed = forward(_with_noise(texts, self._adversarial_noise(forward, texts, raw)))
        divergences = self._divergences(perturbed, raw)
        penalties = {task: self.weight * value for task, value in divergences.items()}
        if self.follower is not None:
            with torch.no_grad():
                previous = self.follower(texts)
            for task, value in self._divergences(raw, previous).items():
                penalties[task] = penalties[task] + self.config.proximal * value
        return penalties

    def observe(self, network: nn.Module) -> None:
        """Updates the moving average of the weights."""
        if self.follower is not None:
            update = get_ema_multi_avg_fn(self.config.decay)
            update(list(self.follower.parameters()), list(network.parameters()), 1)

    def _adversarial_noise(self, forward: Forward, texts: Texts, raw: Outputs) -> dict[str, Tensor]:
        """Each task's perturbation of its embeddings, (N, width)."""
        fixed = {task: output.detach() for task, output in raw.items()}
        noise = {}
        for task, text in texts.items():
            tokens = sum(text.lengths)
            normal = torch.randn(tokens, self.width, device=text.tokens.device)
            # Drawn for tokens alone: filling must not change their noise.
            noise[task] = F.pad(normal * self.config.noise, (0, 0, 0, len(text.tokens) - tokens))
        for _ in range(self.config.steps):
            noise = {task: one.requires_grad_() for task, one in noise.items()}
            divergences = self._divergences(forward(_with_noise(texts, noise)), fixed)
            total = torch.stack(list(divergences.values())).sum()
            gradients = torch.autograd.grad(total, list(noise.values()))
            for (task, one), gradient in zip(list(noise.items()), gradients, strict=True):
                step = one.detach() + self.config.step_size * gradient
                largest = step.abs().amax(dim=-1, keepdim=True)
                noise[task] = step / (largest + self.config.epsilon)
        return noise

    def _divergences(self, one: Outputs, other: Outputs) -> dict[str, Tensor]:
        return {task: self.objectives[task].divergence(one[task], other[task]) for task in one}


def _with_noise(texts: Texts, noise: Outputs) -> dict[str, PackedBatch]:
    return {task: replace(text, noise=noise[task]) for task, text in texts.items()}


REGULARIZERS = ("none", "smart", "r_drop")


def check_regularizer(config: RegularizerConfig) -> None:
    """Raises UserError for an unknown name or a number out of range."""
    check_known("regularizer.name", config.name, REGULARIZERS)
    check_above("regularizer.epsilon", config.epsilon, 0)
    check_range("regularizer.decay", config.decay, 0, 1)
    for name in ("weight", "steps", "step_size", "noise", "proximal"):
        check_range(f"regularizer.{name}", getattr(config, name), 0)


def make_regularizer(
    config: RegularizerConfig, objectives: Mapping[str, Objective], width: int, network: nn.Module
) -> Regularizer:
    """The regularizer of a checked config.

    Args:
        width: width of the encoder's hidden states, where the noise is added.
    """
    if config.name == "smart":
        return Smart(objectives, config, width, network)
    if config.name == "r_drop":
        return RDrop(objectives, config.weight)
    return Regularizer(objectives)
