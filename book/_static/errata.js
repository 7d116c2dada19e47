/* The errata's table: filters by article, chapter and verdict, and an order. */
(function () {
  "use strict";

  const form = document.querySelector(".errata-controls");
  const body = document.querySelector(".errata-claims tbody");
  const rows = [...body.rows];
  const asked = new URLSearchParams(location.search); // errata.html?chapter=masks
  const said = document.createElement("output");
  const natural = new Intl.Collator("en", { numeric: true });

  function offer(name, options) {
    const label = document.createElement("label");
    const select = document.createElement("select");
    select.name = name;
    for (const [value, words] of options) select.append(new Option(words, value));
    if (options.some(([value]) => value === asked.get(name))) select.value = asked.get(name);
    label.append(`${name[0].toUpperCase()}${name.slice(1)} `, select);
    form.append(label);
    return select;
  }

  const keys = ["article", "chapter", "verdict"];
  const filters = keys.map((key) => {
    const title = key === "chapter" ? "title" : key;
    const found = new Map(rows.map((row) => [row.dataset[key], row.dataset[title]]));
    return offer(key, [["", "all"], ...found]);
  });
  const order = offer("order", [["article", "by article"], ["chapter", "by chapter"], ["verdict", "by verdict"]]);
  form.append(said);

  const worst = ["wrong", "imprecise", "right"];
  const places = {
    article: () => 0,
    chapter: (row) => Number(row.dataset.place),
    verdict: (row) => worst.indexOf(row.dataset.verdict),
  };
  const place = (row) => places[order.value](row);

  function choose() {
    let count = 0;
    for (const row of rows) {
      row.hidden = filters.some(({ name, value }) => value && row.dataset[name] !== value);
      count += !row.hidden;
    }
    said.textContent = `${count} of ${rows.length} shown`;
    body.append(...[...rows].sort((a, b) => place(a) - place(b) || natural.compare(a.id, b.id)));
  }
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  choose();

  /* who comes by a link to a claim sees it, whatever was chosen before */
  function reach() {
    const row = rows.find(({ id }) => `#${id}` === location.hash);
    if (!row?.hidden) return;
    for (const filter of filters) filter.value = "";
    choose();
    row.scrollIntoView();
  }
  window.addEventListener("hashchange", reach);
  reach();
})();
