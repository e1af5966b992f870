"""The page in a real browser: what it shows, that it asks nobody for anything, how wide it is."""

import re
import warnings

import pytest

from browser import CHROMIUM, probe, screenshot

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium here: make browser"),
]

COUNT = """
const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
const images = [...document.images];
return {
  sections: document.querySelectorAll("main section").length,
  figures: images.length,
  drawn: images.filter((image) => image.complete && image.naturalWidth > 100).length,
  rows: [...document.querySelectorAll("table")].map((table) => table.tBodies[0].rows.length),
  scripts: document.scripts.length,
  wide,
  requests: performance.getEntriesByType("resource").map((one) => one.name)
    .filter((name) => !name.startsWith("data:")),
  nasty: document.querySelector("main").textContent.split("<scr" + "ipt>alert(").length - 1,
};
"""
SORT = """
const table = document.querySelector("#answer table");
const numbers = () => [...table.tBodies[0].rows].map((row) => row.cells[1].textContent);
const before = numbers();
const button = table.tHead.rows[0].cells[1].querySelector("button");
button.click();
const up = numbers();
button.click();
return { before, up, down: numbers(), said: table.tHead.rows[0].cells[1].ariaSort };
"""


FOLDS_ALONE = """
return { open: [...document.querySelectorAll("details[open] section")].map((one) => one.id) };
"""
FOLDS = """
const field = document.querySelector("#runs .filter input") ||
  document.querySelector(".filter input");
const rows = [...field.closest("figure").querySelectorAll("tbody tr")];
field.value = "QUORA";
field.dispatchEvent(new Event("input"));
const cell = document.querySelector("#answer td[data-order]");
cell.dispatchEvent(new Event("mouseover", { bubbles: true }));
return {
  open: [...document.querySelectorAll("details[open] section")].map((one) => one.id),
  rows: rows.length,
  hidden: rows.filter((row) => row.hidden).length,
  left: rows.filter((row) => !row.hidden).every((row) => /quora/.test(row.textContent)),
  hint: cell.title,
  order: cell.dataset.order,
};
"""


@pytest.fixture
def page(written):
    """A page over real runs whose texts would be more than texts."""
    return written / "report.html"


@pytest.mark.parametrize("size", ["1200,900", "800,900", "480,800"])
def test_the_browser_shows_all_of_it_and_asks_nobody(page, tmp_path, size):
    found, log = probe(page, tmp_path, COUNT, size)
    html = page.read_text()
    assert found["sections"] == html.count("<section id=")
    assert found["figures"] == found["drawn"] == html.count("<img ")
    assert found["figures"] == len(list((page.parent / "figures").iterdir()))
    assert found["rows"][0] == 3 and all(found["rows"])
    assert found["wide"] <= 0, "the page scrolls to the side"
    assert found["requests"] == []
    assert found["nasty"] >= 10
    # Its own, and the probe.
    assert found["scripts"] == 2
    assert "CONSOLE" not in log, log


def test_a_click_sorts_a_table_by_its_numbers(page, tmp_path):
    found, _ = probe(page, tmp_path, SORT)
    # A constant answer has no seeds, and stays last.
    assert found["before"] == ["1", "2", ""] and found["up"] == ["1", "2", ""]
    assert found["down"] == ["2", "1", ""] and found["said"] == "descending"


def test_a_link_unfolds_words_filter_rows_and_a_pointer_shows_all_digits(page, tmp_path):
    found, _ = probe(page, tmp_path, FOLDS, fragment="#cost")
    assert found["open"] == ["cost"]
    assert 0 < found["hidden"] < found["rows"] and found["left"]
    assert found["hint"].endswith(found["order"]) and found["order"]


def test_without_its_script_a_link_unfolds_too(page, tmp_path):
    copy = tmp_path / "plain.html"
    copy.write_text(re.sub(r"<script>.*</script>", "", page.read_text(), flags=re.DOTALL))
    found, _ = probe(copy, tmp_path, FOLDS_ALONE, fragment="#cost")
    assert found["open"] == ["cost"]


def test_a_picture_of_the_page_is_no_empty_sheet(page, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from matplotlib.image import imread
    seen = {}
    for name, size, options in (
        ("desktop", "1100,1500", ()),
        ("dark", "1100,1500", ("--blink-settings=preferredColorScheme=0",)),
        ("phone", "500,900", ()),
    ):
        image = tmp_path / f"{name}.png"
        folder = tmp_path / name
        folder.mkdir()
        screenshot(page, folder, image, *options, size=size)
        seen[name] = imread(image)[..., :3]
    assert seen["desktop"].mean() > 0.85 and seen["dark"].mean() < 0.5
    assert all(image.std() > 0.05 for image in seen.values())
    assert seen["phone"].shape[1] == 500
