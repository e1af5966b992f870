"""The two checkpoints: checksums, what a damaged one costs, and pickles that would run code."""

import os
import pickle
import zipfile

import pytest
import torch

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.checkpoint import loading_problem
from mtl_sharing.run_folder.layout import CHECKPOINT_BEFORE, CHECKPOINT_STATE
from mtl_sharing.run_folder.manifest import replace_listed_text
from mtl_sharing.training.checkpoint import load_state, run_token, save_state


@pytest.fixture
def saved(tmp_path):
    for step in (1, 2):
        torch.manual_seed(step)
        save_state(tmp_path, {"step": step, "history": [{"step": step}], "w": torch.rand(7, 11)})
    return tmp_path


def equal(state, other):
    plain = {name: value for name, value in state.items() if name != "w"}
    return plain == {n: v for n, v in other.items() if n != "w"} and state["w"].equal(other["w"])


def test_the_last_two_states_are_kept(saved):
    assert load_state(saved, None)["step"] == 2
    assert torch.load(saved / CHECKPOINT_BEFORE, weights_only=True)["step"] == 1
    assert sorted(path.name for path in (saved / "checkpoint").iterdir()) == [
        "last.pt", "previous.pt",
    ]  # fmt: skip


def test_no_checkpoint_is_none(tmp_path):
    assert load_state(tmp_path, None) is None


def test_no_damage_is_loaded(saved, caplog):
    """Every damaged last state is refused for the one before it, or its bytes decide nothing."""
    path = saved / CHECKPOINT_STATE
    whole, last = path.read_bytes(), load_state(saved, None)
    before = torch.load(saved / CHECKPOINT_BEFORE, weights_only=True)
    places = range(0, len(whole), 1 + len(whole) // 150)
    damaged = [whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :] for at in places]
    fallen_back = 0
    for content in [*damaged, *(whole[:at] for at in places)]:
        path.write_bytes(content)
        caplog.clear()
        state = load_state(saved, None)
        if equal(state, before):
            fallen_back += 1
            assert "last.pt: a damaged file" in caplog.text
            assert (
                "going on from the checkpoint before the last, checkpoint/previous.pt"
                in caplog.text
            )
        else:
            assert equal(state, last)
    assert fallen_back > len(places) * 1.2


def test_a_kill_between_the_two_renames_loses_one_state(saved):
    (saved / CHECKPOINT_STATE).unlink()
    assert load_state(saved, None)["step"] == 1


@pytest.mark.parametrize("error", [MemoryError(), OSError(5, "Input/output error")])
def test_what_is_no_damage_falls_back_to_nothing(saved, monkeypatch, error):
    def fail(*arguments, **options):
        raise error

    monkeypatch.setattr(torch, "load", fail)
    with pytest.raises(type(error)):
        load_state(saved, None)


def test_two_damaged_states_are_one_message(saved):
    for name in (CHECKPOINT_STATE, CHECKPOINT_BEFORE):
        (saved / name).write_bytes(b"x")
    with pytest.raises(UserError, match=r"last\.pt: found a damaged file .*; allowed: a whole"):
        load_state(saved, None)


class Command:
    def __reduce__(self):
        return os.mkdir, ("ran",)


def hostile_archive(path):
    """As torch writes it, with a pickle that would run a command, and checksums that are right."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("last/data.pkl", pickle.dumps({"step": Command()}, protocol=2))
        archive.writestr("last/version", "3\n")
        archive.writestr("last/byteorder", "little")


def bare_pickle(path):
    path.write_bytes(pickle.dumps({"step": Command()}))


@pytest.mark.parametrize("write", [hostile_archive, bare_pickle])
def test_a_pickle_that_would_run_code_is_refused_without_advice_to_run_it(
    tmp_path, monkeypatch, write
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "checkpoint").mkdir()
    write(tmp_path / CHECKPOINT_STATE)
    with pytest.raises(UserError) as caught:
        load_state(tmp_path, None)
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_torchs_advice_is_left_out():
    error = pickle.UnpicklingError("Weights only load failed. Re-running `torch.load` with "
                                   "`weights_only` set to `False` will likely succeed")  # fmt: skip
    assert loading_problem(error) == "it holds other things than tensors and plain values"
    assert loading_problem(ValueError("bad magic\nmore")) == "bad magic"


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_regular_file_is_a_checkpoint(saved, kind):
    path = saved / CHECKPOINT_STATE
    (saved / CHECKPOINT_BEFORE).unlink()
    path.rename(saved / "elsewhere")
    make = {"link": lambda: path.symlink_to(saved / "elsewhere"),
            "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}  # fmt: skip
    make[kind]()
    with pytest.raises(UserError, match=rf"last\.pt: found a {kind}"):
        load_state(saved, None)


def test_the_checkpoint_of_another_run_is_refused(saved):
    replace_listed_text(saved, "settings.json", '{"run": "2"}')
    for _ in range(2):
        save_state(saved, {"step": 9, "run": run_token(saved)})
    assert load_state(saved, "2")["step"] == 9
    with pytest.raises(UserError, match=r"last\.pt: found the checkpoint of another run"):
        load_state(saved, "3")
