"""A cache of run inputs, shared by the trials of one process."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.run_folder.layout import TOKENIZER
from mtl_sharing.utils.files import replace_text


@dataclass
class InputCache:
    """Keeps the latest inputs: encoded text, tokenizer and starting weights.

    Files that change while a sweep runs are not noticed.
    """

    _key: str = ""
    _inputs: RunInputs | None = None
    _tokenizer: str = field(default="", repr=False)

    def __call__(self, run_spec: RunSpec, folder: Path) -> RunInputs:
        """The run's inputs; also writes its tokenizer into ``folder``."""
        key = _key(run_spec)
        if self._inputs is None or key != self._key:
            self._inputs = None  # before loading: two inputs may not fit in memory
            self._inputs, self._key = load_inputs(run_spec, folder), key
            self._tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
        else:
            replace_text(folder / TOKENIZER, self._tokenizer)
        return replace(self._inputs)


def _key(run_spec: RunSpec) -> str:
    """Everything that decides the inputs."""
    config = run_spec.config
    phases = sorted((phase.kind, str(phase.task)) for phase in config.phases.values())
    # The seed draws random weights, and the parts that a checkpoint lacks.
    return repr((config.suite, config.data_dir, config.encoder, config.cache, config.seed, phases,
                 run_spec.specs, run_spec.joined, run_spec.shape, run_spec.tags,
                 run_spec.architecture.pooler))  # fmt: skip


load_cached = InputCache()
