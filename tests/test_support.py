"""What the helpers of the tests must hold."""

import pytest

from support import QUICK, compose_config, load_config

OVERRIDES = [
    (),
    (*QUICK, "sharing=fsi", "sharing.depths.frozen=2", "split=1/2", "optimizer.betas=[0.1,0.2]"),
    ("suite=cs224n", "data_dir=x", "phases=mlm", "phases.mlm.steps=3", "~task.sts"),
    ("sharing=progressive", "sharing.lanes.upstream={sts:[sst]}", "loss.weights.sst=2", "seed=7"),
]


@pytest.mark.parametrize("overrides", OVERRIDES, ids=str)
def test_a_config_is_what_hydra_composes(overrides):
    """Twice, as a kept composition must not change."""
    expected = compose_config(["dry_run=true", "trainer.precision=fp32", *overrides])
    assert load_config(*overrides) == load_config(*overrides) == expected
