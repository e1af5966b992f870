"""Every task's prediction for a long file of pairs, tokenising included."""

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import cycle, islice
from pathlib import Path

from tokenizers import Tokenizer

from benchmarks.project import choice_text
from benchmarks.records import StepWork
from mtl_sharing.data.tokens.encoding import TextEncoder
from mtl_sharing.data.tokens.tokenizing import TokenRows, read_tokenizer
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.predict.loaded_run import LoadedRun
from mtl_sharing.run_folder.layout import TOKENIZER

ROWS = 2000


@dataclass(frozen=True)
class PairFile:
    """Rows of text pairs with their tokenizer. Tasks of single texts read the first texts."""

    encoder: TextEncoder
    tokenizer: Tokenizer
    firsts: list[str]
    seconds: list[str]

    @classmethod
    def read(cls, run_spec: RunSpec, inputs: RunInputs, folder: Path) -> "PairFile":
        """The dev pairs of a run's tasks, repeated up to :data:`ROWS`.

        Args:
            folder: where the run keeps its tokenizer.
        """
        texts = [(e.text, e.text_pair) for rows in inputs.dev_examples.values() for e in rows]
        pairs = [(first, second) for first, second in texts if second is not None]
        firsts, seconds = zip(*islice(cycle(pairs), ROWS), strict=True)
        tokenizer = read_tokenizer(folder / TOKENIZER)
        encoder = TextEncoder(run_spec.text, tokenizer)
        return cls(encoder, tokenizer, list(firsts), list(seconds))

    def take(self, rows: int) -> "PairFile":
        """The first rows."""
        return replace(self, firsts=self.firsts[:rows], seconds=self.seconds[:rows])

    def encode(self) -> tuple[TokenRows, TokenRows]:
        """The first texts, and the joined pairs."""
        pairs = list(zip(self.firsts, self.seconds, strict=True))
        return self.encoder.rows(self.firsts), self.encoder.rows(pairs)

    @cached_property
    def work(self) -> StepWork:
        """The work of one pass. Operations are not counted, since tasks read different texts."""
        tokens = sum(int(rows.lengths.sum()) for rows in self.encode())
        return StepWork(len(self.firsts), tokens, 0)


class ProjectFilePrediction:
    """``LoadedRun.predict`` on the file, with the run's starting weights."""

    def __init__(self, run_spec: RunSpec, inputs: RunInputs, folder: Path) -> None:
        network = run_spec.network(run_spec.architecture, inputs.tower)
        self.device, self.how = run_spec.runtime.device, choice_text(run_spec)
        self.file = PairFile.read(run_spec, inputs, folder)
        network = network.to(self.device).eval()
        self.run = LoadedRun(folder, run_spec, network, self.file.tokenizer)

    def step(self, number: int) -> None:
        """One pass over the file."""
        self.run.predict(self.file.firsts, self.file.seconds)

    def work(self, number: int) -> StepWork:
        """The work of a pass."""
        return self.file.work
