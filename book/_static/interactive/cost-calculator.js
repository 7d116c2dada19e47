/* What a stack of layers costs: work by parts, parameters, cache. The formulas are those of
   attncourse/measure/configurations.py. */
(function () {
  "use strict";
  const { figure, make, slider } = window.attncourse;

  const MODELS = {
    "SmolLM2-135M": { layers: 30, d: 576, h: 9, g: 3, d_head: 64, d_ff: 1536, matrices: 3, vocabulary: 49152 },
    "BERT-base": { layers: 12, d: 768, h: 12, g: 12, d_head: 64, d_ff: 3072, matrices: 2, vocabulary: 30522 },
    "GPT-3": { layers: 96, d: 12288, h: 96, g: 96, d_head: 128, d_ff: 49152, matrices: 2, vocabulary: 50257 },
    "Llama-2-7B": { layers: 32, d: 4096, h: 32, g: 32, d_head: 128, d_ff: 11008, matrices: 3, vocabulary: 32000 },
    "Llama-2-70B": { layers: 80, d: 8192, h: 64, g: 8, d_head: 128, d_ff: 28672, matrices: 3, vocabulary: 32000 },
    "Mistral-7B": { layers: 32, d: 4096, h: 32, g: 8, d_head: 128, d_ff: 14336, matrices: 3, vocabulary: 32000 },
  };
  const FIELDS = {
    layers: "layers", d: "width d", h: "query heads h", g: "key heads g",
    d_head: "width of a head", d_ff: "width of the network",
  };
  const PARTS = ["network", "projections", "pairs"];

  /* FLOPs of one layer for n tokens by part, 2 for a multiply-add. */
  function layer(c, n) {
    return {
      network: 2 * n * c.matrices * c.d * c.d_ff,
      projections: 2 * n * c.d * c.d_head * (2 * c.h + 2 * c.g),
      pairs: 4 * n * n * c.h * c.d_head,
    };
  }
  const sum = (work) => PARTS.reduce((total, part) => total + work[part], 0);
  const model = (c, n) => c.layers * sum(layer(c, n)) + 2 * n * c.d * c.vocabulary;
  const cache = (c, n, bytes) => 2 * c.layers * n * c.g * c.d_head * bytes;

  /* The least length at which pairs cost as much as those parts together. */
  function overtakes(c, ...parts) {
    const one = layer(c, 1);
    return Math.ceil(parts.reduce((total, part) => total + one[part], 0) / one.pairs);
  }

  /* Numbers of the matrices of all layers and of the table of words. */
  function parameters(c) {
    const one = layer(c, 1);
    return c.layers * (one.network + one.projections) / 2 + c.vocabulary * c.d;
  }

  window.attncourse.cost = { models: MODELS, layer, model, cache, overtakes, parameters };

  const whole = (x) => Math.round(x).toLocaleString("en-US");
  function short(x, units, step) {
    let at = 0;
    while (x >= step && at < units.length - 1) {
      x /= step;
      at += 1;
    }
    return `${Number(x.toPrecision(3))} ${units[at]}`.trim();
  }
  const flops = (x) => short(x, ["FLOPs", "thousand FLOPs", "million FLOPs", "billion FLOPs", "trillion FLOPs", "quadrillion FLOPs", "quintillion FLOPs"], 1000);
  const count = (x) => short(x, ["", "thousand", "million", "billion", "trillion"], 1000);
  const bytes = (x) => short(x, ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"], 1024);

  figure("cost-calculator", (box, data) => {
    const first = data.model ?? "SmolLM2-135M";
    if (!(first in MODELS)) throw new Error(`no model ${first}`);
    const select = make("select", {}, ...Object.keys(MODELS).map((name) => make("option", { value: name }, name)));
    select.value = first;
    const fields = Object.entries(FIELDS).map(([name, label]) => {
      const input = make("input", { type: "number", min: 1, step: 1, inputMode: "numeric", name });
      input.addEventListener("input", () => draw());
      return { name, input, row: make("label", { className: "interactive-field" }, make("span", {}, label), input) };
    });
    /* by half powers of two: 16 tokens to two million */
    const length = (value) => Math.round(2 ** value);
    const range = { min: 4, max: 21, step: 0.25, show: (value) => whole(length(value)), change: () => draw() };
    const n = slider("tokens", { ...range, value: Math.log2(Number(data.start ?? 512)) });

    const bars = PARTS.map((part) => {
      const bar = make("span", { className: `interactive-bar interactive-${part}` });
      const value = make("span", { className: "interactive-value" });
      const cells = [make("th", { scope: "row" }, part), make("td", { className: "interactive-track" }, make("div", {}, bar)), make("td", {}, value)];
      return { part, bar, value, row: make("tr", {}, ...cells) };
    });
    const heading = (text, colSpan) => make("th", { scope: "col", colSpan }, text);
    const table = make("table", { className: "interactive-bars" },
      make("thead", {}, make("tr", {}, heading("part of a layer", 1), heading("share of its work", 2))),
      make("tbody", {}, ...bars.map(({ row }) => row)));
    const said = make("p", { className: "interactive-said", attributes: { "aria-live": "polite" } });
    const totals = make("ul", { className: "interactive-totals" });

    function choose() {
      for (const { name, input } of fields) input.value = MODELS[select.value][name];
      draw();
    }

    function draw() {
      const c = { ...MODELS[select.value] };
      for (const { name, input } of fields) {
        c[name] = Number(input.value);
        const bad = !Number.isInteger(c[name]) || c[name] < 1;
        input.setAttribute("aria-invalid", String(bad));
        if (bad) {
          said.textContent = `${FIELDS[name]} must be a whole number, at least 1.`;
          return;
        }
      }
      const tokens = length(Number(n.input.value));
      const work = layer(c, tokens);
      for (const { part, bar, value } of bars) {
        const share = work[part] / sum(work);
        bar.style.inlineSize = `${100 * share}%`;
        value.textContent = `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
      }
      said.textContent = `At ${whole(tokens)} tokens pairs are ${(100 * work.pairs / sum(work)).toFixed(0)} % of a layer. `
        + `They reach one half at ${whole(overtakes(c, "projections", "network"))}, and the projections at ${whole(overtakes(c, "projections"))}.`;
      const lines = [
        `reading: ${flops(model(c, tokens))}, with the words at the end`,
        `parameters: ${count(parameters(c))} numbers`,
        `cache: ${bytes(cache(c, tokens, 2))} in half precision`,
      ];
      totals.replaceChildren(...lines.map((line) => make("li", {}, line)));
    }
    select.addEventListener("change", choose);
    const chooser = make("label", { className: "interactive-field" }, make("span", {}, "model"), select);
    const grid = make("div", { className: "interactive-fields" }, chooser, ...fields.map(({ row }) => row));
    const back = make("button", { type: "button" }, "back to the model's numbers");
    back.addEventListener("click", choose);
    box.append(grid, make("div", { className: "interactive-controls" }, n.row, back), table, said, totals);
    choose();
  });
})();
