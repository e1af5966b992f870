"""A run's manifest: the digest of every file that a command reads, written before the file itself.

A file whose digest is another was damaged after it was written, and is refused by name. A replaced
file is listed with its old and its new digest until the next change, so that a kill between the two
renames is no damage. ``checkpoint/last.pt`` has checksums of its own (training/checkpoint.py).
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from mtl_sharing.errors import UserError
from mtl_sharing.run_folder.layout import AS_WRITTEN, LISTED, MANIFEST
from mtl_sharing.run_folder.lock import check_in_place, held
from mtl_sharing.utils.files import (
    MAX_TEXT_BYTES,
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

Entry = dict[str, Any]
"""One file: its ``bytes`` and ``sha256``, and ``before``, the same of what it replaced."""
Entries = dict[str, Entry]

_SCHEMA = 1
_MAX_WARNINGS = 3
_unchecked: set[Path] = set()


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
    check_in_place(folder)
    with ExitStack() as stack:
        files = {name: stack.enter_context(staged(folder / name)) for name in writers}
        for name, file in files.items():
            file.fill(writers[name])
        new = {n: _sync_and_digest(file, n not in restorable) for n, file in files.items()}
        entries = _entries_in_place(folder)
        for name, entry in new.items():
            if name in entries:
                entry["before"] = _without_before(entries[name])
        check_in_place(folder)
        _write(folder, entries | new)
        for file in files.values():
            file.publish()


def _entries_in_place(folder: Path) -> Entries:
    """The manifest's entries as the files are on the disk, before some of them are replaced."""
    entries, holding = _read(folder), held(folder)
    if holding is not None:
        if holding.manifest_is_settled:
            return entries or {}
        holding.manifest_is_settled = True
    if entries is None:  # of a run from before manifests, which goes on
        present = [name for name in LISTED if (folder / name).is_file()]
        if present:
            _warn_unchecked(folder)
        return {name: _entry_of(folder / name) for name in present}
    # After a kill, what was listed last may never have been moved into place.
    return {name: _entry_in_place(folder / name, entry) for name, entry in entries.items()}


def _entry_in_place(path: Path, entry: Entry) -> Entry:
    """The one of the two listed contents that the file has; both for a damaged file."""
    if "before" not in entry or not path.is_file():
        return entry
    now = _entry_of(path)
    return now if now in _contents(entry) else entry


def _contents(entry: Entry) -> list[Entry]:
    """The contents that a file may have."""
    return [_without_before(entry), *([entry["before"]] if "before" in entry else [])]


def _without_before(entry: Entry) -> Entry:
    return {name: value for name, value in entry.items() if name != "before"}


def replace_listed_text(folder: Path, name: str, text: str) -> None:
    """Replaces a text file of a run's folder; raises what :func:`replace_listed` does."""
    replace_listed(folder, {name: text_writer(text)})


def replace_listed_json(folder: Path, name: str, value: dict[str, Any]) -> None:
    """Replaces a JSON file of a run's folder; raises what :func:`replace_listed` does."""
    replace_listed_text(folder, name, json_text(value))


def text_writer(text: str) -> Callable[[Path], object]:
    """A writer of the text, for :func:`replace_listed`."""
    return lambda path: path.write_text(text, encoding="utf-8")


def read_listed(folder: Path, name: str, max_bytes: float = MAX_TEXT_BYTES) -> bytes:
    """The content of a file of a run's folder, once its digest is checked.

    A folder without a manifest, which runs from before have, is read with one warning.

    Raises:
        UserError: a damaged file, or none that is regular and of sane size.
        OSError: the file cannot be read.
    """
    content, wrong = b"", True
    while wrong:
        entries = _read(folder)
        content = read_bytes(folder / name, max_bytes)
        digest = hashlib.sha256(content).hexdigest()
        wrong = _differs(folder, name, entries, {"bytes": len(content), "sha256": digest})
    return content


def read_listed_object(folder: Path, name: str) -> dict[str, Any]:
    """The object in a JSON file of a run's folder; raises what :func:`read_listed` does."""
    return parse_object(folder / name, read_listed(folder, name))


