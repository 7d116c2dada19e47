/* A row of scores, its weights as bars, and two sliders: weights = softmax(scale * scores / temperature). */
(function () {
  "use strict";
  const { figure, make, softmax, slider, numbers } = window.attncourse;

  function weights(scores, temperature, scale) {
    return softmax(scores.map((score) => (score * scale) / temperature));
  }

  /* How many words share the weight: exp of the entropy, 1 for one word, n for n equal ones. */
  function spread(row) {
    return Math.exp(-row.reduce((sum, w) => sum + (w > 0 ? w * Math.log(w) : 0), 0));
  }

  window.attncourse.temperature = { weights, spread };

  figure("temperature-and-scale", (box, { words, scores, start }) => {
    const labels = words.trim().split(/\s+/);
    const given = numbers(scores);
    if (labels.length !== given.length || given.some(Number.isNaN)) {
      throw new Error(`as many scores as words: ${given.length} and ${labels.length}`);
    }
    const [temperature, scale] = start ? numbers(start) : [1, 1];
    const change = () => draw();
    /* both go by powers of two, so that the middle of a slider is 1 */
    const power = (value) => Number((2 ** value).toPrecision(3));
    const show = (value) => String(power(value));
    const range = { min: -5, max: 5, step: 0.25, show, change };
    const t = slider("temperature", { ...range, value: Math.log2(temperature) });
    const s = slider("scale", { ...range, value: Math.log2(scale) });
    const bars = labels.map((word, i) => {
      const bar = make("span", { className: "interactive-bar" });
      const value = make("span", { className: "interactive-value" });
      const cells = [
        make("th", { scope: "row" }, word),
        make("td", { className: "interactive-score" }, String(given[i]).replace("-", "\u2212")),
        make("td", { className: "interactive-track" }, make("div", {}, bar)),
        make("td", {}, value),
      ];
      return { bar, value, row: make("tr", {}, ...cells) };
    });
    const heading = (text, colSpan) => make("th", { scope: "col", colSpan }, text);
    const head = make("tr", {}, heading("word", 1), heading("score", 1), heading("weight", 2));
    const table = make("table", { className: "interactive-bars" },
      make("thead", {}, head), make("tbody", {}, ...bars.map(({ row }) => row)));
    const said = make("p", { className: "interactive-said", attributes: { "aria-live": "polite" } });
    const reset = make("button", { type: "button" }, "back to 1 and 1");
    reset.addEventListener("click", () => {
      for (const { input } of [t, s]) {
        input.value = 0;
        input.dispatchEvent(new Event("input"));
      }
    });

    function draw() {
      const now = weights(given, power(Number(t.input.value)), power(Number(s.input.value)));
      now.forEach((weight, i) => {
        bars[i].bar.style.inlineSize = `${100 * weight}%`;
        bars[i].value.textContent = weight.toFixed(2);
      });
      const largest = now.indexOf(Math.max(...now));
      said.textContent = `“${labels[largest]}” gets ${now[largest].toFixed(2)}; `
        + `the weight lies on ${spread(now).toFixed(1)} of ${labels.length} words.`;
    }
    draw();
    box.append(make("div", { className: "interactive-controls" }, t.row, s.row, reset), table, said);
  });
})();
