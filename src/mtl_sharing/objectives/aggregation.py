"""How the tasks' gradients on weights that they share become one.

The gradients of the tasks' terms are the rows of a matrix J, which is never built: every rule
here is a weighted sum of the rows, with weights that follow from their Gramian ``J J'`` alone.
The rules are torchjd's. A weight that a single task owns keeps that task's gradient.
"""

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, combinations_with_replacement
from typing import Any

import torch
from torch import Tensor, nn

from mtl_sharing.errors import UserError, check_known, check_range, one_of
from mtl_sharing.objectives.settings import LossConfig

SUM = "sum"
# Each rule with the packages that its solver needs, which the extra "solvers" brings.
AGGREGATIONS: Mapping[str, tuple[str, ...]] = {
    SUM: (),
    "mean": (),
    "pcgrad": (),
    "gradvac": (),
    "upgrad": ("qpsolvers", "quadprog"),
    "mgda": (),
    "cagrad": ("cvxpy", "clarabel"),
    "fairgrad": (),
    "imtl_g": (),
    "aligned_mtl": (),
}
COSINES = ("none", "network", "stages")
WHOLE = "network"


def check_aggregation(config: LossConfig) -> None:
    """Raises UserError for an unknown rule, one without its solver, or a number out of range."""
    check_known("loss.aggregation", config.aggregation, AGGREGATIONS)
    check_known("loss.cosines", config.cosines, COSINES)
    check_range("loss.beta", config.beta, 0, 1)
    check_range("loss.alpha", config.alpha, 0)
    if not 0 <= config.c < 1:
        raise UserError("loss.c", config.c, "0 up to, not with, 1")
    needed = AGGREGATIONS[config.aggregation]
    missing = [name for name in needed if importlib.util.find_spec(name) is None]
    if missing:
        found = f"{config.aggregation}, which needs {one_of(missing)}"
        raise UserError("loss.aggregation", found, "it after: pip install 'mtl-sharing[solvers]'")


