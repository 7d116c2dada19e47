/* The errata's table: filters by article, chapter and verdict, and columns that sort. */
(function () {
  "use strict";

  const box = document.querySelector(".errata");
  const form = box.querySelector(".errata-controls");
  const table = box.querySelector(".errata-claims");
  const rows = [...table.tBodies[0].rows];
  const asked = new URLSearchParams(location.search);
  const said = document.createElement("output");

  const name = { article: (row) => row.dataset.article, chapter: (row) => row.dataset.title, verdict: (row) => row.dataset.verdict };
  const chosen = {};
  for (const key of ["article", "chapter", "verdict"]) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.name = key;
    select.append(new Option("all", ""));
    const found = new Map(rows.map((row) => [row.dataset[key], name[key](row)]));
    for (const [value, words] of found) select.append(new Option(words, value));
    if (found.has(asked.get(key))) select.value = asked.get(key);
    label.append(`${key[0].toUpperCase()}${key.slice(1)} `, select);
    form.append(label);
    chosen[key] = select;
  }
  form.append(said);

  function choose() {
    let count = 0;
    for (const row of rows) {
      row.hidden = Object.entries(chosen).some(([key, { value }]) => value && row.dataset[key] !== value);
      count += !row.hidden;
    }
    said.textContent = `${count} of ${rows.length} shown`;
  }
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  choose();

  /* who comes by a link to a claim sees it */
  function reach() {
    const row = rows.find((row) => `#${row.id}` === location.hash);
    if (!row?.hidden) return;
    form.reset();
    for (const select of Object.values(chosen)) select.value = "";
    choose();
    row.scrollIntoView();
  }
  window.addEventListener("hashchange", reach);
  reach();

  const headings = [...table.tHead.rows[0].cells];
  const words = (row, column) => row.cells[column].textContent.trim();
  const order = new Intl.Collator("en", { numeric: true });
  headings.forEach((heading, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener("click", () => {
      const down = heading.ariaSort === "ascending";
      for (const other of headings) other.removeAttribute("aria-sort");
      heading.ariaSort = down ? "descending" : "ascending";
      const sorted = rows.toSorted((a, b) => order.compare(words(a, column), words(b, column)));
      table.tBodies[0].append(...(down ? sorted.reverse() : sorted));
    });
  });
})();
