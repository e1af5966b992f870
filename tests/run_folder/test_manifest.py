"""The manifest: damage is seen wherever a file is read, and a kill is no damage."""

import json
import os
import shutil
from functools import partial

import pytest

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder import manifest
from mtl_sharing.run_folder.lock import hold
from mtl_sharing.run_folder.manifest import (
    check_listed,
    damaged_files,
    drop_previous_digests,
    read_listed,
    read_listed_object,
    replace_listed,
    replace_listed_json,
    replace_listed_text,
    text_writer,
)


@pytest.fixture(autouse=True)
def _no_warnings_before(monkeypatch):
    monkeypatch.setattr(manifest, "_unchecked", set())


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    replace_listed_json(folder, "result.json", {"score": 0.8301})
    replace_listed(folder, {"metrics.csv": text_writer("step\n1\n"),
                            "weights": text_writer("w" * 100)})  # fmt: skip
    return folder


def read_all(folder):
    return [read_listed(folder, name) for name in ("result.json", "metrics.csv", "weights")]


def test_what_is_written_is_read(folder):
    assert read_listed_object(folder, "result.json") == {"score": 0.8301}
    assert read_listed(folder, "metrics.csv") == b"step\n1\n"
    check_listed(folder, "weights")
    assert damaged_files(folder, ["result.json", "weights", "absent"]) == []


@pytest.mark.parametrize("name", ["result.json", "metrics.csv", "weights", "manifest.json"])
def test_a_flipped_bit_and_a_cut_are_seen_or_changes_nothing(folder, name):
    whole, expected = (folder / name).read_bytes(), read_all(folder)
    places = range(0, len(whole), 1 + len(whole) // 120)
    contents = [whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :] for at in places]
    contents += [whole[:at] for at in places]
    messages = []
    for content in contents:
        (folder / name).write_bytes(content)
        try:
            assert read_all(folder) == expected
        except UserError as error:
            messages.append(str(error))
    assert all(str(folder / name) in message for message in messages)
    # White space of the manifest is no content.
    assert len(messages) == len(contents) or name == "manifest.json"
    assert len(messages) > 0.85 * len(contents)


def test_a_file_that_the_manifest_does_not_list_is_refused(folder):
    (folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"config.json: found a damaged file .*does not list it"):
        read_listed(folder, "config.json")


def test_a_run_of_before_is_read_with_one_warning(folder, caplog):
    (folder / "manifest.json").unlink()
    assert read_all(folder) == read_all(folder)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} has no manifest.json: damage to its files would not be seen"
    ]


def test_many_runs_of_before_are_few_warnings(tmp_path, caplog):
    for number in range(9):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "result.json").write_text("{}")
        read_listed(tmp_path / f"{number}", "result.json")
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4 and messages[-1] == "other runs have no manifest.json either"


def test_a_run_of_before_that_goes_on_is_listed_as_it_is(folder, caplog):
    (folder / "manifest.json").unlink()
    with hold(folder):
        replace_listed_text(folder, "metrics.csv", "step\n2\n")
    assert sorted(manifest._read(folder)) == ["metrics.csv", "result.json"]  # what is read
    assert "has no manifest.json" in caplog.text
    check_listed(folder, "result.json")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("renames", [0, 1, 2, 3])
def test_a_kill_between_the_renames_is_no_damage(folder, monkeypatch, renames, again):
    """Killed before the manifest is moved into place, after it, and after each file."""
    rename, count = os.replace, iter(range(100))

    def kill(source, target):
        if next(count) == renames:
            raise Killed
        rename(source, target)

    def write(number):
        replace_listed(folder, {"metrics.csv": text_writer(f"step\n{number}\n"),
                                "weights": text_writer(f"{number}" * 100)})  # fmt: skip

    for number in (7, 8)[: 1 + again]:
        count = iter(range(100))
        with monkeypatch.context() as patch, hold(folder):
            patch.setattr(os, "replace", kill)
            if renames == 3:
                write(number)
            else:
                with pytest.raises(Killed):
                    write(number)
        assert read_all(folder)[0] == b'{\n  "score": 0.8301\n}\n'
    with hold(folder):
        write(9)
    assert read_all(folder)[1:] == [b"step\n9\n", b"9" * 100]