@dataclass
class Surgery:
    """Collects each task's gradients on shared weights, and merges them.

    Attributes:
        rule: takes a Gramian (K, K), float64 on the CPU, and the numbers of the K tasks that its
            rows are of; gives the weights (K,) of the rows. What it remembers is in its state dict.
        shared: stage name to the weights in it that several tasks own.
        tasks: all of them, in the order that rows have.
        stages: whether cosines are taken of every stage as well.
    """

    rule: nn.Module
    shared: Mapping[str, Sequence[nn.Parameter]]
    tasks: Sequence[str]
    stages: bool = False
    _rows: dict[str, dict[int, Tensor]] = field(default_factory=dict, init=False)

    def take(self, task: str) -> None:
        """Moves the gradient that shared weights hold now into the task's row, adding to it."""
        row = self._rows.setdefault(task, {})
        for weight in self._weights():
            if weight.grad is not None:
                known = row.get(id(weight))
                row[id(weight)] = weight.grad if known is None else known.add_(weight.grad)
                weight.grad = None

    def merge(self) -> dict[str, float]:
        """Leaves the weighted sum of the rows as the gradient of shared weights.

        Returns:
            The cosine of each pair of rows, called ``<stage>/<task>+<task>``, with ``network`` for
            all stages together.
        """
        # A task that owns none of them has no say in their sum.
        tasks = [task for task in self.tasks if self._rows.get(task)]
        rows = [self._rows[task] for task in tasks]
        self._rows = {}
        if not rows:
            return {}
        gramians = self._gramians(rows)
        whole = torch.stack(list(gramians.values())).sum(0)
        if not whole.isfinite().all():
            allowed = "finite numbers: try a lower optimizer.lr, or optimizer.clip=1"
            raise UserError("the tasks' gradients", "infinite products of them", allowed)
        numbers = [number for number, task in enumerate(self.tasks) if task in tasks]
        weights = [1.0] if len(rows) == 1 else self.rule(whole, numbers).tolist()
        for weight in self._weights():
            weight.grad = _weighted_sum([row.get(id(weight)) for row in rows], weights)
        wanted = {WHOLE: whole} | (gramians if self.stages else {})
        return {
            f"{stage}/{one}+{other}": cosine
            for stage, gramian in wanted.items()
            for one, other, cosine in _cosines(tasks, gramian)
        }

    def state(self) -> dict[str, Any]:
        """What the rule remembers."""
        return self.rule.state_dict()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes up what :meth:`state` gave."""
        self.rule.load_state_dict(dict(state))

    def _weights(self) -> list[nn.Parameter]:
        return [weight for stage in self.shared.values() for weight in stage]

    def _gramians(self, rows: Sequence[Mapping[int, Tensor]]) -> dict[str, Tensor]:
        """For each stage the products of the rows with each other over its weights, (K, K)."""
        pairs = list(combinations_with_replacement(range(len(rows)), 2))
        products = torch.stack(
            [
                _product(rows[one], rows[other], weights)
                for weights in self.shared.values()
                for one, other in pairs
            ]
        )
        # All at once: a GPU is waited for once.
        found = torch.zeros(len(self.shared), len(rows), len(rows), dtype=torch.float64)
        ones, others = torch.tensor(pairs).T
        found[:, ones, others] = products.cpu().view(len(self.shared), -1)
        found[:, others, ones] = found[:, ones, others]
        return dict(zip(self.shared, found, strict=True))


def _product(
    one: Mapping[int, Tensor], other: Mapping[int, Tensor], weights: Sequence[Tensor]
) -> Tensor:
    both = [id(weight) for weight in weights if id(weight) in one and id(weight) in other]
    dots = [torch.dot(one[name].flatten(), other[name].flatten()) for name in both]
    return torch.stack(dots).double().sum() if dots else weights[0].new_zeros(()).double()


def _weighted_sum(gradients: Sequence[Tensor | None], weights: Sequence[float]) -> Tensor | None:
    known = [(g, w) for g, w in zip(gradients, weights, strict=True) if g is not None]
    if not known:
        return None
    (total, first), *others = known
    total = total if first == 1 else total.mul_(first)
    for gradient, weight in others:
        total.add_(gradient, alpha=weight)
    return total


def _cosines(tasks: Sequence[str], gramian: Tensor) -> list[tuple[str, str, float]]:
    """Each pair of tasks that both have a gradient, with its cosine."""
    found = []
    for one, other in combinations(range(len(gramian)), 2):
        norms = float(gramian[one, one] * gramian[other, other]) ** 0.5
        if norms > 0:
            found.append((tasks[one], tasks[other], float(gramian[one, other]) / norms))
    return found


class _Equal(nn.Module):
    """Rows weighted alike: their sum, or their mean."""

    def __init__(self, mean: bool) -> None:
        super().__init__()
        self.mean = mean

    def forward(self, gramian: Tensor, tasks: Sequence[int]) -> Tensor:
        weights = torch.ones(len(gramian), dtype=gramian.dtype)
        return weights / len(gramian) if self.mean else weights


class _OfGramian(nn.Module):
    """A rule of torchjd that remembers nothing."""

    def __init__(self, rule: nn.Module) -> None:
        super().__init__()
        self.rule = rule

    def forward(self, gramian: Tensor, tasks: Sequence[int]) -> Tensor:
        weights: Tensor = self.rule(gramian)
        return weights


def make_surgery(
    config: LossConfig, shared: Mapping[str, Sequence[nn.Parameter]], tasks: Sequence[str]
) -> Surgery | None:
    """What the config asks for; None where the gradient of the summed terms is all that is needed.

    Args:
        shared: stage name to the weights in it that several tasks own.
        tasks: all of them.

    Raises:
        UserError: as :func:`check_aggregation`.
    """
    check_aggregation(config)
    if (config.aggregation == SUM and config.cosines == "none") or not shared:
        return None
    return Surgery(_make_rule(config, len(tasks)), shared, tasks, stages=config.cosines == "stages")


def _make_rule(config: LossConfig, tasks: int) -> nn.Module:
    if config.aggregation in (SUM, "mean"):
        return _Equal(mean=config.aggregation == "mean")
    from torchjd import aggregation

    from mtl_sharing.objectives.gradvac import PairwiseGradVac

    if config.aggregation == "gradvac":
        return PairwiseGradVac(config.beta, tasks)
    makers: dict[str, Callable[[], nn.Module]] = {
        "pcgrad": aggregation.PCGradWeighting,
        "upgrad": aggregation.UPGradWeighting,
        "mgda": aggregation.MGDAWeighting,
        "cagrad": lambda: aggregation.CAGradWeighting(config.c),
        "fairgrad": lambda: aggregation.FairGradWeighting(config.alpha),
        "imtl_g": aggregation.IMTLGWeighting,
        "aligned_mtl": aggregation.AlignedMTLWeighting,
    }
    return _OfGramian(makers[config.aggregation]())
