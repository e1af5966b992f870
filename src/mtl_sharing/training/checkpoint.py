"""A run's checkpoints: the last two states, checked when they are read, and the best weights."""

import logging
import os
import zipfile
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mtl_sharing.errors import UserError
from mtl_sharing.model.encoder.checkpoint import loading_problem
from mtl_sharing.model.network import Network
from mtl_sharing.run_folder.layout import CHECKPOINT_BEFORE, CHECKPOINT_STATE, SETTINGS, WEIGHTS
from mtl_sharing.run_folder.lock import check_in_place
from mtl_sharing.run_folder.manifest import check_listed, read_listed_object
from mtl_sharing.utils.files import check_regular, staged

log = logging.getLogger(__name__)

State = dict[str, Any]
_WHOLE = "a whole checkpoint; without it a new run in another folder starts from its settings"


def save_state(folder: Path, state: State) -> None:
    """Replaces the run's last checkpoint atomically; the one before it is kept beside it.

    Args:
        state: its ``run`` is that of :func:`run_token`.

    Raises:
        UserError: the run's folder is gone.
        OSError: it could not be written; both are as before.
    """
    check_in_place(folder)
    last = folder / CHECKPOINT_STATE
    with staged(last) as file:
        file.fill(lambda path: torch.save(state, path))
        file.sync()
        check_in_place(folder)
        if last.exists():
            os.replace(last, folder / CHECKPOINT_BEFORE)
        file.publish()


def load_state(folder: Path, run: str | None) -> State | None:
    """Loads the run's last checkpoint, or the one before it where that is damaged.

    Args:
        run: from :func:`run_token`; the state of another run is refused like a damaged one.

    Returns:
        The state; None if there is no checkpoint yet.

    Raises:
        UserError: no whole checkpoint is left.
    """
    problem: UserError | None = None
    for name in (CHECKPOINT_STATE, CHECKPOINT_BEFORE):
        if not os.path.lexists(folder / name):
            continue
        try:
            state = _load(folder / name, run)
        except UserError as error:
            log.warning("%s: %s", error.where, error.found)
            problem = problem or error
            continue
        if name != CHECKPOINT_STATE:
            log.warning("going on from the checkpoint before the last, %s", name)
        return state
    if problem is not None:
        raise problem
    return None


def _load(path: Path, run: str | None) -> State:
    check_regular(path)
    try:
        _check_archive(path)
        # weights_only: a pickle could run code.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (MemoryError, OSError):
        raise
    except Exception as error:  # the type depends on where the file is damaged
        raise UserError(str(path), f"a damaged file ({loading_problem(error)})", _WHOLE) from None
    if not isinstance(state, dict):
        raise UserError(str(path), f"a {type(state).__name__}", _WHOLE)
    if state.get("run") != run:
        raise UserError(str(path), "the checkpoint of another run", _WHOLE)
    return state


def run_token(folder: Path) -> str | None:
    """The identity of a run, from its settings.json; None for a baseline, which has none."""
    try:
        return str(read_listed_object(folder, SETTINGS).get("run"))
    except FileNotFoundError:
        return None


def _check_archive(path: Path) -> None:
    """Compares the checksums that torch writes beside each tensor, and does not read itself."""
    with zipfile.ZipFile(path) as archive:
        if (damaged := archive.testzip()) is not None:
            raise ValueError(f"the checksum of {damaged} is wrong")


def weights_writer(
    folder: Path, network: Network, tasks: Collection[str] | None = None
) -> Callable[[Path], object]:
    """A writer of the best weights: those of some tasks are new, of all for None."""
    state = {name: value.contiguous() for name, value in network.state_dict().items()}
    if tasks is not None:
        best, owners = load_best(folder), network.owners()
        state |= {name: best[name] for name in state if set(owners[name]).isdisjoint(tasks)}
    return lambda path: save_file(state, path)


def check_best(folder: Path) -> None:
    """Raises UserError if the run's best weights are damaged or gone."""
    try:
        check_listed(folder, WEIGHTS)
    except FileNotFoundError:
        allowed = "the best weights that the run has written"
        raise UserError(str(folder / WEIGHTS), "no file", allowed) from None


def load_best(folder: Path) -> dict[str, torch.Tensor]:
    """The run's best weights so far; raises what :func:`check_best` does."""
    check_best(folder)
    return load_file(folder / WEIGHTS)
