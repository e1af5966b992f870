"""The examples in Python of README.md and docs/: pages of code, and the notebook."""

import ast
import json
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

import mtl_sharing.api.train as api
from mtl_sharing.config.python_values import override_texts
from notebooks import code_cells, read_notebook, run_notebook
from support import QUICK, ROOT

NOTEBOOK = ROOT / "docs" / "own_data.ipynb"
TICKETS = "body,topic\n" + "it costs too much,billing\nit came too late,delivery\n" * 12


def code_blocks(page):
    """The indented blocks of a page, without what a shell or an interpreter shows."""
    text = re.sub(r"^(?!    ).*$", "", page.read_text(), flags=re.MULTILINE)
    blocks = [re.sub("^    ", "", block, flags=re.MULTILINE) for block in re.split(r"\n{3,}", text)]
    return [block for block in blocks if block.strip() and ">>> " not in block]


def test_the_notebook_is_small_run_whole_and_names_no_folder_of_a_machine():
    text = NOTEBOOK.read_text()
    assert len(text) < 100_000
    cells = code_cells(json.loads(text))
    assert [cell["execution_count"] for cell in cells] == [*range(1, len(cells) + 1)]
    outputs = json.dumps([cell["outputs"] for cell in cells])
    assert "runs/shared" in outputs and "Traceback" not in outputs
    assert re.findall(r"(?<![\w.<])/(?:home|root|tmp|work|Users|var|mnt)\b", text) == []
    for cell in cells:  # plain Python, no line of IPython's
        ast.parse("".join(cell["source"]))


@pytest.mark.slow
def test_the_notebook_runs(tmp_path):
    notebook = read_notebook(NOTEBOOK)
    values = run_notebook(notebook, tmp_path)
    rows = dict(zip(*(values[-1][name] for name in ("group", "kept %")), strict=True))
    assert rows.keys() == {"I6", "S6"} and rows["I6"] == 100 and rows["S6"] > 90
    assert (tmp_path / "report" / "report.html").is_file()
    columns = "tickets", "tickets_probability"
    asked = next(value for value in values if (*getattr(value, "columns", ()),)[:2] == columns)
    assert list(asked["tickets"]) == ["billing", "delivery"]


@pytest.mark.slow
@pytest.mark.parametrize("page", ["README.md", "docs/python.md"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    train = api.train

    def quick(settings, *arguments, **named):
        texts = override_texts(settings) if isinstance(settings, Mapping) else settings
        return train([*texts, *QUICK], *arguments, **named)

    monkeypatch.setattr(api, "train", quick)
    monkeypatch.chdir(tmp_path)
    Path("own").mkdir()
    for split in ("train", "dev"):
        Path("own", f"tickets-{split}.csv").write_text(TICKETS)
    names, blocks = {}, code_blocks(ROOT / page)
    if page == "README.md":  # most of it is for a shell
        blocks = [block for block in blocks if "from mtl_sharing import" in block]
    for block in blocks:
        exec(compile(block, page, "exec"), names)
    assert len(blocks) >= 1 and Path("outputs/mine/result.json").is_file()
