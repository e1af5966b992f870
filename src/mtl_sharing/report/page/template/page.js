"use strict";
// A click on a column's heading sorts the table; a second click reverses the order.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
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
    });
  });
}
