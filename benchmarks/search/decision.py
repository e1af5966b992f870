"""The search of ``+sweep=search``, replayed: its questions are answered from a draw."""

import time
from dataclasses import dataclass, field, replace

import numpy as np

from benchmarks.search.problems import Draw
from benchmarks.search.strategies import Options, Verdict
from mtl_sharing.run_folder.decision import Question
from mtl_sharing.sweep.search.candidates import Candidates, Training
from mtl_sharing.sweep.search.decision import answer, next_training
from mtl_sharing.sweep.search.kernel import DEPTH

STOPPED = "search, until decided"


@dataclass
class _Trajectory:
    """The trainings of one search, in order."""

    draw: Draw
    candidates: Candidates
    question: Question
    trainings: list[Training] = field(default_factory=list)
    questions: int = 0
    asking_s: float = 0.0

    def advance(self, question: Question) -> bool:
        """Asks for the next training and trains it; False where none is asked for."""
        began = time.perf_counter()
        asked = next_training(self.candidates, self.trainings, question)
        self.asking_s += time.perf_counter() - began
        self.questions += 1
        if asked is None:
            return False
        index, seed = asked
        performance = float(self.draw.performances[index, seed])
        self.trainings.append(Training(index, seed, performance))
        return True

    def verdict(self) -> Verdict:
        """The answer that the search gives now."""
        answered = answer(self.candidates, self.trainings, self.question)
        spent = float(len(self.trainings))
        return Verdict(
            answered.chosen, spent, bool(answered.decided), self.questions, self.asking_s
        )


def search(draw: Draw, options: Options) -> dict[str, Verdict]:
    """Follows one search; takes its answer at each budget, and where it stops by itself.

    A search that has decided before a budget is asked on, as if no confidence were enough.
    """
    problem = draw.problem
    candidates = Candidates(
        features=np.array(problem.splits, dtype=float)[:, None] / max(problem.splits),
        kinds=(DEPTH,),
        costs=problem.costs,
        training_costs=problem.trainings,
    )
    question = Question(problem.keep, options.confidence, tuple(range(options.pool)))
    path, verdicts = _Trajectory(draw, candidates, question), {}
    largest = max(options.budgets, default=0)
    while len(path.trainings) < (largest if STOPPED in verdicts else options.most):
        if STOPPED not in verdicts and not path.advance(question):
            verdicts[STOPPED] = path.verdict()
            continue
        if STOPPED in verdicts and not path.advance(replace(question, confidence=1.0)):
            break
        if len(path.trainings) in options.budgets:
            verdicts[f"search, {len(path.trainings)}"] = path.verdict()
    verdicts.setdefault(STOPPED, path.verdict())
    # Where no further training was left, the last answer stands.
    return {f"search, {n}": path.verdict() for n in options.budgets} | verdicts
