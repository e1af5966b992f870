"""Makes a stranger's run: what a folder can hold that would run, reach or hang the reader.

Each piece changes a copy of a run. ``outside`` is what it reaches for, and must stay as it is. The
manifest is right afterwards, since a stranger can compute digests.
"""

import json
import random
import re
import stat
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from trust import callables, special_files
from trust.callables import command
from trust.special_files import FILES, FOLDERS, TEMPORARY, TEXTS, YAML

SECRET_NAME, SECRET = "TRUST_SECRET", "hunter2SECRET"
ESCAPE, SCRIPT = "\x1b]0;owned\x07", "<script>owned()</script>"

Piece = Callable[[Path, Path], None]


def pieces() -> dict[str, Piece]:
    """The pieces by name."""
    made: dict[str, Piece] = {
        "git": _git, "places": _places, "suite": _suite, "labels": _labels,
        "every text": some_texts(0, 1.0), "targets": _targets, "YAML tags": callables.yaml_tags,
        "pickles": callables.pickles, "pickled tensors": callables.torch_pickles, "marks": _marks,
        "deep": special_files.deep,
        "huge": special_files.huge, "huge manifest": special_files.huge_manifest,
    }  # fmt: skip
    for entry in ODD_ENTRIES:
        made[f"manifest of {entry!r}"] = partial(odd_manifest, entry)
    for name in (*FILES, *FOLDERS, *TEMPORARY):
        made[f"link {name}"] = partial(special_files.link, name)
    for name in (*FILES, *TEMPORARY):
        made[f"pipe {name}"] = partial(special_files.pipe, name)
        made[f"device {name}"] = partial(special_files.device, name)
    for name in FILES:
        made[f"folder {name}"] = partial(special_files.directory, name)
    return made


def beside(folder: Path, outside: Path) -> None:
    """What is no part of the training: a run with it goes on."""
    for piece in (_git, _suite, _targets):
        piece(folder, outside)
    for name in TEMPORARY:
        special_files.link(name, folder, outside)


def texts(folder: Path, outside: Path) -> None:
    """Hostile texts and links that leave a run one that can be read."""
    for piece in (beside, _labels, _marks):
        piece(folder, outside)


def whole(folder: Path, outside: Path) -> None:
    """All pieces that do not hide one another."""
    texts(folder, outside)
    for name in (".lock", "train.log", "tensorboard"):
        special_files.link(name, folder, outside)


ODD_ENTRIES: tuple[Any, ...] = (5, None, "text", [], {}, {"a": 1}, {"bytes": "x"}, {"sha256": 5},
                               {"bytes": -1, "sha256": "x", "before": 5})  # fmt: skip
"""What stands in a manifest for a file's size and digest."""


def odd_manifest(entry: object, folder: Path, outside: Path) -> None:
    """A manifest with a right digest of its own, whose entries are no entries."""
    listed = json.loads((folder / "manifest.json").read_bytes())["files"]
    _write_manifest(folder, dict.fromkeys(listed, entry))


def forge_manifest(folder: Path) -> None:
    """Lists the files as they are now; leaves a manifest that is odd or no regular file."""
    if not _is_plain(folder / "manifest.json"):
        return
    with suppress(ValueError, RecursionError):
        listed = json.loads((folder / "manifest.json").read_bytes())["files"]
        if not any(entry in ODD_ENTRIES for entry in listed.values()):
            names = [name for name in {*listed, *FILES} if _is_plain(folder / name)]
            _write_manifest(folder, {name: _facts(folder / name) for name in names})


def _write_manifest(folder: Path, files: dict[str, Any]) -> None:
    own = sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()
    record = {"schema": 1, "files": files, "sha256": own}
    (folder / "manifest.json").write_text(json.dumps(record))


def _is_plain(path: Path) -> bool:
    with suppress(OSError):
        status = path.lstat()
        return stat.S_ISREG(status.st_mode) and status.st_size < 1 << 26
    return False


