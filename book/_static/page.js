/* What every page needs of a script: print with all answers open, and boxes that scroll by keyboard. */
(function () {
  "use strict";

  /* printed, nothing is folded; afterwards all is as it was */
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
  });

  /* a box that scrolls sideways is a stop of the tab key as long as it does */
  const SCROLLING = "article :is(.math, pre, table.table, .interactive-scroll)";
  function stops() {
    for (const box of document.querySelectorAll(SCROLLING)) {
      const scrolls = box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).overflowX !== "visible";
      if (scrolls) box.tabIndex = 0;
      else if (box.tabIndex === 0 || box.tabIndex === -1) box.removeAttribute("tabindex");
    }
  }
  const later = () => requestAnimationFrame(stops);
  window.addEventListener("resize", later);
  window.addEventListener("load", () => {
    later();
    const math = window.MathJax?.startup?.promise;
    if (math) math.then(later);
  });
})();
