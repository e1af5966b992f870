"""Runs a notebook of plain Python cells without Jupyter.

    python tests/notebooks.py docs/own_data.ipynb      # writes the outputs into the file

The working directory is a new folder, so that outputs name no folder of this machine.
"""

import ast
import io
import json
import os
import re
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

Cell = dict[str, Any]


def read_notebook(path: Path) -> dict[str, Any]:
    """A notebook's content."""
    return json.loads(path.read_text(encoding="utf-8"))


def code_cells(notebook: dict[str, Any]) -> list[Cell]:
    """The cells of code, in order."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def run_cell(cell: Cell, names: dict[str, Any], number: int) -> Any:
    """Runs a cell in the namespace, and sets its outputs; returns the last expression's value."""
    tree = ast.parse("".join(cell["source"]))
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    value, out, err = None, io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        exec(compile(tree, f"cell {number}", "exec"), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), f"cell {number}", "eval"), names)
    # Without progress, whose lines are as many as the machine is slow.
    lines = re.sub(r"^training: .*\n", "", err.getvalue(), flags=re.MULTILINE)
    streams = {"stdout": out.getvalue(), "stderr": lines}
    cell["execution_count"] = number
    cell["outputs"] = [
        {"output_type": "stream", "name": name, "text": text.splitlines(keepends=True)}
        for name, text in streams.items() if text
    ]  # fmt: skip
    if value is not None:
        cell["outputs"].append(_result(value, number))
    return value


def _result(value: Any, number: int) -> dict[str, Any]:
    """The output of a value, as Jupyter stores it."""
    data = {"text/plain": repr(value).splitlines(keepends=True)}
    if hasattr(value, "_repr_html_"):
        data["text/html"] = value._repr_html_().splitlines(keepends=True)
    return {"output_type": "execute_result", "execution_count": number, "metadata": {},
            "data": data}  # fmt: skip


def run_notebook(notebook: dict[str, Any], folder: Path) -> list[Any]:
    """Runs all cells of code in ``folder``, and returns the value of each."""
    names: dict[str, Any] = {"__name__": "__main__"}
    with chdir(folder):
        return [run_cell(cell, names, n) for n, cell in enumerate(code_cells(notebook), start=1)]


def main() -> None:
    path = Path(sys.argv[1])
    notebook = read_notebook(path)
    with TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"] = f"{folder}/cache"  # as in a first run
        run_notebook(notebook, Path(folder))
    text = json.dumps(notebook, indent=1, ensure_ascii=False, sort_keys=True)  # as Jupyter does
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
