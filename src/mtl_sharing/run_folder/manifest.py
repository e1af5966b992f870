"""A run's manifest: the digest of every file that a command reads, written before the file itself.

A file whose digest is another was damaged after it was written, and is refused by name. A replaced
file is listed with its old and its new digest until the next change, so that a kill between the two
renames is no damage. ``checkpoint/last.pt`` has checksums of its own (training/checkpoint.py).
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import LISTED, MANIFEST
from mtl_sharing.utils.files import (
    MOST_TEXT_BYTES,
    StagedFile,
    check_regular,
    json_text,
    open_regular,
    parse_object,
    read_bytes,
    replace_text,
    staged,
)

log = logging.getLogger(__name__)

Facts = dict[str, Any]
"""Of one file: ``bytes``, ``sha256``, and ``before``, the digest of what it replaced."""
Listing = dict[str, Facts]

_AS_WRITTEN = "the file as the run wrote it"
_SCHEMA = 1


@dataclass
class _Work:
    """The folder that a run of this process works in."""

    device: int
    inode: int
    is_settled: bool = False


_working: dict[Path, _Work] = {}


@contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Within the block, writes to a folder that was removed or replaced meanwhile are refused."""
    status = folder.stat()
    _working[folder] = _Work(status.st_dev, status.st_ino)
    try:
        yield
    finally:
        del _working[folder]


def check_present(folder: Path) -> None:
    """Raises UserError if the folder that a run works in is gone, or is another one now."""
    work = _working.get(folder)
    if work is None:
        return
    try:
        status = folder.stat()
        if (status.st_dev, status.st_ino) == (work.device, work.inode):
            return
        found = "another folder than the run began in"
    except FileNotFoundError:
        found = "nothing: it was removed or moved"
    raise UserError(str(folder), found, "the run's folder, left in its place while the run works")


def replace_listed(
    folder: Path,
    writers: Mapping[str, Callable[[Path], object]],
    restorable: Collection[str] = (),
) -> None:
    """Replaces files of a run's folder and lists their digests.

    Args:
        writers: by name, each writes the file's content to the path that it is given.
        restorable: names of files that a resumed run writes anew. They are not waited for: after
            a power failure they may be damaged, which their digests show.

    Raises:
        UserError: the run's folder is gone, or its manifest is damaged.
        OSError: the files could not be written; all are as before.
    """
    check_present(folder)
    with ExitStack() as stack:
        files = {name: stack.enter_context(staged(folder / name)) for name in writers}
        for name, file in files.items():
            file.fill(writers[name])
        digests = {
            name: _sync_and_digest(file, name not in restorable) for name, file in files.items()
        }
        listing = _listing_in_place(folder)
        for name, facts in digests.items():
            before = listing.get(name, {}).get("sha256")
            listing[name] = facts if before is None else facts | {"before": before}
        check_present(folder)
        _write(folder, listing)
        for file in files.values():
            file.publish()


def _listing_in_place(folder: Path) -> Listing:
    """The manifest's files as they are on the disk, before some of them are replaced."""
    work, listing = _working.get(folder), _read(folder)
    if work is not None:
        if work.is_settled:
            return listing or {}
        work.is_settled = True
    if listing is None:  # of a run from before manifests, which goes on
        present = [name for name in LISTED if (folder / name).is_file()]
        if present:
            _warn_unchecked(folder)
        return {name: _facts_of(folder / name) for name in present}
    # After a kill, what was listed last may never have been moved into place.
    return {name: _facts_in_place(folder / name, facts) for name, facts in listing.items()}


def _facts_in_place(path: Path, facts: Facts) -> Facts:
    """The facts of the two listed contents that the file has; both for a damaged file."""
    if "before" not in facts or not path.is_file():
        return facts
    now = _facts_of(path)
    return now if now["sha256"] in (facts["sha256"], facts["before"]) else facts


def replace_listed_text(folder: Path, name: str, text: str) -> None:
    """Replaces a text file of a run's folder; raises what :func:`replace_listed` does."""
    replace_listed(folder, {name: text_writer(text)})


def replace_listed_json(folder: Path, name: str, value: dict[str, Any]) -> None:
    """Replaces a JSON file of a run's folder; raises what :func:`replace_listed` does."""
    replace_listed_text(folder, name, json_text(value))


