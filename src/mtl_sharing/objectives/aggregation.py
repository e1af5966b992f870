"""Aggregates the tasks' gradients on weights that several tasks own.

The gradients of the tasks' terms are the rows of a matrix J (the Jacobian), which is never built:
every rule here is a weighted sum of the rows, with weights that depend on their Gramian ``J J'``
alone. The rules are torchjd's. A weight of a single task keeps that task's gradient.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, combinations_with_replacement
from typing import Any

import torch
from torch import Tensor, nn

from mtl_sharing.errors import UserError, check_known, check_range, check_rate, one_of
from mtl_sharing.objectives.settings import LossConfig

SUM = "sum"
# Each rule with the packages of its solver, which the extra "solvers" installs.
AGGREGATIONS: Mapping[str, tuple[str, ...]] = {
    SUM: (), "mean": (), "pcgrad": (), "gradvac": (), "upgrad": ("qpsolvers", "quadprog"),
    "mgda": (), "cagrad": ("cvxpy", "clarabel"), "fairgrad": (), "imtl_g": (), "aligned_mtl": (),
}  # fmt: skip
COSINES = ("none", "network", "stages")


def make_aggregator(
    config: LossConfig, shared: Mapping[str, Sequence[nn.Parameter]], tasks: Sequence[str]
) -> "GradientAggregator | None":
    """The aggregator of a checked config; None where the gradient of the summed terms suffices.

    Args:
        shared: stage name to the weights in it that several tasks own.
    """
    if (config.aggregation == SUM and config.cosines == "none") or not shared:
        return None
    rule = _make_rule(config, len(tasks))
    return GradientAggregator(rule, shared, tasks, stages=config.cosines == "stages")


def check_aggregation(config: LossConfig) -> None:
    """Raises UserError for an unknown rule, one without its solver, or a number out of range."""
    check_known("loss.aggregation", config.aggregation, AGGREGATIONS)
    check_known("loss.cosines", config.cosines, COSINES)
    check_range("loss.beta", config.beta, 0, 1)
    check_range("loss.alpha", config.alpha, 0)
    check_rate("loss.c", config.c)
    packages = AGGREGATIONS[config.aggregation]
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        found = f"{config.aggregation}, which needs {one_of(missing)}"
        raise UserError("loss.aggregation", found, "it after: pip install 'mtl-sharing[solvers]'")


@dataclass
class GradientAggregator:
    """Collects each task's gradient on shared weights, and aggregates them.

    Attributes:
        rule: maps a Gramian (K, K), float64 on the CPU, and the numbers of its K tasks to weights
            (K,) of the rows. Its state is in its state dict.
        shared: stage name to the weights in it that several tasks own.
        stages: whether cosines are computed for every stage as well.
    """

    rule: nn.Module
    shared: Mapping[str, Sequence[nn.Parameter]]
    tasks: Sequence[str]
    stages: bool = False
    _rows: dict[str, dict[int, Tensor]] = field(default_factory=dict, init=False)

    def collect(self, task: str) -> None:
        """Moves the current gradient of shared weights into the task's row, adding to it."""
        row = self._rows.setdefault(task, {})
        for weight in self._weights():
            if weight.grad is not None:
                previous = row.get(id(weight))
                row[id(weight)] = weight.grad if previous is None else previous.add_(weight.grad)
                weight.grad = None

    def aggregate(self) -> dict[str, float]:
        """Sets the gradient of shared weights to the weighted sum of the rows.

        Returns:
            The cosine of each pair of rows, called ``<stage>/<task>+<task>``, with ``network`` for
            all stages together.
        """
        # A task without any shared weight takes no part in their sum.
        tasks = [task for task in self.tasks if self._rows.get(task)]
        rows = [self._rows[task] for task in tasks]
        self._rows = {}
        if not rows:
            return {}
        gramians = self._gramians(rows)
        total = torch.stack(list(gramians.values())).sum(0)
        if not total.isfinite().all():
            allowed = "finite numbers: try a lower optimizer.lr, or optimizer.clip=1"
            raise UserError("the tasks' gradients", "infinite inner products", allowed)
        numbers = [number for number, task in enumerate(self.tasks) if task in tasks]
        weights = [1.0] if len(rows) == 1 else self.rule(total, numbers).tolist()
        for weight in self._weights():
            weight.grad = _weighted_sum([row.get(id(weight)) for row in rows], weights)
        return {
            f"{stage}/{one}+{other}": cosine
            for stage, gramian in ({"network": total} | (gramians if self.stages else {})).items()
            for one, other, cosine in _cosines(tasks, gramian)
        }

    def state_dict(self) -> dict[str, Any]:
        """The state of the rule."""
        return self.rule.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores the state of :meth:`state_dict`."""
        self.rule.load_state_dict(dict(state))

    def _weights(self) -> list[nn.Parameter]:
        return [weight for stage in self.shared.values() for weight in stage]

    def _gramians(self, rows: Sequence[Mapping[int, Tensor]]) -> dict[str, Tensor]:
        """Each stage's inner products of the rows over its weights, (K, K), on the CPU."""
        pairs = list(combinations_with_replacement(range(len(rows)), 2))
        stages = self.shared.values()
        products = torch.stack(
            [_inner_product(rows[one], rows[other], w) for w in stages for one, other in pairs]
        )
        # The rules solve tiny problems, faster on a CPU. One copy for all stages waits for the GPU
        # only once.
        gramians = torch.zeros(len(self.shared), len(rows), len(rows), dtype=torch.float64)
        ones, others = torch.tensor(pairs).T
        gramians[:, ones, others] = products.cpu().view(len(self.shared), -1)
        gramians[:, others, ones] = gramians[:, ones, others]
        return dict(zip(self.shared, gramians, strict=True))


