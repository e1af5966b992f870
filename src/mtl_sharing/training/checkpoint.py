"""The checkpoint that a stopped run resumes from."""

from pathlib import Path
from typing import Any

import torch

from mtl_sharing.errors import UserError, first_line
from mtl_sharing.run_folder.layout import CHECKPOINT_STATE
from mtl_sharing.utils.files import replace_file


def save_state(folder: Path, state: dict[str, Any]) -> None:
    """Replaces the run's checkpoint atomically; adds the random state of every device."""
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    complete = state | {"random": random}
    replace_file(folder / CHECKPOINT_STATE, lambda path: torch.save(complete, path))


def load_state(folder: Path) -> dict[str, Any] | None:
    """Loads the run's checkpoint and sets torch's random state; None if there is none yet.

    Raises:
        UserError: the file is damaged, or holds more than tensors and plain values.
    """
    path = folder / CHECKPOINT_STATE
    if not path.is_file():
        return None
    try:
        # weights_only: a pickle could run code.
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        torch.set_rng_state(state["random"]["cpu"])
    except Exception as error:  # the type depends on where the file is damaged
        allowed = "a whole checkpoint; without it the run starts again from its settings"
        found = f"a damaged file ({first_line(error)})"
        raise UserError(str(path), found, allowed) from None
    if "cuda" in state["random"] and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["random"]["cuda"])
    return state
