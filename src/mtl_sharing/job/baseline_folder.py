"""Folders of baselines in the cache: checked when read, reduced and bounded when kept.

A baseline is an ordinary run in a folder ``baselines/<kind>-<key>``. It is finished once the folder
also has :data:`RECORD`.
"""

import logging
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mtl_sharing.cache.folders import folder_bytes, is_made, is_stale, make_room, remove_folder
from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import CHECKPOINT, RESULT, TRAIN_OUTPUTS, WEIGHTS
from mtl_sharing.run_folder.manifest import check_listed
from mtl_sharing.run_folder.results import Result, finished_result
from mtl_sharing.utils.files import read_object, replace_json
from mtl_sharing.utils.hashing import digest_file

log = logging.getLogger(__name__)

RECORD = "baseline.json"
"""Provenance of a finished baseline and the digest of its result.json."""


def read_baseline(folder: Path, with_outputs: bool = False) -> Result | None:
    """The result of a finished baseline; None where there is none.

    A damaged baseline is removed with a warning and counts as none.

    Args:
        with_outputs: whether one without outputs on the training texts, which earlier versions
            made, is removed and counts as none, too.

    Raises:
        OSError: the folder cannot be read, or not be removed.
    """
    if not (folder / RECORD).is_file():
        return None
    try:
        result = finished_result(folder)
        digest = read_object(folder / RECORD)["sha256"]
        if result is not None and digest == digest_file(folder / RESULT):
            if with_outputs and not (folder / TRAIN_OUTPUTS).is_file():
                log.info("a baseline of an earlier version is made again: %s", folder)
                remove_folder(folder)
                return None
            if with_outputs:
                check_listed(folder, TRAIN_OUTPUTS)
            os.utime(folder / RECORD)
            return result
    except (UserError, KeyError, FileNotFoundError):
        pass
    log.warning("removing a damaged baseline: %s", folder)
    remove_folder(folder)
    return None


def keep_baseline(folder: Path, provenance: Mapping[str, Any], max_bytes: int) -> bool:
    """Marks the finished run in ``folder`` as a baseline, without its weights.

    Args:
        max_bytes: most that all baselines take; the least recently used are removed first.

    Returns:
        Whether the cache holds the baseline; otherwise a warning gives the reason.
    """
    try:
        shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
        (folder / WEIGHTS).unlink(missing_ok=True)
        _remove_abandoned(folder.parent)
        size = folder_bytes(folder)
        if make_room(folder.parent, size, max_bytes, RECORD):
            record = {"sha256": digest_file(folder / RESULT), "made_from": dict(provenance)}
            replace_json(folder / RECORD, record)
            return True
        message = "not cached, no room: %.1f MB in %s (cache.max_gb)"
        log.warning(message, size / 1e6, folder.parent)
        remove_folder(folder)
    except OSError as error:
        log.warning("not cached in %s: %s", folder.parent, error.strerror or error)
    return False


def _remove_abandoned(baselines: Path) -> None:
    """Removes trainings that were killed and that no run has resumed for a day."""
    for folder in baselines.glob("[!.]*"):
        if not (folder / RECORD).is_file() and not is_made(folder) and is_stale(folder):
            shutil.rmtree(folder, ignore_errors=True)
