/* What interactive figures share. A figure's script calls figure(name, draw); draw gets an empty box
   and the options of the directive, and the static form stands in the page until it has drawn.
   Classic scripts, so that they work from file://; nothing is asked of any host. */
(function () {
  "use strict";

  function make(tag, properties, ...children) {
    const { attributes = {}, ...own } = properties ?? {};
    const element = Object.assign(document.createElement(tag), own);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.append(...children);
    return element;
  }

  /* The row rule of the library: exp over its sum, from the largest score, zeros where none may be seen. */
  function softmax(scores, mask) {
    const seen = scores.map((_, j) => !mask || Boolean(mask[j]));
    const largest = Math.max(...scores.filter((_, j) => seen[j]));
    const raised = scores.map((score, j) => (seen[j] ? Math.exp(score - largest) : 0));
    const sum = raised.reduce((a, b) => a + b, 0);
    return raised.map((value) => (sum > 0 ? value / sum : 0));
  }

  function slider(label, { min, max, step, value, show, change }) {
    const output = make("output", {}, show(value));
    const input = make("input", { type: "range", min, max, step, value });
    input.setAttribute("aria-valuetext", show(value));
    input.addEventListener("input", () => {
      output.textContent = show(Number(input.value));
      input.setAttribute("aria-valuetext", output.textContent);
      change();
    });
    return { input, row: make("label", { className: "interactive-slider" }, make("span", {}, label), input, output) };
  }

  /* Numbers of an option: "1 2; 3 4" are two rows. */
  const numbers = (text) => text.trim().split(/[\s,]+/).map(Number);
  const rows = (text) => text.split(";").map(numbers);

  function figure(name, draw) {
    for (const holder of document.querySelectorAll("figure[data-interactive]")) {
      if (holder.dataset.interactive !== name) continue;
      const still = holder.querySelector(".interactive-still");
      const box = make("div", { className: `interactive-box interactive-${name}` });
      try {
        draw(box, holder.dataset);
        still.before(box);
        holder.classList.add("interactive-drawn");
      } catch (error) {
        console.error(error); // the static form stays
      }
    }
  }

  window.attncourse = Object.assign(window.attncourse ?? {}, { figure, make, softmax, slider, numbers, rows });
})();
