/* The maps of all heads of two models: model, sentence, layer, head; a row's numbers beside them.
   The weights are in data/maps.js (attncourse/course/map_data.py), which is loaded when the figure
   comes near; until then, and where it cannot be had, the static form stands. */
(function () {
  "use strict";
  const { figure, make, slider } = window.attncourse;
  const DATA = document.currentScript.src.replace("map-browser.js", "data/maps.js");
  const FAINT = 0.05; // weights below are no lines
  const LINE = 26; // pixels between two words of the linked view

  /* Weights of one head, row by row; above the diagonal of a causal model there is nothing: zero. */
  function weights(model, text, layer, head) {
    const n = text.words.length;
    const size = model.causal ? (n * (n + 1)) / 2 : n * n;
    let place = (layer * model.heads + head) * size;
    return text.words.map((_, i) => text.words.map((_, j) =>
      (model.causal && j > i ? 0 : window.attncourse.maps.alphabet.indexOf(text.weights[place++]) / 100)));
  }

  window.attncourse.browser = {
    weights: (model, text, layer, head) => {
      const found = window.attncourse.maps.models.find(({ name }) => name === model);
      return weights(found, found.texts[text], layer, head);
    },
  };

  function choice(label, options, chosen, change) {
    const select = make("select", {}, ...options.map((text, i) => make("option", { value: i, selected: i === chosen }, text)));
    select.addEventListener("change", change);
    return { select, row: make("label", { className: "interactive-choice" }, make("span", {}, label), select) };
  }

  function draw(box, data) {
    const { models } = window.attncourse.maps;
    const first = models.findIndex(({ name }) => name === (data.model ?? models[0].name));
    if (first < 0) throw new Error(`the models are ${models.map(({ name }) => name).join(", ")}: got ${data.model}`);
    let linked = data.view === "links";
    let row = null; // the query whose numbers are shown

    const model = choice("model", models.map(({ name, causal }) => `${name} (${causal ? "causal" : "bidirectional"})`), first, () => offer());
    const sentence = choice("sentence", [], 0, () => draws(false));
    const range = { min: 0, step: 1, show: String, change: () => draws(true) };
    const layer = slider("layer", { ...range, max: models[first].layers - 1, value: Number(data.layer ?? 0) });
    const head = slider("head", { ...range, max: models[first].heads - 1, value: Number(data.head ?? 0) });
    const views = ["matrix", "lines"].map((name, i) => {
      const button = make("button", { type: "button" }, name);
      button.addEventListener("click", () => {
        linked = Boolean(i);
        draws(true);
      });
      return button;
    });
    const holder = make("div", { className: "interactive-scroll" });
    const beside = make("div", { className: "interactive-row" });
    const said = make("p", { className: "interactive-said", attributes: { "aria-live": "polite" } });
    const now = () => models[Number(model.select.value)];
    const text = () => now().texts[Number(sentence.select.value)];

    /* The sentences and the sizes of the model that was chosen. */
    function offer(chosen = 0) {
      sentence.select.replaceChildren(...now().texts.map((one, i) => make("option", { value: i, selected: i === chosen }, one.text)));
      for (const [control, count] of [[layer, now().layers], [head, now().heads]]) {
        control.input.max = count - 1;
        control.input.dispatchEvent(new Event("input"));
      }
      draws(false);
    }

    function draws(keep) {
      const { words } = text();
      const map = weights(now(), text(), Number(layer.input.value), Number(head.input.value));
      if (!keep || row === null || row >= words.length) row = Math.max(0, words.indexOf(data.row ?? "it"));
      views.forEach((button, i) => button.setAttribute("aria-pressed", String(Boolean(i) === linked)));
      const focused = holder.contains(document.activeElement);
      const names = words.map((word, i) => name(word, i, words.length));
      holder.replaceChildren(linked ? lines(map, words, names) : matrix(map, words, names));
      choose(row, map, words, names, focused);
    }

    function name(word, i, n) {
      const button = make("button", { type: "button", className: "interactive-word" }, word);
      const show = () => button.dispatchEvent(new CustomEvent("row", { bubbles: true, detail: i }));
      for (const event of ["click", "focus", "pointerenter"]) button.addEventListener(event, show);
      button.addEventListener("keydown", (event) => {
        const to = { ArrowUp: i - 1, ArrowDown: i + 1, Home: 0, End: n - 1 }[event.key];
        if (to === undefined || to < 0 || to >= n) return;
        event.preventDefault();
        holder.querySelectorAll(".interactive-word")[to].focus();
      });
      return button;
    }

    function choose(i, map, words, names, focus) {
      row = i;
      names.forEach((button, at) => {
        button.tabIndex = at === i ? 0 : -1;
        button.setAttribute("aria-pressed", String(at === i));
      });
      if (focus) names[i].focus();
      holder.querySelectorAll("[data-row]").forEach((part) => part.classList.toggle("interactive-chosen", Number(part.dataset.row) === i));
      const bars = words.map((word, j) => {
        const bar = make("span", { className: "interactive-bar" });
        bar.style.inlineSize = `${100 * map[i][j]}%`;
        return make("tr", {}, make("th", { scope: "row" }, word), make("td", { className: "interactive-track" }, bar),
          make("td", { className: "interactive-value" }, map[i][j].toFixed(2)));
      });
      beside.replaceChildren(make("table", { className: "interactive-bars" },
        make("caption", {}, `what “${words[i]}” attends to`), make("tbody", {}, ...bars)));
      const order = map[i].map((weight, j) => [weight, j]).sort(([a, i], [b, j]) => b - a || i - j).slice(0, 3);
      said.textContent = `${now().name}, layer ${layer.input.value}, head ${head.input.value}: “${words[i]}” attends to `
        + order.map(([weight, j]) => `${words[j]} ${weight.toFixed(2)}`).join(", ") + ".";
      holder.onrow = (to) => choose(to, map, words, names, false);
    }
    holder.addEventListener("row", (event) => event.detail !== row && holder.onrow(event.detail));

    function matrix(map, words, names) {
      const cell = (weight, j) => {
        const td = make("td", { title: `${words[j]} ${weight.toFixed(2)}` });
        td.style.setProperty("--weight", weight);
        return td;
      };
      const head = make("tr", {}, make("td", {}), ...words.map((word) => make("th", { scope: "col", className: "interactive-long" }, word)));
      const body = map.map((line, i) => {
        const tr = make("tr", {}, make("th", { scope: "row" }, names[i]), ...line.map(cell));
        tr.dataset.row = i;
        tr.addEventListener("pointerenter", () => holder.onrow(i));
        return tr;
      });
      const table = make("table", { className: "interactive-map" }, make("thead", {}, head), make("tbody", {}, ...body));
      table.style.setProperty("--columns", words.length);
      return table;
    }

    function lines(map, words, names) {
      const svg = (tag, attributes) => {
        const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
        for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
        return element;
      };
      const height = words.length * LINE;
      const drawing = svg("svg", { viewBox: `0 0 100 ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" });
      map.forEach((line, i) => line.forEach((weight, j) => {
        if (weight < FAINT) return;
        const path = svg("line", { x1: 0, x2: 100, y1: (i + 0.5) * LINE, y2: (j + 0.5) * LINE, "stroke-width": 0.5 + 3 * weight, "stroke-opacity": weight });
        path.dataset.row = i;
        drawing.append(path);
      }));
      const column = (side, parts) => make("div", { className: `interactive-column ${side}` }, ...parts);
      const keys = words.map((word) => make("span", {}, word));
      const all = make("div", { className: "interactive-links" }, column("interactive-queries", names), drawing, column("interactive-keys", keys));
      all.style.setProperty("--height", `${height}px`);
      return all;
    }

    offer(Number(data.sentence ?? 0));
    const shown = make("div", { className: "interactive-views", attributes: { role: "group", "aria-label": "view" } }, ...views);
    box.append(make("div", { className: "interactive-controls" }, model.row, sentence.row, layer.row, head.row, shown),
      make("div", { className: "interactive-pair" }, holder, beside), said);
  }

  /* Once, when the first such figure comes near. */
  function load() {
    const script = make("script", { src: DATA });
    script.addEventListener("load", () => figure("map-browser", draw));
    document.head.append(script);
  }
  const watch = new IntersectionObserver((seen) => {
    if (!seen.some(({ isIntersecting }) => isIntersecting)) return;
    watch.disconnect();
    load();
  }, { rootMargin: "600px" });
  document.querySelectorAll('figure[data-interactive="map-browser"]').forEach((one) => watch.observe(one));
})();
