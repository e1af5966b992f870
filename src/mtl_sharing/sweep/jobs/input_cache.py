"""What the trials of one process have in common is read once."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from mtl_sharing.job.inputs import RunInputs, load_inputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.run_folder.layout import TOKENIZER
from mtl_sharing.utils.files import replace_text


@dataclass
class InputCache:
    """Keeps the last inputs: encoded text, tokenizer and starting weights.

    A trial that wants other text or another encoder replaces it. Files that change while a sweep
    runs are not noticed.
    """

    _key: str = ""
    _material: RunInputs | None = None
    _tokenizer: str = field(default="", repr=False)

    def __call__(self, run_spec: RunSpec, folder: Path) -> RunInputs:
        """The run_spec's inputs, with the run's tokenizer in ``folder``."""
        key = _key(run_spec)
        if self._material is None or key != self._key:
            self._material = None  # before another is read: two may not fit
            self._material, self._key = load_inputs(run_spec, folder), key
            self._tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
        else:
            replace_text(folder / TOKENIZER, self._tokenizer)
        return replace(self._material)


def _key(run_spec: RunSpec) -> str:
    """Everything that decides what is read."""
    config = run_spec.config
    phases = sorted((phase.kind, str(phase.task)) for phase in config.phases.values())
    # Random weights have a seed; a checkpoint's may have parts that are missing, drawn by it.
    return repr((config.suite, config.data_dir, config.encoder, config.cache, config.seed, phases,
                 run_spec.specs, run_spec.joined, run_spec.shape, run_spec.tags,
                 run_spec.architecture.pooler))  # fmt: skip


read_once = InputCache()
