"""What the tests of stored frozen states share: runs that are watched."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from mtl_sharing.evaluation.evaluate import evaluate
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.model.network import Network
from mtl_sharing.training.trainer import Trainer


@dataclass(frozen=True)
class Run:
    """What a run has found.

    Attributes:
        losses: of each task at each step.
        history: the rows of metrics.csv, without times.
        before, after: weights at both ends of the training.
        figures: of all of dev, with the best weights.
        computed: tokens that went through the embeddings.
    """

    losses: list[dict[str, float]]
    history: list[dict[str, float]]
    before: dict[str, torch.Tensor]
    after: dict[str, torch.Tensor]
    figures: dict[str, dict]
    computed: int

    def check_equal(self, other: "Run", tolerance: float) -> None:
        """Every figure and weight of the two; a tolerance of 0 takes equal bits alone."""
        exact = {"rtol": tolerance, "atol": tolerance}
        for ours, theirs in ((self.losses, other.losses), (self.history, other.history),
                             (self.figures, other.figures)):  # fmt: skip
            torch.testing.assert_close(ours, theirs, **exact)
        torch.testing.assert_close(self.after, other.after, **exact)

    @property
    def trained(self) -> set[str]:
        """Names of the weights that are no longer what they were."""
        return {name for name, w in self.before.items() if not torch.equal(w, self.after[name])}


def finish(
    trainer: Trainer, inputs: RunInputs, meanwhile: Callable[[int], None] | None = None
) -> Run:
    """Trains to the end and evaluates, as the main job does.

    Args:
        meanwhile: called with the step before each.
    """
    losses, learner = [], trainer.learner
    update, seen = learner.update, count_tokens(learner.network)
    before = {name: w.clone() for name, w in learner.network.state_dict().items()}

    def watched(step, total, ended):
        if meanwhile is not None:
            meanwhile(step)
        found = update(step, total, ended)
        losses.append(dict(found.losses))
        return found

    learner.update = watched
    trainer.run()
    found = evaluate(trainer.network, inputs.dev, trainer.measures, trainer.runtime)
    state = torch.load(trainer.folder / "checkpoint" / "last.pt", weights_only=True)
    after = state["learner"]["network"]
    history = [{k: v for k, v in row.items() if k != "train_s"} for row in trainer.history]
    figures = {
        name: {k: v for k, v in task.items() if isinstance(v, float)}
        for name, task in found.tasks.items()
    }
    return Run(losses, history, before, after, figures, sum(seen))


def count_tokens(network: Network) -> list[int]:
    """A list that grows by the number of tokens whenever some enter the embeddings."""
    seen: list[int] = []
    for copy in network.encoder.embeddings.copies:
        copy.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    return seen
