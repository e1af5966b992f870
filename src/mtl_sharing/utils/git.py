"""The commit and changes of a checkout, without running anything that the checkout names."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# A checkout's own config may name a command for each of these.
_OFF = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "core.untrackedCache=false",
        "status.submoduleSummary=false", "core.sshCommand=false", "credential.helper=",
        "submodule.recurse=false")  # fmt: skip
# No index is written, no object is fetched, nobody is asked.
_ENVIRONMENT = {
    "GIT_OPTIONAL_LOCKS": "0", "GIT_NO_LAZY_FETCH": "1", "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0", "GIT_PAGER": "cat",
}  # fmt: skip
_TIMEOUT_S = 10


def git_state(folder: Path) -> dict[str, Any] | None:
    """Commit of the checkout that holds ``folder``, and whether it has changes; None outside.

    Files are compared without git's filters. A checkout whose filters cannot be switched off has no
    state.
    """
    try:
        settings = [*_OFF, *_filters_off(folder)]
        commit = _git(folder, settings, "rev-parse", "--verify", "HEAD").strip()
        changes = _git(folder, settings, "status", "--porcelain", "--no-renames",
                       "--ignore-submodules=all")  # fmt: skip
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return {"commit": commit, "changed": bool(changes)}


def _filters_off(folder: Path) -> list[str]:
    """Settings that empty each filter of the config; listing them runs none."""
    listed = _git(folder, _OFF, "config", "-z", "--name-only", "--get-regexp", r"^filter\.",
                  passed=(0, 1))  # fmt: skip
    names = {key.split(".", 1)[1].rpartition(".")[0] for key in listed.split("\0") if key}
    if any("=" in name for name in names):
        raise ValueError("git ends a key at its first =")
    values = ("clean=", "smudge=", "process=", "required=false")
    return [f"filter.{name}.{value}" for name in sorted(names) for value in values]


def _git(
    folder: Path, settings: Sequence[str], *arguments: str, passed: tuple[int, ...] = (0,)
) -> str:
    options = [word for setting in settings for word in ("-c", setting)]
    command = ["git", "--no-pager", "-C", str(folder), *options, *arguments]
    finished = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8",
        errors="surrogateescape", env=os.environ | _ENVIRONMENT, timeout=_TIMEOUT_S, check=False,
    )  # fmt: skip
    if finished.returncode not in passed:
        raise subprocess.CalledProcessError(finished.returncode, command)
    return finished.stdout
