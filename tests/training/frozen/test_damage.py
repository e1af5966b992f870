"""Damaged states are removed, and a run continues with the numbers that it would have had."""

import os

import numpy as np
import pytest

from frozen_texts import bytes_of, cache_in, rows_of

PLAN = ("sharing.plan=F2-S1",)


def warnings_in(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def flip(path, places=(-1,)):
    """Flips one bit of each of these bytes, where the file lies."""
    with path.open("r+b") as file:
        for place in places:
            file.seek(place, os.SEEK_END if place < 0 else os.SEEK_SET)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 64]))


def entry_of(entries, count):
    """The folder of a list with so many texts."""
    return next(folder for folder, about in entries().items() if about["texts"] == count)


def test_a_byte_that_flips_while_a_run_reads(train, entries, caplog):
    """One byte of a dev list, which each evaluation reads whole."""
    wanted = train(*PLAN)
    known = set(entries())
    spoilt = entry_of(entries, 19)

    def meanwhile(step):
        if step == 4:
            flip(spoilt / "values.npy")

    found = train(*PLAN, meanwhile=meanwhile)
    found.check_equal(wanted, 1e-5)
    assert found.computed > 0
    (warning,) = warnings_in(caplog)
    assert "damaged cache entry is removed" in warning and str(spoilt) in warning
    assert set(entries()) == known - {spoilt}
    again = train(*PLAN)
    assert again.computed == 0
    again.check_equal(wanted, 0)
    assert set(entries()) == known
    assert len(warnings_in(caplog)) == 1


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(13, marks=pytest.mark.slow, id="sst"),
        pytest.param(11, id="quora"),
        pytest.param(7, marks=pytest.mark.slow, id="sts"),
    ],
)
def test_the_texts_of_one_task_are_spoilt_while_all_tasks_train(train, entries, caplog, count):
    """Its batches then go through the frozen layers beside the stored states of the others."""
    wanted = train(*PLAN, "cache.prefix=false")
    train(*PLAN)
    spoilt = entry_of(entries, count)
    header = (spoilt / "values.npy").stat().st_size - np.load(spoilt / "values.npy").nbytes
    starts = header + np.load(spoilt / "offsets.npy")[:-1] * 12 * 4

    def meanwhile(step):
        if step == 2:
            flip(spoilt / "values.npy", starts.tolist())

    found = train(*PLAN, meanwhile=meanwhile)
    assert 0 < found.computed < wanted.computed
    found.check_equal(wanted, 1e-5)
    assert len(warnings_in(caplog)) == 1
    assert not spoilt.exists()


@pytest.mark.parametrize("name", ["values", "sums", "offsets"])
@pytest.mark.parametrize("how", ["cut", "longer", "gone", "flipped"])
def test_a_damaged_file_is_seen_before_it_counts(tmp_path, caplog, name, how):
    rows = rows_of(37)
    wanted = bytes_of(cache_in(tmp_path).states(rows, "all", lambda _: None))
    (folder,) = tmp_path.glob("states-*")
    file = folder / f"{name}.npy"
    if how == "gone":
        file.unlink()
    elif how == "flipped":
        flip(file, [{"values": -8, "sums": -4, "offsets": -16}[name]])  # of the last text
    else:
        os.truncate(file, file.stat().st_size + (13 if how == "longer" else -13))
    found = cache_in(tmp_path).states(rows, "all", None)
    if how == "flipped":  # only what is read is held against its sum
        assert found.read(np.arange(35)) is not None
        assert found.read(np.array([36])) is None
    else:
        assert found is None
    assert len(warnings_in(caplog)) == 1
    assert not folder.exists()
    assert bytes_of(cache_in(tmp_path).states(rows, "all", lambda _: None)) == wanted
    assert len(warnings_in(caplog)) == 1


def test_a_run_on_damaged_files_is_the_same(train, entries, caplog):
    wanted = train(*PLAN)
    folders = list(entries())
    os.truncate(folders[0] / "values.npy", 200)
    (folders[1] / "sums.npy").unlink()
    flip(folders[2] / "entry.json", [30])
    (folders[3] / "values.npy").unlink()
    (folders[3] / "values.npy").mkdir()
    found = train(*PLAN)
    found.check_equal(wanted, 0)
    assert found.computed == 0
    assert len(warnings_in(caplog)) == 4
    assert list(entries()) == folders


def test_states_removed_under_a_run_stay_readable(train, entries, tmp_path, caplog):
    wanted = train(*PLAN)

    def meanwhile(step):
        if step == 1:
            for folder in entries():
                for file in folder.iterdir():
                    file.unlink()
                folder.rmdir()

    found = train(*PLAN, meanwhile=meanwhile)
    found.check_equal(wanted, 0)
    assert found.computed == 0
    assert not warnings_in(caplog)