def check_listed(folder: Path, name: str) -> None:
    """Checks the digest of a file that a library reads; raises what :func:`read_listed` does."""
    check_regular(path := folder / name)
    wrong = True
    while wrong:
        entries = _read(folder)
        listed = _contents(entries[name]) if entries is not None and name in entries else []
        now: Entry = {"bytes": path.stat().st_size}
        # Hours are not spent on a file that has grown.
        if entries is None or now["bytes"] in [content["bytes"] for content in listed]:
            now = _entry_of(path)
        wrong = _differs(folder, name, entries, now)


def _differs(folder: Path, name: str, entries: Entries | None, now: Entry) -> bool:
    """Whether a file is another than listed because a running run has replaced it meanwhile.

    Raises UserError where it is another for good.
    """
    if entries is None:
        _warn_unchecked(folder)
        return False
    listed = _contents(entries[name]) if name in entries else []
    if now in listed:
        return False
    if entries != _read(folder):
        return True
    theirs = f"has {_described(listed[0])}" if listed else "does not list it"
    problem = f"a damaged file ({_described(now)}; {MANIFEST} {theirs})"
    raise UserError(str(folder / name), problem, AS_WRITTEN)


def _described(content: Entry) -> str:
    digest = f", sha256 {content['sha256'][:12]}" if "sha256" in content else ""
    return f"{content['bytes']:,} bytes{digest}"


def damaged_files(folder: Path, names: Iterable[str]) -> list[UserError]:
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


def drop_previous_digests(folder: Path) -> None:
    """Lists only what is there now: at the end of a run no older content of a file is right."""
    entries = (_read(folder) or {}).items()
    _write(folder, {n: _without_before(entry) for n, entry in entries if (folder / n).is_file()})


def _warn_unchecked(folder: Path) -> None:
    """Warns once of each of the first folders, and then that there are others."""
    if folder in _unchecked or len(_unchecked) > _MAX_WARNINGS:
        return
    _unchecked.add(folder)
    if len(_unchecked) > _MAX_WARNINGS:
        log.warning("other runs have no %s either", MANIFEST)
    else:
        log.warning("%s has no %s: damage to its files would not be seen", folder, MANIFEST)


def _read(folder: Path) -> Entries | None:
    """The manifest's entries; None where there is none. Raises UserError for a damaged one."""
    path = folder / MANIFEST
    try:
        record = parse_object(path, read_bytes(path))
    except FileNotFoundError:
        return None
    entries = record.get("files")
    is_whole = isinstance(entries, dict) and all(map(_is_entry, entries.values()))
    if not is_whole or record != _record(entries):
        allowed = f"{AS_WRITTEN}; without it the run's files are read unchecked"
        raise UserError(str(path), "a damaged file", allowed)
    return entries


def _is_entry(entry: Any) -> bool:
    """Whether a value is an entry: a stranger's manifest may have a right digest and odd values."""
    if not isinstance(entry, dict) or not isinstance(entry.get("sha256"), str):
        return False
    size = entry.get("bytes")
    is_size = isinstance(size, int) and not isinstance(size, bool)
    return is_size and ("before" not in entry or _is_entry(entry["before"]))


def _write(folder: Path, entries: Entries) -> None:
    replace_text(folder / MANIFEST, json_text(_record(entries)))


def _record(entries: Any) -> dict[str, Any]:
    """The content of the manifest, which has a digest of its own."""
    own = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    return {"schema": _SCHEMA, "files": entries, "sha256": own}


def _entry_of(path: Path) -> Entry:
    with open_regular(path) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def _sync_and_digest(file: StagedFile, waits: bool) -> Entry:
    if not waits:
        return _entry_of(file.temporary)
    # At the same time: the disk is waited for in one thread, the digest takes the other.
    with ThreadPoolExecutor(1) as pool:
        syncing = pool.submit(file.sync)
        entry = _entry_of(file.temporary)
        syncing.result()
    return entry


def lists(folder: Path, name: str) -> bool:
    """Whether the manifest lists a file, which may be gone; raises UserError for a damaged one."""
    return name in (_read(folder) or {})
