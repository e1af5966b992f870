"""Many processes at once, and processes that are killed."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from filling import ARRAYS, fill, holds, is_stored, name_of, names_in, start, store_in
from mtl_sharing.cache.folders import making
from mtl_sharing.utils.locks import Locked

FILL_TOGETHER = """
store = ArrayStore(Path(sys.argv[1]), 10**6)
def compute():
    print(number, flush=True)
    return Entry(ARRAYS, ABOUT)
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    assert holds(store.fetch(KIND, key_of(number), compute))
"""


def test_each_entry_is_filled_once_however_many_want_it(tmp_path):
    processes = [start(FILL_TOGETHER, tmp_path / "store") for _ in range(3)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 3
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    filled = []
    for process in processes:
        filled += process.communicate(timeout=60)[0].split()
        assert process.returncode == 0
    assert sorted(map(int, filled)) == list(range(20))
    assert names_in(tmp_path) == {name_of(number) for number in range(20)}


HOLD = """
def compute():
    print("ready", flush=True)
    sys.stdin.readline()
    return Entry(ARRAYS, ABOUT)
ArrayStore(Path(sys.argv[1]), 10**6).fetch(KIND, key_of("one"), compute)
"""


def wait_for(caplog, message):
    end = time.monotonic() + 30
    while message not in caplog.text:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("killed", [False, True])
def test_a_second_process_waits_and_fills_only_what_the_first_has_not(tmp_path, caplog, killed):
    caplog.set_level("INFO")
    other = {"other": np.arange(3)}
    process = start(HOLD, tmp_path / "store")
    assert process.stdout.readline() == "ready\n"
    with pytest.raises(Locked), making(tmp_path / "store" / name_of("one"), wait=False):
        pass
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(fill, store_in(tmp_path), "one", other)
        wait_for(caplog, "waiting for another process that makes numbers-")
        assert not second.done()
        if killed:
            process.kill()
        process.communicate("go on\n")
        assert holds(second.result(timeout=30), other if killed else ARRAYS)
    assert len(caplog.records) == 1
    assert names_in(tmp_path) == {name_of("one")}


FILL_ON = """
store = ArrayStore(Path(sys.argv[1]), 200_000)
print("ready", flush=True)
for number in range(10**6):
    fill(store, number % 100, {"numbers": np.full(5000, number % 100, np.int32)})
"""


def test_a_kill_at_any_moment_leaves_no_half_entry(tmp_path, caplog):
    """Filling, publishing and removing entries all the time, killed at moments drawn anew."""
    for _ in range(4):
        process = start(FILL_ON, tmp_path / "store")
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.02, 0.2))
        process.kill()
        process.communicate()
        store, found = store_in(tmp_path), 0
        for number in range(100):
            if is_stored(store, number):
                found += 1
                assert holds(fill(store, number, {}), {"numbers": np.full(5000, number, np.int32)})
        assert not caplog.records
        names = names_in(tmp_path)
        assert sum(name.startswith("numbers-") for name in names) == found > 0
    # The next fill removes what is left.
    fill(store_in(tmp_path, 200_000), 200, {"numbers": np.full(5000, 200, np.int32)})
    assert not {name for name in names_in(tmp_path) if name.startswith(".work-")}