def _inner_product(
    one: Mapping[int, Tensor], other: Mapping[int, Tensor], weights: Sequence[Tensor]
) -> Tensor:
    common = [id(weight) for weight in weights if id(weight) in one and id(weight) in other]
    dots = [torch.dot(one[key].flatten(), other[key].flatten()) for key in common]
    return torch.stack(dots).double().sum() if dots else weights[0].new_zeros(()).double()


def _weighted_sum(gradients: Sequence[Tensor | None], weights: Sequence[float]) -> Tensor | None:
    terms = [(g, w) for g, w in zip(gradients, weights, strict=True) if g is not None]
    if not terms:
        return None
    (total, first), *others = terms
    total = total if first == 1 else total.mul_(first)
    for gradient, weight in others:
        total.add_(gradient, alpha=weight)
    return total


def _cosines(tasks: Sequence[str], gramian: Tensor) -> list[tuple[str, str, float]]:
    """The cosine of each pair of tasks whose gradients are not 0."""
    cosines = []
    for one, other in combinations(range(len(gramian)), 2):
        norms = float(gramian[one, one] * gramian[other, other]) ** 0.5
        if norms > 0:
            cosines.append((tasks[one], tasks[other], float(gramian[one, other]) / norms))
    return cosines


class _Rule(nn.Module):
    """A rule without state: a function of the Gramian alone."""

    def __init__(self, rule: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, gramian: Tensor, tasks: Sequence[int]) -> Tensor:
        return self.rule(gramian)


class PairwiseGradVac(nn.Module):
    """Gradient Vaccine (Wang et al. 2021), with targets for each pair of tasks.

    torchjd's rule stores its targets by row number and resets them when the number of rows
    changes. This class gives it the targets of a step's tasks, and stores the updated ones.

    Attributes:
        targets: lower bound for the cosine of each pair of all K tasks, (K, K). Not symmetric,
            since only the gradient of a pair's first task is changed.
    """

    targets: Tensor

    def __init__(self, beta: float, tasks: int) -> None:
        super().__init__()
        from torchjd.aggregation import GradVacWeighting

        self.rule: Any = GradVacWeighting(beta)
        self.register_buffer("targets", torch.zeros(tasks, tasks, dtype=torch.float64))

    def forward(self, gramian: Tensor, tasks: Sequence[int]) -> Tensor:
        """Weights (k,) of the rows.

        Args:
            gramian: Gramian of the rows, (k, k), float64.
            tasks: the number of each row's task, from 0 to K - 1.
        """
        pairs = torch.tensor(tasks)[:, None], torch.tensor(tasks)
        # torchjd has no public access to the targets; a test names both attributes.
        self.rule.register_buffer("_phi_t", self.targets[pairs])
        self.rule._state_key = (len(tasks), gramian.dtype)
        weights: Tensor = self.rule(gramian)
        self.targets[pairs] = self.rule.get_buffer("_phi_t")
        self.rule.reset()
        return weights


def _make_rule(config: LossConfig, tasks: int) -> nn.Module:
    if config.aggregation == SUM:
        return _Rule(lambda gramian: torch.ones(len(gramian), dtype=gramian.dtype))
    if config.aggregation == "mean":
        return _Rule(lambda gramian: torch.ones(len(gramian), dtype=gramian.dtype) / len(gramian))
    if config.aggregation == "gradvac":
        return PairwiseGradVac(config.beta, tasks)
    from torchjd import aggregation  # slow to import

    makers: dict[str, Callable[[], nn.Module]] = {
        "pcgrad": aggregation.PCGradWeighting,
        "upgrad": aggregation.UPGradWeighting,
        "mgda": aggregation.MGDAWeighting,
        "cagrad": lambda: aggregation.CAGradWeighting(config.c),
        "fairgrad": lambda: aggregation.FairGradWeighting(config.alpha),
        "imtl_g": aggregation.IMTLGWeighting,
        "aligned_mtl": aggregation.AlignedMTLWeighting,
    }
    return _Rule(makers[config.aggregation]())
