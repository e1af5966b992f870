"""The inputs of a run, pinned by digest at its start and compared where the run goes on."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mtl_sharing.data.examples.files import table_files
from mtl_sharing.errors import UserError
from mtl_sharing.job.baseline_key import digest_splits
from mtl_sharing.job.changed_settings import FREE, changed_settings
from mtl_sharing.job.inputs import RunInputs
from mtl_sharing.job.spec import RunSpec
from mtl_sharing.model.encoder.checkpoint_files import (
    checkpoint_files,
    checkpoint_folder,
    is_local,
)
from mtl_sharing.run_folder.layout import AS_WRITTEN, CONFIG, PINS, TOKENIZER, has_checkpoint
from mtl_sharing.run_folder.manifest import read_listed_object, replace_listed_json
from mtl_sharing.run_folder.results import SCHEMA
from mtl_sharing.utils.hashing import file_facts

_AS_BEFORE = "what the {0} began with, or a new {0} in another folder"
_MOVED = "the file that the {0} began with; where its folder was moved, data_dir=FOLDER too"

_MOST_SHOWN = 3

Facts = Mapping[str, Any]
CheckFiles = Callable[[Mapping[str, Path], Mapping[str, Facts]], None]
"""Takes the files of :func:`input_files` and their :func:`digest_files`; may raise UserError."""


def input_files(run_spec: RunSpec, download: bool = True) -> dict[str, Path]:
    """The files of data, starting weights and tokenizer that a config names, by field and name.

    The name of an interpolated key's file is its text (``config/interpolations.py``).

    Args:
        download: whether a checkpoint of the hub counts, which is downloaded.
    """
    config = run_spec.config

    def shown(name: str) -> str:
        return run_spec.hidden.get(name, name)

    paths = {
        f"{field}: {shown(name)}": path
        for spec in run_spec.specs.values()
        for field, name, path in table_files(spec, config.data_dir)
    }
    for field, source in (
        ("encoder.checkpoint", config.encoder.checkpoint),
        ("encoder.tokenizer", config.encoder.tokenizer),
    ):
        if source is not None and (download or is_local(source)):
            files = checkpoint_files(checkpoint_folder(source, field))
            paths |= {f"{field}: {shown(source)}/{path.name}": path for path in files}
    return paths


def digest_files(paths: Mapping[str, Path]) -> dict[str, Facts]:
    """Size and digest of each file. A missing one is left out: its reader raises the error."""
    return {key: file_facts(path) for key, path in paths.items() if path.is_file()}


def load_pinned(
    run_spec: RunSpec,
    folder: Path,
    load: Callable[[RunSpec, Path], RunInputs],
    check: CheckFiles | None = None,
) -> RunInputs:
    """Loads a run's inputs; records their digests where it begins, compares them where it goes on.

    Args:
        check: called where the run begins, before anything is loaded.

    Raises:
        UserError: bad data, or other examples than the run began with.
    """
    if has_begun(folder):
        inputs = load(run_spec, folder)
        _check_examples(_pinned(folder, "examples"), digest_splits(inputs))
        return inputs
    if not (folder / CONFIG).is_file():
        # Of a start that failed: its data may have been mended since.
        (folder / TOKENIZER).unlink(missing_ok=True)
    paths = input_files(run_spec)
    files = digest_files(paths)
    if check is not None:
        check(paths, files)
    inputs = load(run_spec, folder)
    tokenizer = file_facts(folder / TOKENIZER) if (folder / TOKENIZER).is_file() else {}
    record = {"files": files, "tokenizer": tokenizer, "examples": digest_splits(inputs)}
    replace_listed_json(folder, PINS, {"schema": SCHEMA, **record})
    return inputs


def check_unchanged(run_spec: RunSpec, folder: Path) -> None:
    """Compares what a run that goes on would read with what it began with; writes nothing.

    Raises:
        UserError: naming a setting or a file that differs, as it was and as it is.
    """
    if not has_begun(folder):
        if has_checkpoint(folder):
            found = f"the checkpoint of an earlier version, which wrote no {PINS}"
            allowed = "a new run in another folder, since trainings have changed"
            if (folder / PINS).is_file():
                found, allowed = f"a checkpoint, but no {CONFIG}", "the files as the run wrote them"
            raise UserError(str(folder), found, allowed)
        return
    changed = changed_settings(run_spec.config, folder, FREE)
    _check_none([(key, before, now) for key, (before, now) in changed.items()])
    files = input_files(run_spec)
    check_same_files(_pinned(folder, "files"), digest_files(files), files)
    saved, before = folder / TOKENIZER, _pinned(folder, "tokenizer")
    now = file_facts(saved) if saved.is_file() else {}
    _check_none([(str(saved), _described(before), _described(now))] if before != now else [])


def has_begun(folder: Path) -> bool:
    """Whether a run may have trained; one that was killed between its records has not."""
    return (folder / PINS).is_file() and (folder / CONFIG).is_file()


def check_same_files(
    before: Mapping[str, Facts],
    now: Mapping[str, Facts],
    paths: Mapping[str, Path],
    reader: str = "run",
) -> None:
    """Compares the files that a config names with those of an earlier start.

    Args:
        before, now: from :func:`digest_files`.
        paths: from :func:`input_files`, for the message.
        reader: what began with the files, for the message.

    Raises:
        UserError: naming a file that differs, as it was and as it is.
    """
    changes, is_moved = [], False
    for key in _differing(before, now):
        field, _, name = key.partition(": ")
        found = f"{paths.get(key, name)}, {_described(now.get(key))}"
        changes.append((field, _described(before.get(key)), found))
        is_moved = is_moved or (key not in now and field.startswith("task."))
    _check_none(changes, reader, is_moved)


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [key for key in {**before, **now} if before.get(key) != now.get(key)]


def _check_none(
    changes: Sequence[tuple[str, object, object]], reader: str = "run", is_moved: bool = False
) -> None:
    """Raises UserError for what is not as it was: where, as it was, and as it is."""
    if not changes:
        return
    texts = [f"{now}, where the {reader} began with {before}" for _, before, now in changes]
    others = zip(changes[1:_MOST_SHOWN], texts[1:_MOST_SHOWN], strict=True)
    found = "; ".join([texts[0], *(f"{where}: {text}" for (where, *_), text in others)])
    if len(changes) > _MOST_SHOWN:
        found += f"; and {len(changes) - _MOST_SHOWN} more"
    allowed = _MOVED if is_moved else _AS_BEFORE
    raise UserError(changes[0][0], found, allowed.format(reader))


def _described(facts: Facts | None) -> str:
    if not facts:
        return "no file"
    lines = f"{facts['lines']} lines, " if "lines" in facts else ""
    return f"{lines}{facts['bytes']} bytes, sha256 {facts['sha256'][:12]}"


def _check_examples(before: Facts, now: Facts) -> None:
    """Raises UserError for other tokens, tags or labels: of a hub's data, or of another library."""
    changes = []
    for name in _differing(before, now):
        split, _, task = name.partition("/")
        found = f"other examples, digest {now.get(name)}"
        changes.append((f"task.{task}.{split}", f"digest {before.get(name)}", found))
    _check_none(changes)


def _pinned(folder: Path, name: str) -> dict[str, Any]:
    """A part of the record; raises UserError where the file is damaged."""
    part = read_listed_object(folder, PINS).get(name)
    if not isinstance(part, dict):
        raise UserError(str(folder / PINS), f"no {name}", AS_WRITTEN)
    return part
