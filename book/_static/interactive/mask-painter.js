/* A mask that the reader paints: n rows of queries, m columns of keys, True may attend. */
(function () {
  "use strict";
  const { figure, make, softmax, numbers, rows } = window.attncourse;

  const PATTERNS = {
    all: () => true,
    none: () => false,
    /* aligned at the bottom right, as the library's causal_mask: the last query sees every key */
    causal: (i, j, n, m) => j - (m - n) <= i,
    "no last key": (i, j, n, m) => j < m - 1,
    "window of 1": (i, j, n, m) => Math.abs(i + (m - n) - j) <= 1,
  };

  function pattern(name, n, m) {
    return Array.from({ length: n }, (_, i) => Array.from({ length: m }, (_, j) => PATTERNS[name](i, j, n, m)));
  }

  const weights = (scores, mask) => scores.map((row, i) => softmax(row, mask[i]));
  const empty = (mask) => mask.flatMap((row, i) => (row.some(Boolean) ? [] : [i]));

  window.attncourse.mask = { pattern, weights, empty };

  /* Without scores of its own a figure has these: plain, all different, the same on every machine. */
  const plain = (n, m) => Array.from({ length: n }, (_, i) =>
    Array.from({ length: m }, (_, j) => ((3 * i + 5 * j + i * j) % 7) / 2 - 1.5));

  figure("mask-painter", (box, data) => {
    const scores = data.scores ? rows(data.scores) : plain(...numbers(data.size ?? "4 6"));
    const n = scores.length;
    const m = scores[0].length;
    if (scores.some((row) => row.length !== m || row.some(Number.isNaN))) {
      throw new Error("each row of scores has as many numbers");
    }
    const names = (text, count, letter) => text?.trim().split(/\s+/) ?? Array.from({ length: count }, (_, i) => `${letter}${i}`);
    const queries = names(data.words, n, "q");
    const keys = names(data.keys ?? (n === m ? data.words : undefined), m, "k");
    let mask = pattern(data.start ?? "causal", n, m);
    let paint = null; // what the pressed pointer writes

    const cells = mask.map((row, i) => row.map((_, j) => {
      const cell = make("button", { type: "button", tabIndex: i || j ? -1 : 0 });
      cell.addEventListener("pointerdown", (event) => {
        if (event.button) return;
        cell.releasePointerCapture?.(event.pointerId);
        paint = !mask[i][j];
        set(i, j, paint);
      });
      cell.addEventListener("pointerenter", () => paint !== null && set(i, j, paint));
      /* a click that no pointer made: the keyboard, or a screen reader */
      cell.addEventListener("click", (event) => event.detail === 0 && set(i, j, !mask[i][j]));
      cell.addEventListener("keydown", (event) => move(event, i, j));
      return cell;
    }));
    for (const end of ["pointerup", "pointercancel"]) {
      window.addEventListener(end, () => { paint = null; });
    }

    function set(i, j, value) {
      mask[i][j] = value;
      draw();
    }

    function move(event, i, j) {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const to = event.key === "Home" ? [i, 0] : event.key === "End" ? [i, m - 1] : step && [i + step[0], j + step[1]];
      const next = to && cells[to[0]]?.[to[1]];
      if (!next) return;
      event.preventDefault();
      cells.flat().forEach((cell) => { cell.tabIndex = cell === next ? 0 : -1; });
      next.focus();
    }

    const corner = make("td", {});
    const long = keys.some((word) => word.length > 5) ? "interactive-long" : "";
    const head = make("tr", {}, corner, ...keys.map((word) => make("th", { scope: "col", className: long }, word)));
    const body = cells.map((row, i) => {
      const tr = make("tr", {}, make("th", { scope: "row" }, queries[i]), ...row.map((cell) => make("td", {}, cell)));
      return tr;
    });
    const table = make("table", { className: "interactive-grid" }, make("thead", {}, head), make("tbody", {}, ...body));
    table.style.setProperty("--columns", m);
    const buttons = Object.keys(PATTERNS).map((name) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        mask = pattern(name, n, m);
        draw();
      });
      return button;
    });
    const said = make("p", { className: "interactive-said", attributes: { "aria-live": "polite" } });

    function draw() {
      const now = weights(scores, mask);
      cells.forEach((row, i) => row.forEach((cell, j) => {
        cell.style.setProperty("--weight", now[i][j].toFixed(3));
        cell.setAttribute("aria-pressed", String(mask[i][j]));
        const words = mask[i][j] ? `may attend, weight ${now[i][j].toFixed(2)}` : "hidden";
        cell.setAttribute("aria-label", `${queries[i]} to ${keys[j]}: ${words}`);
        cell.textContent = mask[i][j] ? now[i][j].toFixed(2) : "";
      }));
      const none = empty(mask);
      body.forEach((tr, i) => tr.classList.toggle("interactive-empty", none.includes(i)));
      const open = mask.flat().filter(Boolean).length;
      said.textContent = `${open} of ${n * m} pairs may attend. `
        + (none.length ? `Empty: ${none.map((i) => queries[i]).join(", ")}; weights and output are zero there.` : "No row is empty: each sums to 1.");
    }
    draw();
    const controls = make("div", { className: "interactive-controls", attributes: { role: "group", "aria-label": "patterns" } }, ...buttons);
    box.append(controls, make("div", { className: "interactive-scroll" }, table), said);
  });
})();
