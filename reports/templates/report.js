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
// A contents entry opens what it names, and the entry of the section in view is marked.
const unfold = () => {
  let target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (const start = target; target; target = target.parentElement) {
    if (target.tagName === "DETAILS") { target.open = true; start.scrollIntoView(); }
  }
};
window.addEventListener("hashchange", unfold);
unfold();
const entries = [...document.querySelectorAll("nav.contents a")];
const targets = entries.map((entry) => document.getElementById(entry.hash.slice(1)));
const mark = () => {
  const passed = targets.map((t) => t !== null && t.getBoundingClientRect().top < innerHeight / 3);
  const current = Math.max(0, passed.lastIndexOf(true));
  entries.forEach((entry, i) => {
    if (i === current) entry.setAttribute("aria-current", "true");
    else entry.removeAttribute("aria-current");
  });
};
window.addEventListener("scroll", mark, {passive: true});
mark();
// What an element says when it is pointed at, focused or tapped; Escape closes it.
const help = document.querySelector(".help");
const tell = (event) => {
  const element = event.target.closest?.("[data-help]");
  help.hidden = !element;
  if (!element) return;
  help.textContent = element.dataset.help;
  const box = element.getBoundingClientRect(), room = document.documentElement.clientWidth;
  help.style.left = Math.max(8, Math.min(box.left, room - help.offsetWidth - 8)) + "px";
  const below = box.bottom + 6 + help.offsetHeight < innerHeight;
  const top = below ? box.bottom + 6 : box.top - 6 - help.offsetHeight;
  help.style.top = Math.max(8, Math.min(top, innerHeight - help.offsetHeight - 8)) + "px";
};
for (const kind of ["pointerover", "focusin", "click"]) document.addEventListener(kind, tell);
document.addEventListener("focusout", () => { help.hidden = true; });
document.addEventListener("scroll", () => { help.hidden = true; }, {capture: true, passive: true});
document.addEventListener("keydown", (event) => { if (event.key === "Escape") help.hidden = true; });
// A table or a figure that is wider than its place says on which side there is more.
for (const place of document.querySelectorAll(".scroll, .scroll-figure")) {
  const cue = () => {
    place.classList.toggle("more", place.scrollLeft + place.clientWidth < place.scrollWidth - 2);
  };
  place.addEventListener("scroll", cue, {passive: true});
  new ResizeObserver(cue).observe(place);
}
// The gallery shows what its three choices leave.
for (const gallery of document.querySelectorAll(".gallery")) {
  const choices = [...gallery.querySelectorAll("select")];
  gallery.addEventListener("change", () => {
    for (const card of gallery.querySelectorAll("figure")) {
      card.hidden = choices.some((c) => c.value && c.value !== card.dataset[c.dataset.filter]);
    }
  });
}
// Nothing can be clicked in print: open what is folded.
window.addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("details")) folded.open = true;
});
