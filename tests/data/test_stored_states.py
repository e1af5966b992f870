"""States in a file: read back as they were put there, and never when they are not."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl_sharing.data.tokens.batches import EncodedTask, pack
from mtl_sharing.data.tokens.stored_states import (
    STORED,
    StateFile,
    StoredStates,
    checksum,
    to_array,
    to_tensor,
)
from mtl_sharing.data.tokens.tokenizing import TokenRows

WIDTH = 7
SIZES = np.array([3, 1, 5, 2, 11, 0, 4])
TEXTS = len(SIZES)


def stored(precision="fp32", seed=3, on_damage=lambda: None):
    """States of texts of these sizes, as a cache would give them, and as they were made."""
    states = torch.randn(int(SIZES.sum()), WIDTH, generator=torch.Generator().manual_seed(seed))
    values, offsets = to_array(states, precision), np.append(0, SIZES.cumsum())
    sums = np.array([checksum(values[a:b]) for a, b in pairwise(offsets)], np.uint32)
    numbers = np.arange(TEXTS)
    exact = states if precision == "fp32" else states.bfloat16()
    found = StoredStates(values, offsets, sums, numbers, StateFile(on_damage))
    return found, list(exact.split(SIZES.tolist()))


NUMBERS = st.lists(st.integers(0, TEXTS - 1), min_size=1, max_size=9)


@settings(deadline=None)
@given(NUMBERS, st.sampled_from(list(STORED)))
def test_sequences_come_one_after_the_other_bit_for_bit(rows, precision):
    found, each = stored(precision)
    read = found.read(np.array(rows))
    wanted = torch.cat([each[n] for n in rows])
    assert read.dtype == wanted.dtype
    assert torch.equal(read, wanted)


@settings(deadline=None)
@given(NUMBERS, st.data())
def test_a_selection_of_a_selection_is_one(rows, data):
    found, each = stored()
    places = data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1, max_size=9))
    read = found.take(np.array(rows)).take(np.array(places)).read(np.arange(len(places)))
    assert torch.equal(read, torch.cat([each[rows[n]] for n in places]))


@pytest.mark.parametrize("precision", STORED)
def test_every_value_of_a_precision_is_kept(precision):
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int16)
    states = bits.view(torch.bfloat16).view(-1, 64)
    finite = torch.where(states.isfinite(), states, torch.zeros_like(states))
    array = to_array(finite, precision)
    assert array.dtype == STORED[precision]
    assert torch.equal(to_tensor(array).bfloat16().view(torch.int16), finite.view(torch.int16))


def test_bf16_takes_half_the_room_and_rounds_to_the_nearest():
    states = torch.tensor([[1 + 2**-9, 1 + 3 * 2**-9, -5.0]])
    array = to_array(states, "bf16")
    assert array.nbytes * 2 == to_array(states, "fp32").nbytes
    assert to_tensor(array).tolist() == [[1, 1 + 2**-7, -5]]


def test_what_is_read_can_be_written_and_leaves_the_file_alone():
    found, each = stored()
    found.values.flags.writeable = False
    found.read(np.array([2])).zero_()
    assert torch.equal(found.read(np.array([2])), each[2])


def test_what_was_read_does_not_count_as_the_processes_memory(tmp_path):
    status = Path("/proc/self/status")
    if not status.is_file():
        pytest.skip("no /proc here")

    def mapped():
        (line,) = [row for row in status.read_text().splitlines() if row.startswith("RssFile")]
        return int(line.split()[1]) * 1024

    texts, rows = 1000, 11
    np.save(tmp_path / "values.npy", np.ones((texts * rows, 700), np.float32))
    values = np.asarray(np.load(tmp_path / "values.npy", mmap_mode="r"))
    sums = np.full(texts, checksum(values[:rows]), np.uint32)
    offsets, numbers = np.arange(texts + 1) * rows, np.arange(texts)
    found = StoredStates(values, offsets, sums, numbers, StateFile(lambda: None))
    before = mapped()
    for start in range(0, texts, 40):
        assert found.read(np.arange(start, start + 40)) is not None
    assert mapped() - before < values.nbytes / 4


def test_a_sum_is_never_that_of_states_that_are_missing():
    odd = np.frombuffer(bytes.fromhex("9d0ad96d"), "<f4")
    assert crc32(odd) == 0 != checksum(odd)
    assert checksum(odd[:0]) != 0


@pytest.mark.parametrize("what", ["values", "sums", "offsets"])
def test_damage_is_told_once_and_ends_all_reading(what):
    told = []
    found, each = stored(on_damage=lambda: told.append(what))
    again = found.take(np.array([1, 4, 2]))
    array = getattr(found, what)
    if what == "values":
        array.view(np.uint8)[4, 3] ^= 1  # in text 2
    else:
        array[2] += 1
    assert torch.equal(found.read(np.array([0, 6])), torch.cat([each[0], each[6]]))
    assert not told
    assert again.read(np.array([0, 2])) is None
    assert told == [what]
    # Nobody reads on, whatever selection they hold.
    assert found.read(np.array([0])) is None
    assert again.read(np.array([1])) is None
    assert told == [what]


def task(states=(True, True)):
    """A task of pairs, the texts of which have states or not."""
    lengths = np.where(SIZES == 0, 1, SIZES)
    tokens = np.arange(lengths.sum(), dtype=np.int32)
    rows = TokenRows(tokens, tokens.astype(np.uint8) % 2, np.append(0, lengths.cumsum()), 0)
    parts = [replace(rows, states=stored(seed=n)[0] if has else None)
             for n, has in enumerate(states)]  # fmt: skip
    return EncodedTask(*parts, np.zeros(TEXTS), True)


def test_a_batch_brings_the_states_of_first_texts_then_of_second_ones():
    rows = [4, 0, 3]
    wanted = [stored(seed=part)[1][n] for part in (0, 1) for n in rows]
    assert torch.equal(task().collate(rows).text.states, torch.cat(wanted))
    alone = pack([task().first], np.array(rows)).states
    assert torch.equal(alone, torch.cat(wanted[:3]))


@pytest.mark.parametrize("states", [(True, False), (False, True), (False, False)])
def test_a_batch_has_states_of_all_its_texts_or_none(states):
    assert task(states).collate([4, 0]).text.states is None


def test_a_sample_keeps_each_text_with_its_states():
    data = task()
    few = data.sample(4, seed=9)
    chosen = few.first.tokens[few.first.offsets[:-1]]
    numbers = np.searchsorted(data.first.offsets, chosen)
    assert len(set(numbers)) == 4
    found, wanted = few.collate([2, 0]).text, data.collate(numbers[[2, 0]]).text
    assert torch.equal(found.tokens, wanted.tokens)
    assert torch.equal(found.states, wanted.states)


def test_states_go_along_to_a_device():
    text = task().collate([1, 2]).text
    assert torch.equal(text.to(torch.device("cpu")).states, text.states)
    assert text.to(torch.device("meta")).states.is_meta
