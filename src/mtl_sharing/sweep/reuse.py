"""What the trials of one process have in common is read once."""

from dataclasses import dataclass, field, replace
from pathlib import Path

from mtl_sharing.blueprint import Blueprint
from mtl_sharing.material import TOKENIZER, Material, read_material
from mtl_sharing.run.files import replace_text


@dataclass
class Reading:
    """Keeps the last material: encoded text, tokenizer and starting weights.

    A trial that wants other text or another encoder replaces it. Files that change while a sweep
    runs are not noticed.
    """

    _key: str = ""
    _material: Material | None = None
    _tokenizer: str = field(default="", repr=False)

    def __call__(self, blueprint: Blueprint, folder: Path) -> Material:
        """The blueprint's material, with the run's tokenizer in ``folder``."""
        key = _key(blueprint)
        if self._material is None or key != self._key:
            self._material = None  # before another is read: two may not fit
            self._material, self._key = read_material(blueprint, folder), key
            self._tokenizer = (folder / TOKENIZER).read_text(encoding="utf-8")
        else:
            replace_text(folder / TOKENIZER, self._tokenizer)
        return replace(self._material)


def _key(blueprint: Blueprint) -> str:
    """Everything that decides what is read."""
    config = blueprint.config
    phases = sorted((phase.kind, str(phase.task)) for phase in config.phases.values())
    # Random weights have a seed; a checkpoint's may have parts that are missing, drawn by it.
    return repr((config.suite, config.data_dir, config.encoder, config.cache, config.seed, phases,
                 blueprint.specs, blueprint.joined, blueprint.shape, blueprint.tags,
                 blueprint.architecture.pooler))  # fmt: skip


read_once = Reading()
