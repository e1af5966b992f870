"""One update of the weights: which tasks, what their losses say, one gradient step."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from mtl_sharing.data.batches import TrainingBatches
from mtl_sharing.mixing.samplers import Sampler
from mtl_sharing.model.network import Network
from mtl_sharing.objectives.ties import Tie
from mtl_sharing.objectives.weighting import FixedWeighting
from mtl_sharing.run.evaluate import Runtime, TaskMeasure, check_finite
from mtl_sharing.run.optimizer import clip_gradients, rate_factor, set_rate
from mtl_sharing.run.precision import autocast
from mtl_sharing.run.row_gradients import RowGradients
from mtl_sharing.run.settings import SchedulerConfig
from mtl_sharing.types import LabelledBatch


@dataclass(frozen=True)
class Update:
    """What one update saw: mean loss of each task in it, how many examples, the tie's penalty."""

    losses: Mapping[str, float]
    examples: int
    tie: float | None = None


@dataclass
class Learner:
    """Everything that one update needs.

    Attributes:
        clip: largest norm of the whole gradient, or None.
        accumulation: micro-batches whose gradients make one update.
        tie: penalty over tied stages, added to the loss of every update.
        served: batches that each task has given so far, which is all the data order's state.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    scheduler: SchedulerConfig
    sampler: Sampler
    batches: Mapping[str, TrainingBatches]
    measures: Mapping[str, TaskMeasure]
    weighting: FixedWeighting
    runtime: Runtime
    clip: float | None
    accumulation: int
    tie: Tie | None = None
    served: dict[str, int] = field(default_factory=dict)
    rows: RowGradients = field(init=False)

    def __post_init__(self) -> None:
        self.rows = RowGradients(self.network)

    def update(self, step: int, total: int) -> Update:
        """Update ``step`` (from 0) of ``total``.

        Raises:
            UserError: a loss that is no finite number; this update changes no weight.
        """
        set_rate(self.optimizer, rate_factor(self.scheduler, step, total))
        self.network.train()
        seen: dict[str, list[float]] = {}
        examples = 0
        for part in range(self.accumulation):
            drawn = self.sampler.tasks(step * self.accumulation + part)
            tasks = tuple(task for task in drawn if self.weighting.counts(task))
            if not tasks:
                continue
            losses, count = self._losses(tasks)
            examples += count
            total_loss = self.weighting(losses) / self.accumulation
            # Tasks whose every weight is frozen have nothing to learn from.
            if total_loss.requires_grad:
                total_loss.backward()
            # Read together: a GPU is waited for once.
            values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
            for task, value in zip(losses, values, strict=True):
                check_finite(f"loss of task {task}", value, f"at step {step + 1}")
                seen.setdefault(task, []).append(value)
        penalty = None if self.tie is None else self.tie.add_gradient()
        if penalty is not None:
            check_finite("the tie's penalty", penalty, f"at step {step + 1}")
        self._apply()
        return Update({task: sum(v) / len(v) for task, v in seen.items()}, examples, penalty)

    def _losses(self, tasks: tuple[str, ...]) -> tuple[dict[str, Tensor], int]:
        batches = {task: self._next(task) for task in tasks}
        texts = {task: batch.text for task, batch in batches.items()}
        with autocast(self.runtime.precision, self.runtime.device):
            raw = self.network(texts)
        losses = {
            task: self.measures[task].objective.loss(raw[task], batch.labels)
            for task, batch in batches.items()
        }
        return losses, sum(len(batch.labels) for batch in batches.values())

    def _next(self, task: str) -> LabelledBatch:
        number = self.served.get(task, 0)
        self.served[task] = number + 1
        return self.batches[task][number].to(self.runtime.device)

    def _apply(self) -> None:
        if self.clip is not None:
            clip_gradients(self.optimizer, self.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.rows.clear()
