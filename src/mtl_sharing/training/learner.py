"""One update of the weights: draw of tasks, losses, gradients, optimizer step."""

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.data.tokens.batches import Batches
from mtl_sharing.errors import check_finite
from mtl_sharing.objectives.aggregation import GradientAggregator
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.regularizers import Regularizer
from mtl_sharing.objectives.ties import Tie
from mtl_sharing.objectives.weighting import Weighting
from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.samplers import Sampler
from mtl_sharing.training.optimizer import clip_gradients, rate_factor, set_rate
from mtl_sharing.training.row_gradients import TableGradient, table_gradients
from mtl_sharing.training.settings import SchedulerConfig
from mtl_sharing.utils.device import Runtime, autocast


@dataclass(frozen=True)
class Update:
    """Metrics of one update: each task's mean loss, all tasks' examples, the tie's penalty.

    Attributes:
        cosines: between the tasks' gradients on shared weights, with gradient surgery.
    """

    losses: Mapping[str, float]
    examples: int
    tie: float | None = None
    cosines: Mapping[str, float] = field(default_factory=dict)


@dataclass
class Learner:
    """Updates the weights of a network, which maps texts of some tasks to their raw outputs.

    Attributes:
        clip: largest norm of the whole gradient, or None.
        accumulation: micro-batches whose gradients make one update.
        tie: penalty over tied stages, added to the loss of every update.
        surgery: merges the tasks' gradients on shared weights; None sums them.
        dense: weights whose gradients reach every row of a table.
        served: batches that each task has given so far, the whole state of the data's order.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    scheduler: SchedulerConfig
    sampler: Sampler
    batches: Mapping[str, Batches]
    objectives: Mapping[str, Objective]
    epochs: Epochs
    weighting: Weighting
    regularizer: Regularizer
    runtime: Runtime
    clip: float | None
    accumulation: int
    tie: Tie | None = None
    surgery: GradientAggregator | None = None
    dense: Iterable[Tensor] = ()
    served: dict[str, int] = field(default_factory=dict)
    tables: list[TableGradient] = field(init=False)

    def __post_init__(self) -> None:
        # A tie's gradient reaches every row. An aggregator takes each task's gradient away, so that
        # the next task's must not be added to the same buffer.
        tied = [] if self.tie is None else self.tie.copies
        parted = {} if self.surgery is None else self.surgery.shared
        dense = itertools.chain(self.dense, *tied, *parted.values())
        self.tables = table_gradients(self.network, dense)

    def close(self) -> None:
        """Removes the learner's hooks from the network."""
        for table in self.tables:
            table.close()

    def update(self, step: int, total: int) -> Update:
        """Makes update ``step``, counted from 0, of ``total``.

        Raises UserError for a loss that is not finite, before any weight changes.
        """
        set_rate(self.optimizer, rate_factor(self.scheduler, step, total))
        self.network.train()
        losses: dict[str, list[float]] = {}
        examples = 0
        for part in range(self.accumulation):
            batch_losses, count = self._add_gradients(step * self.accumulation + part)
            for task, loss in batch_losses.items():
                check_finite(f"loss of task {task}", loss, f"at step {step + 1}")
                losses.setdefault(task, []).append(loss)
            self.weighting.observe(batch_losses)
            examples += count
        cosines = {} if self.surgery is None else self.surgery.aggregate()
        penalty = None if self.tie is None else self.tie.add_gradient()
        if penalty is not None:
            check_finite("the tie's penalty", penalty, f"at step {step + 1}")
        self._apply()
        means = {task: sum(values) / len(values) for task, values in losses.items()}
        return Update(means, examples, penalty, cosines)

    def state(self) -> dict[str, Any]:
        """The state that the next update depends on, apart from the step's number."""
        return {
            "served": dict(self.served),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "weighting": self.weighting.state_dict(),
            "regularizer": self.regularizer.state_dict(),
            "surgery": {} if self.surgery is None else self.surgery.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a :meth:`state`; raises RuntimeError or ValueError for another learner's."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.weighting.load_state_dict(state["weighting"])
        self.regularizer.load_state_dict(state["regularizer"])
        if self.surgery is not None:
            self.surgery.load_state_dict(state["surgery"])
        self.served = dict(state["served"])

    def _add_gradients(self, draw: int) -> tuple[dict[str, float], int]:
        """Adds the gradients of one micro-batch; returns the losses and the number of examples."""
        tasks = self.sampler.tasks(draw)
        self.weighting.start_epoch(self.epochs.of(draw))
        # Tasks that share a stage run through it as one long batch, which is fastest. An aggregator
        # needs each task's gradient apart.
        groups = [tasks] if self.surgery is None else [(task,) for task in tasks]
        losses: dict[str, float] = {}
        examples = 0
        for group in groups:
            group_losses, count = self._backward(group, len(tasks), draw)
            losses |= group_losses
            examples += count
        return losses, examples

    def _backward(
        self, group: tuple[str, ...], drawn: int, draw: int
    ) -> tuple[dict[str, float], int]:
        """Runs one forward and backward pass over some of the ``drawn`` tasks of a draw."""
        batches = {task: self._next(task) for task in group}
        raw = self._forward({task: batch.text for task, batch in batches.items()})
        losses = {
            task: self.objectives[task].loss(raw[task], batch.labels)
            for task, batch in batches.items()
        }
        penalties = self.regularizer.penalties(self._forward, batches, raw)
        terms = [
            self.weighting.term(task, loss + penalties.get(task, 0.0), drawn, draw)
            for task, loss in losses.items()
        ]
        total = torch.stack(terms).sum() / self.accumulation
        if total.requires_grad:  # not if every weight of these tasks is frozen
            total.backward()
        if self.surgery is not None:
            self.surgery.collect(group[0])
        # Read together, so that a GPU is waited for once.
        values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        count = sum(batch.examples for batch in batches.values())
        return dict(zip(losses, values, strict=True)), count

    def _forward(self, texts: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        with autocast(self.runtime.precision, self.runtime.device):
            raw: dict[str, Tensor] = self.network(texts)
        return raw

    def _next(self, task: str) -> LabelledBatch:
        number = self.served.get(task, 0)
        self.served[task] = number + 1
        return self.batches[task][number].to(self.runtime.device)

    def _apply(self) -> None:
        if self.clip is not None:
            clip_gradients(self.optimizer, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        for table in self.tables:
            table.clear()
        self.regularizer.observe(self.network)
