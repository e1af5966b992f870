"""Pins what twelve commands write, so that a change of the code's structure can be checked.

    python -m benchmarks.pinned_outputs record FOLDER
    python -m benchmarks.pinned_outputs collect FOLDER      (from what was recorded before)
    python -m benchmarks.pinned_outputs compare BEFORE AFTER

``record`` runs the commands below FOLDER (fp32, one thread, CPU, operations counted instead of
timed) and collects what they wrote in ``FOLDER/pinned.json``. ``compare`` prints every value that
differs between two such files and exits with 1 if there is any. Both files must come from the same
machine: another CPU may round differently.
"""

import argparse
import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from safetensors.numpy import load_file

COMMON = (
    "trainer.precision=fp32", "trainer.threads=1", "trainer.device=cpu", "score.clock=flops",
    "trainer.max_steps=12", "trainer.eval_every=6", "trainer.eval_examples=60",
    "suite.max_train_rows=200", "suite.max_dev_rows=80", "seed=3",
)  # fmt: skip
RUNS = {
    "hybrid": ("sharing=hybrid", "split=6", "score.reference=separate", "score.untuned=true"),
    "individual": ("sharing=individual",),
    "fsi": ("sharing=fsi", "pairing=joined"),
    "soft": ("sharing=soft", "head=mlp"),
    "pals": ("sharing=pals", "sampler=annealed", "suite.select_fraction=0.2"),
    "progressive": ("sharing=progressive", "regularizer=r_drop"),
    "phases": ("phases=[mlm,heads_first,single_after]", "loss=pcgrad", "loss.cosines=stages"),
    "single": ("sampler=round_robin", "loss=uncertainty", "suite.clean=[lower,letters]",
               "task.quora.batch_size=24"),
}  # fmt: skip
SWEEP = (
    "-m", "+sweep=split_alpha", *COMMON, "hydra.sweeper.n_trials=5", "hydra.sweep.dir=sweep",
)  # fmt: skip
# They depend on the clock, on the process, on a folder or on the version of the code.
UNPINNED_KEYS = {
    "time", "versions", "git", "machine", "peak_train_bytes", "folder", "key", "train_s",
}  # fmt: skip


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("record", "collect"):
        commands.add_parser(command).add_argument("folder", type=Path)
    compare = commands.add_parser("compare")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "record":
        record(arguments.folder.absolute())
    elif arguments.command == "collect":
        collect(arguments.folder)
    else:
        sys.exit(print_differences(arguments.before, arguments.after))


def record(folder: Path) -> None:
    """Runs every command below ``folder`` and writes pinned.json there."""
    folder.mkdir(parents=True)
    for name, overrides in RUNS.items():
        _run(folder, "train", *COMMON, *overrides, f"hydra.run.dir=runs/{name}")
    _run(folder, "train", *SWEEP)
    _run(folder, "report", "runs", "sweep", "--out", "report")
    _run(folder, "predict", "runs/hybrid", "--split", "dev", "--out", "predicted")
    _run(folder, "export", "runs/hybrid", "--task", "quora", "--out", "exported")
    collect(folder)


def collect(folder: Path) -> None:
    """Collects again what the commands have written below ``folder``."""
    pinned = json.dumps(dict(_outputs(folder)), indent=1, sort_keys=True)
    (folder / "pinned.json").write_text(pinned, encoding="utf-8")


def _run(folder: Path, command: str, *arguments: str) -> None:
    print(f"mtl-{command}", *arguments, flush=True)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "XDG_CACHE_HOME": str(folder / "cache")}
    code = f"from mtl_sharing.cli.{command} import main; main()"
    program = [sys.executable, "-c", code, *arguments]
    finished = subprocess.run(program, cwd=folder, env=environment, capture_output=True, text=True)
    if finished.returncode:
        sys.exit(finished.stdout + finished.stderr)


def _outputs(folder: Path) -> Iterator[tuple[str, Any]]:
    for run in sorted([*folder.glob("runs/*"), *folder.glob("sweep/[0-9]*")]):
        name = run.relative_to(folder).as_posix()
        yield from ((f"{name}/{file}", value) for file, value in run_outputs(run))
    yield "sweep/sweep.csv", _rows(folder / "sweep" / "sweep.csv")
    for table in sorted(folder.glob("report/tables/*")):
        if table.suffix in (".csv", ".md"):
            yield table.relative_to(folder).as_posix(), _rows(table)
    for path in sorted(folder.glob("predicted/*")):
        yield f"predicted/{path.name}", hashlib.sha256(path.read_bytes()).hexdigest()
    for path in sorted(folder.glob("exported/*.safetensors")):
        yield f"exported/{path.name}", _digest_weights(path)


def run_outputs(run: Path) -> Iterator[tuple[str, Any]]:
    """Each file of a run's folder that a resumed run repeats: its name and its pinned content."""
    yield "result.json", _without_clocks(json.loads(_text(run / "result.json")))
    yield "plan.json", json.loads(_text(run / "plan.json"))
    if (run / "metrics.csv").is_file():
        yield "metrics.csv", _rows(run / "metrics.csv")
    if (run / "model.safetensors").is_file():
        yield "model.safetensors", _digest_weights(run / "model.safetensors")
    if (run / "predictions.parquet").is_file():
        yield "predictions.parquet", _digest_table(run / "predictions.parquet")


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _without_clocks(value: Any) -> Any:
    """Of result.json; ``multipliers.time`` is a number, counted in operations, and stays."""
    if not isinstance(value, dict):
        return value
    return {
        key: _without_clocks(inner)
        for key, inner in value.items()
        if key not in UNPINNED_KEYS or (key == "time" and not isinstance(inner, dict))
    }


def _rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV or Markdown table without columns of clocks and folders."""
    with path.open(encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            lines = list(csv.reader(file))
        else:
            lines = [[cell.strip() for cell in line.split(" | ")] for line in file]
    head = lines[0]
    return [
        {name: cell for name, cell in zip(head, line, strict=False) if not _is_unpinned(name)}
        for line in lines[1:]
    ]


def _is_unpinned(column: str) -> bool:
    words = set(column.strip("| ").replace("_", " ").replace("/", " ").split())
    return bool(words & {"s", "seconds", "folder", "peak"})


def _digest_weights(path: Path) -> str:
    digest = hashlib.sha256()
    for name, weight in sorted(load_file(path).items()):
        digest.update(f"{name} {weight.dtype} {weight.shape}".encode())
        digest.update(weight.tobytes())
    return digest.hexdigest()


def _digest_table(path: Path) -> str:
    return hashlib.sha256(pd.read_parquet(path).to_csv().encode()).hexdigest()


def print_differences(before: Path, after: Path) -> int:
    """Prints the values that differ between two records; returns the exit code."""
    values = [dict(leaves("", json.loads(_text(path / "pinned.json")))) for path in (before, after)]
    names = sorted(values[0].keys() | values[1].keys())
    different = [n for n in names if values[0].get(n) != values[1].get(n)]
    for name in different:
        print(f"{name}: {values[0].get(name)!r} -> {values[1].get(name)!r}")
    print(f"{len(names)} values, {len(different)} different")
    return 1 if different else 0


def leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The single values in nested objects and lists, each with its path below ``name``."""
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(f"{name}:{key}" if name else str(key), inner)
    else:
        yield name, value


if __name__ == "__main__":
    main()
