"""Pretrains the weights of the bundled encoder: ``make tiny-weights``.

A masked-LM phase on the bundled suite's training text, from random weights. The result is the same
bit for bit on the same machine with the same number of threads.
"""

from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory

from safetensors.torch import save_file

import mtl_sharing
from benchmarks.project import compose_config
from mtl_sharing.job.inputs import load_inputs
from mtl_sharing.job.phases import make_trainer
from mtl_sharing.job.spec import RunSpec, resolve_spec, start_on_machine
from mtl_sharing.model.encoder.checkpoint import checkpoint_weights
from mtl_sharing.model.encoder.shape import checkpoint_config
from mtl_sharing.model.pretraining import MaskedLanguageModel, checkpoint_head
from mtl_sharing.model.routing import StageCopies
from mtl_sharing.run_folder.layout import CONFIG, TOKENIZER, WEIGHTS
from mtl_sharing.training.learner import Learner
from mtl_sharing.utils.files import replace_file, replace_json

FOLDER = Path(mtl_sharing.__file__).parent / "weights" / "tiny"
OVERRIDES = (
    "encoder=tiny", "encoder.checkpoint=null", "sharing=shared", "suite=bundled",
    "phases=mlm", "phases.mlm.steps=2500", "phases.mlm.lr=2e-3", "phases.mlm.second=true",
    "phases.mlm.whole_word=true", "trainer.max_steps=0",
    "trainer.precision=fp32",
)  # fmt: skip
_EVERY = 100


def main(folder: Path = FOLDER, overrides: tuple[str, ...] = OVERRIDES) -> None:
    """Pretrains, and replaces config.json, tokenizer.json and model.safetensors in ``folder``."""
    run_spec = start_on_machine(resolve_spec(compose_config(overrides)))
    with TemporaryDirectory() as name:
        run_folder = Path(name)
        trainer = make_trainer(run_spec, load_inputs(run_spec, run_folder), run_folder)
        learner, total = trainer.learner, trainer.phase.total
        for step in range(total):
            update = learner.update(step, total)
            if step % _EVERY == 0 or step + 1 == total:
                losses = "  ".join(f"{task} {loss:.3f}" for task, loss in update.losses.items())
                print(f"step {step + 1} of {total}  loss {losses}", flush=True)
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(folder / TOKENIZER, lambda path: copyfile(run_folder / TOKENIZER, path))
    _save(folder, run_spec, learner)


def _save(folder: Path, run_spec: RunSpec, learner: Learner) -> None:
    model = learner.network
    assert isinstance(model, MaskedLanguageModel)
    stages = [m for m in model.network.encoder.modules() if isinstance(m, StageCopies)]
    tower = {stage.name: stage.copies[0].state_dict() for stage in stages}
    weights = checkpoint_weights(tower, run_spec.shape.family)
    weights |= checkpoint_head(model.heads[0], run_spec.shape.family)
    replace_file(folder / WEIGHTS, lambda path: save_file(weights, path))
    replace_json(folder / CONFIG, checkpoint_config(run_spec.shape, padding=0))


if __name__ == "__main__":
    main()
