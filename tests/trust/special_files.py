"""Files of a stranger's run that are none: links, pipes, devices, folders, huge and deep ones."""

import os
import shutil
import stat
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

FILES = (
    "result.json", "plan.json", "config.json", "settings.json", "inputs.json", "metrics.csv",
    "curves.png", "model.safetensors", "tokenizer.json", "predictions.parquet", "manifest.json",
    ".lock", "train.log", "mlflow.json", "checkpoint/last.pt", "checkpoint/previous.pt",
    ".hydra/config.yaml", ".hydra/hydra.yaml", "tensorboard/rows.json",
)  # fmt: skip
FOLDERS = ("checkpoint", ".hydra", "tensorboard", "baselines")
TEMPORARY = tuple(f".{name}.tmp" for name in FILES if "/" not in name)
"""Names that temporary files had, which could be foreseen."""
TEXTS = ("config.json", "settings.json", "result.json", "inputs.json")
YAML = (".hydra/config.yaml", ".hydra/hydra.yaml", ".hydra/overrides.yaml", "multirun.yaml")


def link(name: str, folder: Path, outside: Path) -> None:
    """A link in place of a file or folder, to a victim that has its content."""
    path, victim = folder / name, outside / "victims" / name
    victim.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        shutil.move(path, victim)
    elif name in FOLDERS:
        victim.mkdir()
    else:
        victim.write_text("precious")
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(victim)


def _emptied(name: str, folder: Path) -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    return path


def pipe(name: str, folder: Path, outside: Path) -> None:
    os.mkfifo(_emptied(name, folder))


def device(name: str, folder: Path, outside: Path) -> None:
    _emptied(name, folder).symlink_to("/dev/zero")


def directory(name: str, folder: Path, outside: Path) -> None:
    _emptied(name, folder).mkdir()


def huge(folder: Path, outside: Path) -> None:
    """Files of a terabyte, nearly all of it holes."""
    for name in set(FILES) - {"manifest.json"}:
        if (folder / name).is_file():
            os.truncate(folder / name, 1 << 40)


def deep(folder: Path, outside: Path) -> None:
    for name in (*TEXTS, "manifest.json", "tokenizer.json", *YAML[:2]):
        if (folder / name).parent.is_dir():
            (folder / name).write_text("[" * 200_000)


def contents(top: Path) -> dict[str, str]:
    """What is below a folder, by name: the digest of each file, the target of each link."""

    def described() -> Iterator[tuple[str, str]]:
        for path in sorted(top.rglob("*")):
            mode = path.lstat().st_mode
            if stat.S_ISLNK(mode):
                yield str(path.relative_to(top)), f"-> {os.readlink(path)}"
            elif stat.S_ISREG(mode) and path.stat().st_size < 1 << 30:
                digest = sha256(path.read_bytes()).hexdigest()
                yield str(path.relative_to(top)), f"{path.lstat().st_mtime_ns} {digest}"
            else:
                yield str(path.relative_to(top)), stat.filemode(mode)

    return dict(described())


def huge_manifest(folder: Path, outside: Path) -> None:
    """A manifest of a terabyte."""
    os.truncate(folder / "manifest.json", 1 << 40)