def _facts(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    return {"bytes": len(content), "sha256": sha256(content).hexdigest()}


def _git(folder: Path, outside: Path) -> None:
    """A checkout whose own configuration runs commands, here and where the run was started."""
    work = outside / "work"
    for place in (folder, work):
        subprocess.run(["git", "init", "-q", place], check=True)
        helper = f"{command(outside)}; false"
        keys = ("fsmonitor", "sshCommand", "pager", "editor", "hooksPath", "askPass", "gitProxy")
        lines = [f'{key} = "{helper}"' for key in keys]
        filters = f'[filter "evil"]\nclean = "{helper}"\nprocess = "{helper}"\nrequired = true\n'
        external = f'[diff]\nexternal = "{helper}"\n'
        core = "[core]\nrepositoryformatversion = 0\nbare = false\n"
        config = core + "\n".join(lines) + "\n" + filters + external
        (place / ".git/config").write_text(config)
        (place / ".gitattributes").write_text("* filter=evil diff=evil\n")
    _change_json(folder, "settings.json", lambda record: record | {"cwd": str(work)})
    for name in YAML[:2]:
        _replace(folder / name, "cwd: .*", f"cwd: {work}")


def _places(folder: Path, outside: Path) -> None:
    """Settings that name folders elsewhere, to which a run writes."""

    def change(record: dict[str, Any]) -> dict[str, Any]:
        settings = record.get("settings", {})
        settings |= {"data_dir": str(outside / "data")}
        settings.setdefault("cache", {}).update(folder=str(outside / "cache"))
        tracker = settings.setdefault("tracker", {})
        tracker.setdefault("mlflow", {}).update(enabled=True, folder=str(outside / "mlruns"))
        tracker.setdefault("tensorboard", {}).update(enabled=True)
        return record

    for name in TEXTS[:2]:
        _change_json(folder, name, change)


def _suite(folder: Path, outside: Path) -> None:
    """An interpolation in a name that the run's log and cards show."""
    text = f"${{oc.env:{SECRET_NAME}}}"

    def change(record: dict[str, Any]) -> dict[str, Any]:
        record.get("settings", {}).get("suite", {})["name"] = text
        return record

    for name in ("config.json", "settings.json"):
        _change_json(folder, name, change)


def _labels(folder: Path, outside: Path) -> None:
    """Interpolations in texts that exports, predictions and reports show."""
    text = f"${{oc.env:{SECRET_NAME}}}"
    _name_labels(folder, text, 0)
    for name in ("config.json", "settings.json"):
        _change_json(folder, name, lambda record: record | {"reason": text})
    for name in ("config.json", "settings.json", "result.json"):
        _change_json(folder, name, lambda record: record | {"regime": text})


def _name_labels(folder: Path, text: str, place: int) -> None:
    """Names one label of each task that has them; the others keep theirs, or get letters."""

    def change(record: dict[str, Any]) -> dict[str, Any]:
        for task in record.get("settings", {}).get("task", {}).values():
            count = {"classes": 5, "binary": 2}.get(task["kind"])
            if count is not None:
                task |= {"classes": None, "labels": task["labels"] or [*"abcde"[:count]]}
                task["labels"][place] = text
        return record

    _change_json(folder, "config.json", change)


def some_texts(seed: int, share: float = 0.02) -> Piece:
    """An interpolation in a few random texts of the run's files."""

    def piece(folder: Path, outside: Path) -> None:
        generator = random.Random(seed)
        text = f"${{oc.env:{SECRET_NAME}}}"

        def change(value: Any) -> Any:
            if isinstance(value, dict):
                return {key: change(item) for key, item in value.items()}
            if isinstance(value, list):
                return [change(item) for item in value]
            return text if isinstance(value, str | None) and generator.random() < share else value

        for name in TEXTS:
            _change_json(folder, name, change)
        if share == 1:
            for name in YAML:
                _replace(folder / name, r"(?m): [a-zA-Z/].*$", f": {text}")

    return piece


def _targets(folder: Path, outside: Path) -> None:
    """What Hydra would call, in the places where it looks for it."""
    call = {"_target_": "os.system", "command": command(outside)}

    def change(record: dict[str, Any]) -> dict[str, Any]:
        hydra = {"launcher": call, "sweeper": call, "callbacks": {"evil": call}}
        return record | {"_target_": "os.system", "hydra": hydra}

    for name in TEXTS[:2]:
        _change_json(folder, name, change)
    for name in YAML[:2]:
        lines = [f"  {key}: {json.dumps(call)}" for key in ("launcher", "sweeper")]
        with suppress(FileNotFoundError):
            text = (folder / name).read_text()
            (folder / name).write_text("\n".join([text, "evil:", *lines, ""]))


def _marks(folder: Path, outside: Path) -> None:
    """HTML, Markdown and the terminal's control sequences in texts that are shown."""
    text = f"{ESCAPE}{SCRIPT}[x](javascript:owned())=1+1"

    def change(record: dict[str, Any]) -> dict[str, Any]:
        tasks = {f"{name}{text}": task for name, task in record.get("tasks", {}).items()}
        regime = f"{record['regime']}{text}"
        return record | {"regime": regime, "plan": text, "reason": text, "tasks": tasks}

    _change_json(folder, "result.json", change)
    with suppress(OSError):
        content = (folder / "metrics.csv").read_text()
        (folder / "metrics.csv").write_text(content.replace("dev/", f"dev/{text}"))
    _name_labels(folder, text, 1)


def _change_json(
    folder: Path, name: str, change: Callable[[dict[str, Any]], Mapping[str, Any]]
) -> None:
    with suppress(FileNotFoundError):
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))


def _replace(path: Path, pattern: str, text: str) -> None:
    with suppress(FileNotFoundError):
        path.write_text(re.sub(pattern, lambda match: text, path.read_text()))
