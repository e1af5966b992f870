"""Many processes at once, and processes that are killed."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from filling import ABOUT, ARRAYS, KIND, fill, holds, key_of, names_in, start, store_in

FILL_TOGETHER = """
store = ArrayStore(Path(sys.argv[1]), 10**6)
print("ready", flush=True)
sys.stdin.readline()
for number in range(20):
    with store.exclusive(KIND, key_of(number)) as place:
        if place.entry is None:
            print(number, flush=True)
        assert holds(place.entry or place.publish(ABOUT, ARRAYS))
"""


def test_each_entry_is_filled_once_however_many_want_it(tmp_path):
    processes = [start(FILL_TOGETHER, tmp_path / "store") for _ in range(4)]
    assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    filled = []
    for process in processes:
        filled += process.communicate(timeout=60)[0].split()
        assert process.returncode == 0
    assert sorted(map(int, filled)) == list(range(20))
    assert names_in(tmp_path) == {f"{KIND}-{key_of(number)}" for number in range(20)}


HOLD = """
with ArrayStore(Path(sys.argv[1]), 10**6).exclusive(KIND, key_of("one")) as place:
    array = place.array("states", np.int16, (6, 5))
    array[:3] = 7
    print("ready", flush=True)
    if sys.stdin.readline() == "publish\\n":
        place.publish(ABOUT, ARRAYS)
"""


def holder(tmp_path):
    """A process in the middle of its work on an entry."""
    process = start(HOLD, tmp_path / "store")
    assert process.stdout.readline() == "ready\n"
    return process


def wait_for(caplog, words):
    end = time.monotonic() + 30
    while words not in caplog.text:
        assert time.monotonic() < end
        time.sleep(0.01)


def test_who_comes_second_waits_and_has_what_the_first_made(tmp_path, caplog):
    caplog.set_level("INFO")
    process = holder(tmp_path)
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(fill, store_in(tmp_path), "one", {})
        wait_for(caplog, "waiting for another process that fills")
        assert not second.done()
        process.communicate("publish\n")
        entry = second.result(timeout=30)
    assert {name: entry.arrays[name].shape for name in ARRAYS} == {
        name: array.shape for name, array in ARRAYS.items()
    }
    assert len(caplog.records) == 1
    assert names_in(tmp_path) == {f"{KIND}-{key_of('one')}"}


def test_who_does_not_wait_has_nothing(tmp_path, caplog):
    process, store = holder(tmp_path), store_in(tmp_path)
    with store.exclusive(KIND, key_of("one"), wait=False) as place:
        assert place.entry is None and place.folder is None
        assert place.publish(ABOUT, ARRAYS) is None
    process.communicate("publish\n")
    with store.exclusive(KIND, key_of("one"), wait=False) as place:
        assert place.entry is not None
    assert not caplog.records


def test_who_waits_goes_on_with_the_work_of_a_process_that_was_killed(tmp_path, caplog):
    caplog.set_level("INFO")
    process = holder(tmp_path)

    def go_on():
        with store_in(tmp_path).exclusive(KIND, key_of("one")) as place:
            array = place.array("states", np.int16, (6, 5))
            found = array.copy()
            array[:] = 9
            return found, place.publish(ABOUT)

    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(go_on)
        wait_for(caplog, "waiting")
        process.kill()
        process.communicate()
        found, entry = second.result(timeout=30)
    assert found[:3].min() == 7 and not found[3:].any()
    assert holds(entry, {"states": np.full((6, 5), 9, np.int16)})
    assert names_in(tmp_path) == {f"{KIND}-{key_of('one')}"}


FILL_ON = """
store = ArrayStore(Path(sys.argv[1]), 200_000)
print("ready", flush=True)
for number in range(10**6):
    fill(store, number % 100, {"numbers": np.full(5000, number % 100, np.int32)})
"""


def test_a_kill_at_any_moment_leaves_no_half_entry(tmp_path, caplog):
    """Filling, publishing and removing entries all the time, killed at moments drawn anew."""
    for _ in range(6):
        process = start(FILL_ON, tmp_path / "store")
        assert process.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.02, 0.3))
        process.kill()
        process.communicate()
        store, found = store_in(tmp_path), 0
        for number in range(100):
            entry = store.open(KIND, key_of(number))
            if entry is not None:
                found += 1
                assert holds(entry, {"numbers": np.full(5000, number, np.int32)})
        assert not caplog.records
        names = names_in(tmp_path)
        assert sum(name.startswith(f"{KIND}-") for name in names) == found > 0
        unfinished = {name for name in names if name.startswith(".")}
        assert len(unfinished) <= 2  # one being made, one being removed
    # The bound makes room of what is left.
    store = store_in(tmp_path, 200_000)
    for number in range(200, 212):
        fill(store, number, {"numbers": np.full(5000, number, np.int32)})
    assert not {name for name in names_in(tmp_path) if name.startswith(".")}
