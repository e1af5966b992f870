"use strict";
// The page is complete without this script, which sorts and filters tables, shows all digits of a
// number below the pointer, and unfolds what a link leads to or a printer asks for.
const FEW_ROWS = 8;

function sortBy(table, heads, column) {
  const head = heads[column];
  const up = head.getAttribute("aria-sort") !== "ascending";
  heads.forEach((other) => other.removeAttribute("aria-sort"));
  head.setAttribute("aria-sort", up ? "ascending" : "descending");
  const key = (row) => row.cells[column].dataset.order ?? row.cells[column].textContent;
  const compare = (a, b) => key(a).localeCompare(key(b), undefined, { numeric: true });
  const number = (row) => Number(row.cells[column].dataset.order ?? NaN);
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((a, b) => {
    const [x, y] = [number(a), number(b)];
    const known = Number.isNaN(x) - Number.isNaN(y);
    if (known) return known;
    const result = Number.isNaN(x) ? compare(a, b) : x - y;
    return up ? result : -result;
  });
  body.append(...rows);
  table.classList.add("sorted");
}

function addFilter(table) {
  const rows = [...table.tBodies[0].rows];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const field = document.createElement("input");
  field.type = "search";
  field.placeholder = "show rows with …";
  field.setAttribute("aria-label", "show only rows with these words");
  const count = document.createElement("span");
  count.setAttribute("role", "status");
  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    rows.forEach((row, index) => {
      row.hidden = !words.every((word) => texts[index].includes(word));
      shown += !row.hidden;
    });
    count.textContent = words.length ? `${shown} of ${rows.length} rows` : "";
    if (words.length) table.classList.add("sorted");
  });
  const line = document.createElement("div");
  line.className = "filter";
  line.append(field, count);
  table.parentElement.before(line);
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sortBy(table, heads, column));
  });
  if (table.tBodies[0].rows.length >= FEW_ROWS) addFilter(table);
}

document.addEventListener("mouseover", ({ target }) => {
  const cell = target instanceof Element && target.closest("[data-order]");
  if (!cell || cell.title) return;
  const table = cell.closest("table");
  const row = cell.parentElement.cells[0].textContent.trim();
  const column = table.tHead.rows[0].cells[cell.cellIndex].textContent.trim();
  cell.title = `${row}: ${column} ${cell.dataset.order}`;
});

const folds = [...document.querySelectorAll("details")];
function unfold() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  const fold = target && target.closest("details");
  if (!fold) return;
  fold.open = true;
  target.scrollIntoView();
}
addEventListener("hashchange", unfold);
unfold();
for (const link of document.querySelectorAll('nav a[href^="#"]')) {
  link.addEventListener("click", () => setTimeout(unfold)); // also of the place it is at already
}
let folded = [];
addEventListener("beforeprint", () => {
  folded = folds.filter((fold) => !fold.open);
  folded.forEach((fold) => { fold.open = true; });
});
addEventListener("afterprint", () => folded.forEach((fold) => { fold.open = false; }));
