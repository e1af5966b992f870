"""The documents name files, modules and sections that exist."""

import re
from pathlib import Path
from pkgutil import resolve_name

import pytest

from benchmarks.structure import floors_svg

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "mtl_sharing"
PAGES = sorted((ROOT / "docs").glob("*.md"))
# Not the changelog, which may name what an earlier version had.
DOCUMENTS = [*PAGES, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
INDEX = ROOT / "docs" / "README.md"


def file_names(text):
    """Python files that a text names, such as ``model/routing.py``."""
    return sorted(set(re.findall(r"[\w./-]*\w\.py\b", text)))


def is_file(name):
    """Whether a path exists, from the root or the package; a bare name may be in any folder."""
    if "/" in name:
        return any((base / name).is_file() for base in (ROOT, PACKAGE))
    return any(PACKAGE.rglob(name))


def links(text):
    """Targets of the relative links of a text."""
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def sections(path):
    """Anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def is_link(page, link):
    """Whether a relative link of a page leads to a file, and to a section of it if it names one."""
    name, _, section = link.partition("#")
    target = page.parent / name if name else page
    return target.exists() and (not section or section in sections(target))


def test_the_checks_notice_what_is_missing():
    text = "see `model/routing.py` and `model/rooting.py`, [a](data.md#data) and [b](data.md#x)"
    assert [name for name in file_names(text) if not is_file(name)] == ["model/rooting.py"]
    assert [link for link in links(text) if not is_link(INDEX, link)] == ["data.md#x"]


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_files_and_links_exist(page):
    text = page.read_text()
    assert [name for name in file_names(text) if not is_file(name)] == []
    assert [link for link in links(text) if not is_link(page, link)] == []


@pytest.mark.parametrize("page", DOCUMENTS, ids=lambda page: page.stem)
def test_modules_exist(page):
    for name in re.findall(r"\b(?:mtl_sharing|benchmarks)(?:\.\w+)+", page.read_text()):
        assert resolve_name(name) is not None


def test_the_architecture_is_short():
    assert len((ROOT / "docs" / "architecture.md").read_text().splitlines()) <= 150


def test_the_index_links_every_page():
    assert set(links(INDEX.read_text())) >= {page.name for page in PAGES} - {INDEX.name}


def test_the_picture_of_the_floors_is_that_of_the_imports():
    picture = ROOT / "docs" / "floors.svg"
    message = "draw it again: python -m benchmarks.structure --draw docs/floors.svg"
    assert picture.read_text(encoding="utf-8") == floors_svg(), message
