"""No flipped byte and no cut changes what a command says without a message."""

import pytest

from mtl_sharing.run_folder.layout import LISTED
from trust.damage import FAULTS, READS, WRITTEN, Bench, campaign


@pytest.fixture(scope="module")
def benches(trust_runs, tmp_path_factory) -> list[Bench]:
    work, finished = tmp_path_factory.mktemp("damage"), trust_runs["finished"]
    return [
        Bench("finished", finished, work),
        Bench("stopped", trust_runs["stopped"], work, finished),
    ]


def faults(benches: list[Bench], flips: int, cuts: int, seed: int) -> list[str]:
    found = campaign(benches, flips, cuts, seed)
    return [str(outcome) for outcome in found if outcome.kind in FAULTS]


def test_the_table_names_each_file_that_a_command_opens(benches):
    for bench in benches:
        opened = {name: answer.opened - {*WRITTEN} for name, answer in bench.undamaged.items()}
        assert opened == {name: {*files} for name, files in READS[bench.state].items()}


def test_each_file_that_a_command_opens_is_listed_for_an_older_run():
    """But the manifest itself, and the state, which has checksums of its own."""
    opened = {name for reads in READS.values() for names in reads.values() for name in names}
    assert opened - {"manifest.json", "checkpoint/last.pt"} <= {*LISTED}


def test_a_damaged_byte_is_a_message_or_no_other_output(benches):
    assert not faults(benches, flips=4, cuts=4, seed=0)


@pytest.mark.slow
def test_many_damaged_bytes(benches):
    assert not faults(benches, flips=150, cuts=150, seed=1)
