"""The floors of the house: a file imports from lower floors or its own, and never in a circle."""

import ast
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import mtl_sharing

ROOT = Path(mtl_sharing.__file__).parent
FLOORS = (
    ("errors", "batch"),
    ("utils", "plan", "sampling"),
    ("cache", "run_folder", "tracking", "model", "objectives"),
    ("data", "score"),
    ("evaluation", "plotting"),
    ("training",),
    ("config",),
    ("job", "report", "init"),
    ("predict", "sweep"),
    ("export",),
    ("api", "cli"),
)
# The inner rooms of the large packages, in order; modules beside them come last.
ROOMS = {
    "data": ("settings", "tables", "tasks", "examples", "text", "tokens"),
    "model": ("settings", "encoder"),
    "report": ("inputs", "analysis", "page", "build"),
    "sweep": ("settings", "space", "search", "study", "jobs", "loop", "output"),
}
FLOOR_OF = {part: floor for floor, parts in enumerate(FLOORS) for part in parts}
STRANGERS = {("data", "model"), ("model", "data")}


def name_of(path):
    """The dotted name of a file, a package by its own name."""
    parts = ("mtl_sharing", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(ROOT.rglob("*.py"))}


def imports_of(name):
    """The project's modules that a file imports anywhere, functions included.

    The public face imports for type checkers alone (tests/test_public.py), so it has no floor.
    """
    found = set()
    if name == "mtl_sharing":
        return found
    for node in ast.walk(ast.parse(FILES[name].read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: relative import at line {node.lineno}"
            # Of a package either a module in it or a name that it defines.
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {one if one in FILES else node.module for one in inner}
    return {one for one in found if one.split(".")[0] == "mtl_sharing"} - {name}


GRAPH = {name: imports_of(name) for name in FILES}


def part_of(name):
    """The place of a module below ``src/mtl_sharing``; empty for the package itself."""
    return [*name.split("."), ""][1]


def test_the_graph_sees_imports():
    assert len(GRAPH) > 40
    assert "mtl_sharing.plan.plan" in GRAPH["mtl_sharing.model.planned_encoder"]
    assert "mtl_sharing.model.architecture" in GRAPH["mtl_sharing.score.parameters"]
    assert "mtl_sharing.model.encoder.shape" in GRAPH["mtl_sharing.model.architecture"]
    assert sum(map(len, GRAPH.values())) > 100


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"mtl_sharing"}))
def test_a_file_imports_from_lower_floors_or_its_own(name):
    here = part_of(name)
    assert here in FLOOR_OF, f"{here} has no floor yet: add it to docs/architecture.md and here"
    for other in GRAPH[name]:
        there = part_of(other)
        assert not there or FLOOR_OF[there] <= FLOOR_OF[here], f"{name} imports {other}"
        assert (here, there) not in STRANGERS, f"{name} imports {other}"


def room_of(name):
    """The number of a module's room in its package."""
    rooms, inner = ROOMS[part_of(name)], [*name.split("."), "", ""][2]
    return rooms.index(inner) if inner in rooms else len(rooms)


@pytest.mark.parametrize("package", ROOMS)
def test_a_room_uses_only_those_before_it(package):
    files = [name for name in FILES if name.startswith(f"mtl_sharing.{package}.")]
    assert {room_of(name) for name in files} >= {*range(len(ROOMS[package]))}
    for name in files:
        for other in GRAPH[name] & {*files}:
            assert room_of(other) <= room_of(name), f"{name} imports {other}"


def test_no_import_goes_in_a_circle():
    order = list(TopologicalSorter(GRAPH).static_order())  # raises CycleError and names it
    assert set(order) == set(FILES)


def test_a_report_needs_nothing_of_the_sweeps():
    """Not even through others."""
    seen, pending = set(), [name for name in FILES if part_of(name) == "report"]
    assert len(pending) > 15
    while pending:
        name = pending.pop()
        seen.add(name)
        pending += GRAPH.get(name, set()) - seen
    assert "mtl_sharing.plotting.lines" in seen
    assert [name for name in seen if part_of(name) == "sweep"] == []


LIGHT = [
    *(name for name in FILES if name.endswith(".settings")),
    "mtl_sharing.model.encoder.shape", "mtl_sharing.model.specs", "mtl_sharing.model.architecture",
    *(name for name in FILES if part_of(name) == "score"),
    "mtl_sharing.plan.plan", "mtl_sharing.config",
    "mtl_sharing.data.tasks.task", "mtl_sharing.cli.train", "mtl_sharing.cli.predict",
    "mtl_sharing.cli.export", "mtl_sharing.cli.report", "mtl_sharing.cli.init",
]  # fmt: skip
CHECK = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    assert "torch" not in sys.modules, name
importlib.import_module("mtl_sharing.batch")
assert "torch" in sys.modules
"""


def test_the_command_line_starts_without_torch():
    assert len(LIGHT) >= 13
    done = subprocess.run([sys.executable, "-c", CHECK, *LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