def text_writer(text: str) -> Callable[[Path], object]:
    """What writes a text into the file that it is given."""
    return lambda path: path.write_text(text, encoding="utf-8")


def read_listed(folder: Path, name: str, most_bytes: float = MOST_TEXT_BYTES) -> bytes:
    """The content of a file of a run's folder, once its digest is checked.

    A folder without a manifest, which runs from before have, is read with one warning.

    Raises:
        UserError: a damaged file, or none that is regular and of sane size.
        OSError: the file cannot be read.
    """
    content = b""

    def digest() -> str:
        nonlocal content
        content = read_bytes(folder / name, most_bytes)
        return hashlib.sha256(content).hexdigest()

    _check(folder, name, digest)
    return content


def read_listed_object(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of a run's folder; raises what :func:`read_listed` does."""
    return parse_object(folder / name, read_listed(folder, name))


def check_listed(folder: Path, name: str) -> None:
    """Checks the digest of a file that a library reads; raises what :func:`read_listed` does."""
    check_regular(folder / name)
    facts = (_read(folder) or {}).get(name, {})
    if "bytes" in facts and "before" not in facts:  # hours are not spent on a file that has grown
        check_regular(folder / name, facts["bytes"])
    _check(folder, name, lambda: str(_facts_of(folder / name)["sha256"]))


def damages(folder: Path, names: Iterable[str]) -> list[UserError]:
    """The errors of those files that are there and damaged; raises one for the manifest itself."""
    _read(folder)
    errors = []
    for name in names:
        try:
            check_listed(folder, name)
        except FileNotFoundError:
            continue
        except UserError as error:
            errors.append(error)
    return errors


def settle(folder: Path) -> None:
    """Lists only what is there now: at the end of a run no older content of a file is right."""
    listing = _read(folder) or {}
    _write(folder, {
        name: {key: value for key, value in facts.items() if key != "before"}
        for name, facts in listing.items()
        if (folder / name).is_file()
    })  # fmt: skip


def _check(folder: Path, name: str, digest: Callable[[], str]) -> None:
    while True:
        listing = _read(folder)
        found = digest()
        if listing is None:
            _warn_unchecked(folder)
            return
        facts = listing.get(name, {})
        if found in (facts.get("sha256"), facts.get("before")):
            return
        # A run that is training may have replaced both between the two reads.
        if listing == _read(folder):
            theirs = f"has {facts['sha256'][:12]}" if facts else "does not list it"
            problem = f"a damaged file (sha256 {found[:12]}, {MANIFEST} {theirs})"
            raise UserError(str(folder / name), problem, _AS_WRITTEN)


@cache
def _warn_unchecked(folder: Path) -> None:
    log.warning("%s has no %s: damage to its files would not be seen", folder, MANIFEST)


def _read(folder: Path) -> Listing | None:
    """The manifest's files; None where there is none. Raises UserError for a damaged one."""
    path = folder / MANIFEST
    try:
        record = parse_object(path, read_bytes(path))
    except FileNotFoundError:
        return None
    files = record.get("files")
    if not isinstance(files, dict) or record != _record(files):
        allowed = f"{_AS_WRITTEN}; without it the run's files are read unchecked"
        raise UserError(str(path), "a damaged file", allowed)
    return files


def _write(folder: Path, listing: Listing) -> None:
    replace_text(folder / MANIFEST, json_text(_record(listing)))


def _record(listing: Listing) -> dict[str, Any]:
    """The content of the manifest, which has a digest of its own."""
    own = hashlib.sha256(json.dumps(listing, sort_keys=True).encode()).hexdigest()
    return {"schema": _SCHEMA, "files": listing, "sha256": own}


def _facts_of(path: Path) -> Facts:
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def _sync_and_digest(file: StagedFile, waits: bool) -> Facts:
    if not waits:
        return _facts_of(file.temporary)
    # At the same time: the disk is waited for in one thread, the digest takes the other.
    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(file.sync)
        facts = _facts_of(file.temporary)
        syncing.result()
    return facts


def lists(folder: Path, name: str) -> bool:
    """Whether the manifest lists a file, which may be gone; raises UserError for a damaged one."""
    return name in (_read(folder) or {})
