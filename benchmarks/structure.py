"""Measures the structure of the source: floors, import chains, lines, and the way of a run's spec.

    python -m benchmarks.structure                  # the table
    python -m benchmarks.structure --draw FILE.svg  # the floors as a picture, read off the imports

The table has a row for each bound that ``docs/architecture.md`` names.
"""

import argparse
import ast
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "mtl_sharing"
PACKAGE = "mtl_sharing"
# The central value of a run: it is handed to the functions of a run, and to as few as possible.
CENTRAL = "RunSpec"
TINY_RUN = (
    "sharing=hybrid", "suite.max_train_rows=40", "suite.max_dev_rows=30", "trainer.max_steps=4",
    "encoder.checkpoint=null", "encoder.hidden=12", "encoder.embedding=12", "encoder.heads=3",
    "encoder.intermediate=20", "encoder.vocabulary=700", "score.pairs=1", "score.untuned=true",
)  # fmt: skip
Graph = Mapping[str, set[str]]


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--draw", type=Path, metavar="FILE", help="write the floors as an SVG")
    arguments = parser.parse_args()
    if arguments.draw is not None:
        arguments.draw.write_text(floors_svg(), encoding="utf-8")
        return
    for name, value in table():
        print(f"{name:56}{value:>10}", flush=True)


def table() -> Iterator[tuple[str, object]]:
    """Each measured property with its value."""
    files, parts = import_graph(), part_graph()
    yield "import floors", len(floors(parts))
    yield "modules at the package's root", len([part for part in parts if is_module(part)])
    yield "longest chain of imports, files", max(depths(files).values())
    files_entered, functions = trace_run()
    yield f"files that {CENTRAL} enters in a run", files_entered
    yield f"functions that are handed {CENTRAL} in a run", functions
    yield "lines in src", sum(count_lines(path) for path in SOURCE.rglob("*.py"))
    yield "public names with a docstring", f"{documented_share():.0%}"
    yield "mtl-train --help, seconds, best of 5", f"{help_seconds():.2f}"
    yield "lines in docs/architecture.md", count_lines(ROOT / "docs" / "architecture.md")


@cache
def import_graph() -> Graph:
    """For each file of the package the files that it imports, by dotted names.

    The package's own ``__init__`` is left out: its public face imports on first use alone.
    """
    names = {_name(path): path for path in SOURCE.rglob("*.py")}
    del names[PACKAGE]
    return {name: set(_imports(path, names)) - {name} for name, path in names.items()}


def _name(path: Path) -> str:
    parts = (PACKAGE, *path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path: Path, names: Mapping[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in names or node.module in names:
                    yield inner if inner in names else node.module


def part_graph() -> Graph:
    """The same for the packages and modules right below the root."""
    graph: dict[str, set[str]] = {}
    for name, imported in import_graph().items():
        graph.setdefault(_part(name), set()).update(map(_part, imported))
    return {part: others - {part} for part, others in sorted(graph.items())}


def _part(name: str) -> str:
    return name.split(".")[1]


def is_module(part: str) -> bool:
    """Whether a part of the root is a single file."""
    return (SOURCE / f"{part}.py").is_file()


def depths(graph: Graph) -> dict[str, int]:
    """For each node how many nodes the longest chain of imports down from it has."""
    found: dict[str, int] = {}
    for node in TopologicalSorter(graph).static_order():
        found[node] = 1 + max((found[other] for other in graph.get(node, ())), default=0)
    return found


def floors(graph: Graph) -> list[list[str]]:
    """The parts by floor, from the lowest: each imports from lower floors alone."""
    levels = depths(graph)
    return [
        sorted(part for part, level in levels.items() if level == number)
        for number in range(1, max(levels.values()) + 1)
    ]


def trace_run() -> tuple[int, int]:
    """Files and functions of the package that receive the spec as an argument in a small run."""
    os.environ["HF_HUB_OFFLINE"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        code = f"from benchmarks.structure import print_trace; print_trace({TINY_RUN!r})"
        environment = os.environ | {"XDG_CACHE_HOME": folder, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-c", code]
        finished = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=True
        )
    files, functions = finished.stdout.splitlines()[-1].split()
    return int(files), int(functions)


def print_trace(overrides: tuple[str, ...]) -> None:
    """Runs ``mtl-train`` in this process and prints how many files and functions got the spec."""
    from mtl_sharing.cli.train import main as train

    seen: set[tuple[str, str]] = set()

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(SOURCE)):
            count = code.co_argcount + code.co_kwonlyargcount
            values = [frame.f_locals.get(name) for name in code.co_varnames[:count]]
            if any(type(value).__name__ == CENTRAL for value in values):
                seen.add((code.co_filename, code.co_qualname))

    sys.argv = ["mtl-train", *overrides]
    sys.setprofile(profile)
    try:
        train()
    finally:
        sys.setprofile(None)
    print(len({file for file, _ in seen}), len(seen))


def count_lines(path: Path) -> int:
    """Lines of a text file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def documented_share() -> float:
    """The share of public modules, classes, functions and methods that have a docstring."""
    documented = total = 0
    for path in SOURCE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in [tree, *_public(tree)]:
            if isinstance(node, ast.Module) and not node.body:
                continue
            total += 1
            documented += ast.get_docstring(node) is not None
    return documented / total


def _public(
    node: ast.Module | ast.ClassDef,
) -> Iterator[ast.ClassDef | ast.FunctionDef]:
    for inner in node.body:
        if isinstance(inner, ast.FunctionDef | ast.ClassDef) and not inner.name.startswith("_"):
            yield inner
            if isinstance(inner, ast.ClassDef):
                yield from _public(inner)


def help_seconds(rounds: int = 5) -> float:
    """The shortest of some calls of ``mtl-train --help``."""
    command = [sys.executable, "-c", "from mtl_sharing.cli.train import main; main()", "--help"]
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - began)
    return min(seconds)


def floors_svg() -> str:
    """The floors as a picture: a row for each, upper ones import from lower ones."""
    rows = list(reversed(floors(part_graph())))
    width, height = 720, 44 * len(rows) + 16
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="14">',
        f'<rect width="{width}" height="{height}" fill="white"/>',
    ]
    for number, parts in enumerate(rows):
        top, room = 8 + 44 * number, (width - 56) / len(parts)
        drawn.append(f'<text x="12" y="{top + 25}" fill="#57606a">{len(rows) - number}</text>')
        for place, part in enumerate(parts):
            left, label = 44 + place * room, f"{part}.py" if is_module(part) else f"{part}/"
            drawn += [
                f'<rect x="{left:.0f}" y="{top}" width="{room - 8:.0f}" height="36" rx="5" '
                'fill="#ddf4ff" stroke="#54aeff"/>',
                f'<text x="{left + (room - 8) / 2:.0f}" y="{top + 23}" fill="#0a3069" '
                f'text-anchor="middle">{label}</text>',
            ]
    return "\n".join([*drawn, "</svg>", ""])


if __name__ == "__main__":
    main()
