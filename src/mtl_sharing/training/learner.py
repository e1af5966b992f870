"""One update of the weights: draw of tasks, losses, gradients, optimizer step."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mtl_sharing.batch import LabelledBatch, PackedBatch
from mtl_sharing.data.tokens.batches import Batches
from mtl_sharing.errors import check_finite
from mtl_sharing.objectives.distillation import Distillation
from mtl_sharing.objectives.losses import Objective
from mtl_sharing.objectives.regularizers import Loss, Regularizer
from mtl_sharing.sampling.epochs import Epochs
from mtl_sharing.sampling.samplers import Sampler
from mtl_sharing.training.component import Component
from mtl_sharing.training.optimizer import rate_factor, set_rate
from mtl_sharing.training.row_gradients import TableGradient, table_gradients
from mtl_sharing.training.settings import SchedulerConfig
from mtl_sharing.utils.device import Runtime, autocast, seed_random
from mtl_sharing.utils.hashing import random_seed


@dataclass
class Update:
    """Metrics of one update: each task's mean loss, all tasks' examples, the tie's penalty.

    Attributes:
        cosines: between the tasks' gradients on shared weights, with gradient surgery.
    """

    losses: dict[str, float] = field(default_factory=dict)
    examples: int = 0
    tie: float | None = None
    cosines: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class MicroBatch:
    """The batches of one draw.

    Attributes:
        draw: number of the draw.
        shares: the part of each task's labels in this update that its batch here has.
    """

    draw: int
    batches: Mapping[str, LabelledBatch]
    shares: Mapping[str, float]


@dataclass
class Learner:
    """Updates the weights of a network, which maps texts of some tasks to their raw outputs.

    Each component of the network is a training of its own: its tasks run through the network by
    themselves, and its random numbers are a function of seed, draw and component. So a task that
    shares nothing trains as it would alone.

    Attributes:
        accumulation: micro-batches whose gradients make one update.
        seed: of the random numbers of dropout and regularizer.
        dense: weights whose gradients reach every row of a table, beside those of the components.
        distillation: how the losses count the outputs of a teacher, which batches may have.
        served: batches that each task has given so far, the whole state of the data's order.
    """

    network: nn.Module
    components: Sequence[Component]
    scheduler: SchedulerConfig
    sampler: Sampler
    batches: Mapping[str, Batches]
    objectives: Mapping[str, Objective]
    epochs: Epochs
    regularizer: Regularizer
    runtime: Runtime
    accumulation: int
    seed: int
    dense: Iterable[Tensor] = ()
    distillation: Distillation = field(default_factory=Distillation)
    served: dict[str, int] = field(default_factory=dict)
    tables: list[TableGradient] = field(init=False)

    def __post_init__(self) -> None:
        dense = [weight for component in self.components for weight in component.dense]
        self.tables = table_gradients(self.network, [*self.dense, *dense])

    def close(self) -> None:
        """Removes the learner's hooks from the network."""
        for table in self.tables:
            table.close()

    def update(self, step: int, total: int, ended: Collection[tuple[str, ...]] = ()) -> Update:
        """Makes update ``step``, counted from 0, of ``total``.

        Args:
            ended: tasks of the components whose training is over.

        Raises:
            UserError: a loss that is not finite, before any weight of its component changes.
        """
        self.network.train()
        update = Update()
        for component in self.components:
            if component.tasks not in ended:
                self._update(component, step, total, update)
        self.regularizer.observe(self.network)
        return update

    def state(self) -> dict[str, Any]:
        """The state that the next update depends on, apart from the step's number."""
        return {
            "served": dict(self.served),
            "network": self.network.state_dict(),
            "components": [component.state() for component in self.components],
            "regularizer": self.regularizer.state_dict(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores a :meth:`state`; raises RuntimeError or ValueError for another learner's."""
        self.network.load_state_dict(state["network"])
        for component, own in zip(self.components, state["components"], strict=True):
            component.restore(own)
        self.regularizer.load_state_dict(state["regularizer"])
        self.served = dict(state["served"])

    def _update(self, component: Component, step: int, total: int, update: Update) -> None:
        """Updates a component's weights if a task of it is drawn, and adds to ``update``."""
        drawn, where = self._draw(component, step), f"at step {step + 1}"
        micro_batches_of = Counter(task for micro in drawn for task in micro.batches)
        if not micro_batches_of:
            return
        set_rate(component.optimizer, rate_factor(self.scheduler, step, total))
        for micro in drawn:
            component.weighting.start_epoch(self.epochs.of(micro.draw))
            losses = self._add_gradients(component, micro, micro_batches_of)
            for task, loss in losses.items():
                check_finite(f"loss of task {task}", loss, where)
                update.losses[task] = update.losses.get(task, 0.0) + micro.shares[task] * loss
            component.weighting.observe(losses, _sizes(micro.batches))
            update.examples += sum(batch.examples for batch in micro.batches.values())
        penalty, cosines = component.apply(where)
        update.tie = update.tie if penalty is None else penalty
        update.cosines |= cosines
        for table in self.tables:
            table.clear()

    def _draw(self, component: Component, step: int) -> list[MicroBatch]:
        """The micro-batches of a component's update."""
        draws = range(step * self.accumulation, (step + 1) * self.accumulation)
        drawn = {
            draw: {t: self._next(t) for t in self.sampler.tasks(draw) if t in component.tasks}
            for draw in draws
        }
        totals: Counter[str] = Counter()
        for batches in drawn.values():
            totals.update(_sizes(batches))
        return [
            MicroBatch(draw, batches, {t: n / totals[t] for t, n in _sizes(batches).items()})
            for draw, batches in drawn.items()
        ]

    def _next(self, task: str) -> LabelledBatch:
        number = self.served.get(task, 0)
        self.served[task] = number + 1
        return self.batches[task][number]

    def _add_gradients(
        self, component: Component, micro: MicroBatch, micro_batches_of: Mapping[str, int]
    ) -> dict[str, float]:
        """Adds the gradients of one micro-batch; returns the tasks' mean losses.

        Args:
            micro_batches_of: micro-batches of this update in which each task takes part.
        """
        seed_random(random_seed(self.seed, micro.draw, component.tasks), self.runtime.device)
        tasks = tuple(micro.batches)
        # Tasks that share a stage run through it as one long batch, which is fastest. An aggregator
        # needs each task's gradient apart.
        groups = [tasks] if component.surgery is None else [(task,) for task in tasks]
        losses: dict[str, float] = {}
        # The outer context keeps the weights' half-precision copies until the last pass.
        with torch.autocast(self.runtime.device.type, enabled=False):
            for group in groups if tasks else ():
                losses |= self._backward(component, micro, group, micro_batches_of)
        return losses

    def _backward(
        self, component: Component, micro: MicroBatch, group: tuple[str, ...],
        micro_batches_of: Mapping[str, int],
    ) -> dict[str, float]:  # fmt: skip
        """Runs one forward and backward pass over some tasks of a micro-batch."""
        batches = {task: micro.batches[task].to(self.runtime.device) for task in group}
        raw = self._forward({task: batch.text for task, batch in batches.items()})
        loss_of = self._loss(micro.draw, batches)
        losses = {task: loss_of(task, raw[task]) for task in batches}
        penalties = self.regularizer.penalties(self._forward, batches, raw, loss_of)
        terms = []
        for task, loss in losses.items():
            # Every label of the update counts alike: a short micro-batch weighs by its size.
            own = (loss + penalties.get(task, 0.0)) * (micro.shares[task] * micro_batches_of[task])
            terms.append(component.weighting.term(task, own, len(micro.batches), micro.draw))
        total = torch.stack(terms).sum() / self.accumulation
        if total.requires_grad:  # not if every weight of these tasks is frozen
            total.backward()
        if component.surgery is not None:
            component.surgery.collect(group[0])
        # Read together, so that a GPU is waited for once.
        values = torch.stack([loss.detach() for loss in losses.values()]).tolist()
        return dict(zip(losses, values, strict=True))

    def _loss(self, draw: int, batches: Mapping[str, LabelledBatch]) -> Loss:
        """The loss of a task's raw outputs for its batch of a draw."""
        weight = self.distillation.weight(draw, self.epochs.draws)
        return lambda task, raw: self.distillation.loss(
            self.objectives[task], raw, batches[task], weight
        )

    def _forward(self, texts: Mapping[str, PackedBatch]) -> dict[str, Tensor]:
        with autocast(self.runtime.precision, self.runtime.device):
            raw: dict[str, Tensor] = self.network(texts)
        return raw


def _sizes(batches: Mapping[str, LabelledBatch]) -> dict[str, int]:
    """Labels of each task's batch; at least 1, since a batch may have no token to predict."""
    return {task: max(1, len(batch.labels)) for task, batch in batches.items()}
