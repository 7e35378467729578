"use strict";
// Sortable tables: the headings are buttons, the first click sorts up, the next one down.
for (const table of document.querySelectorAll("table.sortable")) {
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    heading.querySelector("button")?.addEventListener("click", () => {
      const direction = heading.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", direction === 1 ? "ascending" : "descending");
      const value = (row) => row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
      const rows = [...table.tBodies[0].rows];
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === "" || y === "") return (x === "") - (y === ""); // missing figures last
        const [p, q] = [Number(x), Number(y)];
        const order = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y) : p - q;
        return direction * order;
      });
      table.tBodies[0].append(...rows);
    });
  });
}
// The contents list is open where there is room for it beside the text.
const contents = document.querySelector("nav.contents details");
const wide = window.matchMedia("(min-width: 1180px)");
const follow = () => { contents.open = wide.matches; };
wide.addEventListener("change", follow);
follow();
// Nothing can be clicked in print: open what is folded.
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
