"""What is said of every key is true, and the page has it."""

import subprocess
import sys

import pytest

from mtl_sharing.config.identity import decides
from mtl_sharing.config.reference import CHOICES, keys_page, reference_of, references
from mtl_sharing.data.examples.examples import BAD_ROW_CHOICES
from mtl_sharing.data.tasks.task import KINDS, METRICS
from mtl_sharing.data.text.cleaning import STEPS
from mtl_sharing.errors import UserError
from mtl_sharing.job.network_parts import PAIRINGS, PLACES, POOLINGS
from mtl_sharing.job.spec import PRECISIONS
from mtl_sharing.job.validation import GENERATORS
from mtl_sharing.model import specs
from mtl_sharing.model.encoder.shape import ACTIVATIONS, FAMILIES
from mtl_sharing.model.heads import FEATURES
from mtl_sharing.objectives.aggregation import AGGREGATIONS, COSINES
from mtl_sharing.objectives.losses import ALLOWED
from mtl_sharing.objectives.regularizers import REGULARIZERS
from mtl_sharing.objectives.ties import KINDS as TIES
from mtl_sharing.objectives.weighting import WEIGHTINGS
from mtl_sharing.sampling.samplers import EXHAUSTED, SAMPLERS, SHAPES
from mtl_sharing.training.optimizer import SCHEDULES
from mtl_sharing.training.settings import PHASE_KINDS
from support import ROOT

TABLES = {
    "encoder.family": FAMILIES, "encoder.activation": ACTIVATIONS, "sharing.tie.kind": TIES,
    "sharing.pals.kind": specs.PAL_KINDS, "sharing.pals.activation": specs.PAL_ACTIVATIONS,
    "sharing.pals.projections": specs.PAL_PROJECTIONS, "sharing.lanes.fusion": specs.FUSIONS,
    "head.activation": specs.HEAD_ACTIVATIONS, "head.pooling": POOLINGS,
    "head.regression": ALLOWED["regression"], "pairing.mode": PAIRINGS,
    "pairing.features": FEATURES, "pairing.place": PLACES, "suite.on_bad_row": BAD_ROW_CHOICES,
    "suite.generator": GENERATORS, "suite.clean": STEPS, "task.*.kind": KINDS,
    "task.*.metric": [name for names in METRICS.values() for name in names],
    "task.*.loss": [name for names in ALLOWED.values() for name in names],
    "task.*.pairing": PAIRINGS, "sampler.name": SAMPLERS, "sampler.exhausted": EXHAUSTED,
    "sampler.shape": SHAPES, "loss.weighting": WEIGHTINGS, "loss.aggregation": AGGREGATIONS,
    "loss.cosines": COSINES, "regularizer.name": REGULARIZERS, "scheduler.name": SCHEDULES,
    "phases.*.kind": PHASE_KINDS, "phases.*.sampler": SAMPLERS, "trainer.precision": PRECISIONS,
}  # fmt: skip


def test_every_key_has_a_meaning_and_decides_something():
    known = references()
    assert [key for key, one in known.items() if len(one.meaning) < 8] == []
    leaves = [one.key for one in known.values() if not one.below]
    assert len(leaves) > 150 and all(decides(key) for key in leaves)
    assert set(CHOICES) <= set(leaves)


@pytest.mark.parametrize("key", TABLES)
def test_the_choices_are_those_that_the_code_checks(key):
    assert set(CHOICES[key].split()) == set(TABLES[key])


def test_a_key_a_group_and_names_of_ones_own():
    end = reference_of("sampler.end")
    assert (end.kind, end.default) == ("a number", "0.2") and "last epoch" in end.meaning
    group = reference_of("sampler")
    assert "annealed" in group.options and "sampler.end" in group.below
    assert reference_of("task.mine.sources.more.columns.text").default == "text"
    assert reference_of("phases.first.kind") is reference_of("phases.*.kind")
    assert reference_of("trainer.max_steps").default == "null"


@pytest.mark.parametrize(("key", "nearest"), [("sampler.edn", "sampler.end"), ("samplr", "sampler"),
                                              ("task.sst.knd", "task.*.kind")])  # fmt: skip
def test_an_unknown_key_names_the_nearest(key, nearest):
    with pytest.raises(UserError) as error:
        reference_of(key)
    assert f"(nearest: {nearest})" in str(error.value)


def test_the_page_is_made_of_the_dataclasses():
    page = (ROOT / "docs" / "keys.md").read_text(encoding="utf-8")
    assert page == keys_page(), "python -m mtl_sharing.config.reference > docs/keys.md"


def test_a_key_is_shown_without_torch():
    code = (
        "import sys; sys.argv = ['mtl-train', '--help-key', 'score.keep']\n"
        "from mtl_sharing.cli.train import main\nmain()\n"
        "heavy = {'torch', 'scipy', 'pandas', 'sklearn', 'optuna'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "default  0.99" in done.stdout and "separate models" in done.stdout