def test_at_the_end_no_older_content_is_right(folder):
    old = (folder / "metrics.csv").read_bytes()
    replace_listed_text(folder, "metrics.csv", "step\n2\n")
    new = (folder / "metrics.csv").read_bytes()
    (folder / "metrics.csv").write_bytes(old)
    check_listed(folder, "metrics.csv")  # as after a kill
    (folder / "metrics.csv").write_bytes(new)
    drop_previous_digests(folder)
    (folder / "metrics.csv").write_bytes(old)
    with pytest.raises(UserError, match="a damaged file"):
        check_listed(folder, "metrics.csv")


def test_a_reader_beside_a_running_writer_never_sees_damage(folder, monkeypatch):
    """The file is replaced between the reader's two looks."""
    read = manifest.read_bytes

    def replaced_meanwhile(path, *limits):
        if path.name == "metrics.csv":
            monkeypatch.setattr(manifest, "read_bytes", read)
            for number in (2, 3):
                replace_listed_text(folder, "metrics.csv", f"step\n{number}\n")
        return read(path, *limits)

    monkeypatch.setattr(manifest, "read_bytes", replaced_meanwhile)
    assert read_listed(folder, "metrics.csv") == b"step\n3\n"


def test_a_library_beside_a_running_writer_never_sees_damage(folder, monkeypatch):
    """The file becomes longer between the two looks."""
    read = manifest._read

    def replaced_meanwhile(path):
        entries = read(path)
        monkeypatch.setattr(manifest, "_read", read)
        for number in (2, 3):
            replace_listed_text(folder, "metrics.csv", f"step\n{number}{number}\n")
        return entries

    monkeypatch.setattr(manifest, "_read", replaced_meanwhile)
    check_listed(folder, "metrics.csv")


def test_a_file_that_has_grown_is_not_read(folder):
    with (folder / "weights").open("ab") as file:
        file.truncate(1 << 40)  # takes no room
    with pytest.raises(UserError, match=r"\(1,099,511,627,776 bytes; manifest.json has 100 bytes"):
        check_listed(folder, "weights")


@pytest.mark.parametrize("is_made_again", [False, True])
def test_a_removed_folder_is_not_made_again(folder, is_made_again):
    with hold(folder):
        shutil.move(folder, folder.with_name("elsewhere"))
        if is_made_again:
            folder.mkdir()
        message = "another folder than" if is_made_again else "nothing: it was removed or moved"
        with pytest.raises(UserError, match=message):
            replace_listed_text(folder, "metrics.csv", "step\n2\n")
    assert not folder.exists() or os.listdir(folder) == []


ODD = [5, None, [], {}, {"a": 1}, {"bytes": "x", "sha256": "0"}, {"bytes": True, "sha256": "0"},
       {"bytes": 1, "sha256": 5}, {"bytes": 1, "sha256": "0", "before": 5}]  # fmt: skip


@pytest.mark.parametrize("entry", ODD)
def test_an_odd_manifest_with_a_right_digest_is_one_message(folder, entry):
    record = manifest._record({"result.json": entry})
    (folder / "manifest.json").write_text(json.dumps(record))
    for read in (read_listed, check_listed, partial(replace_listed_text, text="x")):
        with pytest.raises(UserError, match=r"manifest\.json: found a damaged file"):
            read(folder, "result.json")


def test_a_full_disk_leaves_all_files_as_they_were(folder, monkeypatch):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}

    def full(path):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        replace_listed(folder, {"metrics.csv": text_writer("new"), "weights": full})
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_the_digests_are_those_of_sha256sum(folder):
    listed = json.loads((folder / "manifest.json").read_text())["files"]["metrics.csv"]
    assert listed == {
        "bytes": 7,
        "sha256": "3270cca061427b1a27f5d8eedac358d7723e4a2c02ca7adbb89449614a5fef82",
    }


def test_links_are_not_followed(folder, tmp_path):
    shutil.move(folder / "metrics.csv", tmp_path / "elsewhere")
    (folder / "metrics.csv").symlink_to(tmp_path / "elsewhere")
    for read in (read_listed, check_listed):
        with pytest.raises(UserError, match=r"metrics\.csv: found a link"):
            read(folder, "metrics.csv")
    replace_listed(folder, {"metrics.csv": partial(shutil.copy, tmp_path / "elsewhere")})
    check_listed(folder, "metrics.csv")
