"""Atomic replacement, and files that a stranger may have prepared."""

import errno
import os
import stat
import time
from contextlib import ExitStack

import pytest
from safetensors import SafetensorError

from mtl_sharing.errors import UserError
from mtl_sharing.utils import files
from mtl_sharing.utils.files import (
    check_regular,
    open_regular,
    read_object,
    replace_file,
    replace_text,
    replacing,
)


def test_two_writers_of_one_file_each_write_their_own(tmp_path):
    path = tmp_path / "out.csv"
    with ExitStack() as second:
        with replacing(path) as first:
            other = second.enter_context(replacing(path))
            first.write_text("first")
            other.write_text("other")
        assert path.read_text() == "first"
    assert path.read_text() == "other"
    assert os.listdir(tmp_path) == ["out.csv"]


def test_a_failed_write_leaves_the_old_content_alone(tmp_path):
    path = tmp_path / "result.json"
    replace_text(path, "old")
    with pytest.raises(TypeError), replacing(path) as temporary:
        temporary.write_text(["half"])
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["result.json"]


def test_a_link_under_the_final_name_is_replaced_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    path = tmp_path / "run" / "plan.json"
    path.parent.mkdir()
    path.symlink_to(victim)
    replace_text(path, "new")
    assert victim.read_text() == "precious"
    assert not path.is_symlink()


def test_files_have_the_mode_of_the_umask_whatever_writes_them(tmp_path):
    path = tmp_path / "weights"
    before = os.umask(0o027)
    try:
        replace_file(path, lambda temporary: (temporary.write_text("x"), temporary.chmod(0o600)))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_a_killed_writer_left_goes_and_what_a_living_one_holds_stays(tmp_path):
    path, hour_ago = tmp_path / "run.csv", time.time() - 3600
    abandoned, link = tmp_path / ".run.csv.0123.tmp", tmp_path / ".run.csv.4567.tmp"
    abandoned.write_text("half")
    os.utime(abandoned, (hour_ago, hour_ago))
    link.symlink_to(tmp_path / "elsewhere")
    with replacing(path) as held:
        os.utime(held, (hour_ago, hour_ago))
        replace_text(path, "second")
        assert held.exists()
        held.write_text("first")
    assert not abandoned.exists()
    assert path.read_text() == "first"


@pytest.mark.parametrize(
    "error",
    [RuntimeError("unexpected pos 64 vs 0"), OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))],
)
def test_a_full_disk_is_named_whatever_the_library_says(tmp_path, monkeypatch, error):
    def fail(_):
        raise error

    def no_room(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", no_room)
    with pytest.raises(OSError, match=r"No space left on device: '.*last.pt'"):
        replace_file(tmp_path / "last.pt", fail)
    assert os.listdir(tmp_path) == []


def test_the_number_of_an_error_of_rust_is_the_reason(tmp_path):
    def fail(_):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with pytest.raises(OSError, match=r"No space left on device: '.*model'") as caught:
        replace_file(tmp_path / "model", fail)
    assert caught.value.errno == errno.ENOSPC


def test_another_failed_write_keeps_its_reason(tmp_path):
    def fail(_):
        raise RuntimeError("no such dtype\nsecond line")

    with pytest.raises(OSError, match="no such dtype") as caught:
        replace_file(tmp_path / "last.pt", fail)
    assert caught.value.errno == errno.EIO


def make_special(path, kind):
    if kind == "a link":
        target = path.with_name("target.json")
        target.write_text("{}")
        path.symlink_to(target)
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a device":
        path.symlink_to("/dev/zero")


@pytest.mark.parametrize("kind", ["a link", "a pipe", "a folder"])
@pytest.mark.parametrize("read", [check_regular, open_regular, read_object])
def test_only_regular_files_are_read(tmp_path, kind, read):
    path = tmp_path / "result.json"
    make_special(path, kind)
    with pytest.raises(UserError, match=f"found {kind}; allowed: a regular file"):
        read(path)


def test_a_link_to_a_device_is_refused_even_where_links_are_followed(tmp_path):
    path = tmp_path / "config.json"
    make_special(path, "a device")
    with pytest.raises(UserError, match="a device"):
        read_object(path, follow=True)


def test_a_file_of_another_size_than_sane_is_not_read(tmp_path):
    path = tmp_path / "result.json"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # takes no room
    with pytest.raises(UserError, match="1,099,511,627,776 bytes; allowed: at most 67,108,864"):
        read_object(path)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"[" * 200_000, "a damaged file"),
        (b"{", "a damaged file"),
        (bytes(range(256)), "a damaged file"),
        (b"[]", "JSON that is a list"),
        (b"", "a damaged file"),
    ],
)
def test_json_that_is_no_object_is_one_message(tmp_path, content, found):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=found):
        read_object(path)
