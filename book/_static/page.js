/* What every page needs of a script: print with all answers open, and a keyboard that gets everywhere. */
(function () {
  "use strict";

  /* printed, a page is light, nothing is folded and every picture is there; afterwards all is as it was */
  const root = document.documentElement;
  const PAPER = 640; // pixels: what A4 and Letter leave between usual margins
  let opened = [];
  let theme;
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const details of opened) details.open = true;
    for (const image of document.querySelectorAll("img[loading=lazy]")) image.loading = "eager";
    theme = root.dataset.theme;
    root.dataset.theme = "light";
    for (const formula of document.querySelectorAll("div.math > math")) {
      const share = PAPER / formula.getBoundingClientRect().width;
      if (share < 1) formula.style.zoom = share;
    }
  });
  window.addEventListener("afterprint", () => {
    for (const details of opened) details.open = false;
    for (const formula of document.querySelectorAll("div.math > math")) formula.style.zoom = "";
    root.dataset.theme = theme;
  });

  /* the theme takes the focus from a button that was pressed, for the sake of its tooltip; who pressed
     it by keyboard gets it back, unless a dialog has it */
  for (const button of document.querySelectorAll(".theme-switch-button, .sidebar-toggle")) {
    button.addEventListener("click", (event) => {
      if (event.detail === 0 && !document.querySelector("dialog[open]")) button.focus();
    });
  }

  /* what is copied has formulas as TeX, which can be pasted into a notebook */
  document.addEventListener("copy", (event) => {
    const selection = document.getSelection();
    if (!selection.rangeCount || selection.isCollapsed) return;
    const copied = selection.getRangeAt(0).cloneContents();
    const formulas = copied.querySelectorAll(".math[data-tex]");
    if (!formulas.length) return;
    for (const formula of formulas) {
      const sign = formula.localName === "div" ? "$$" : "$";
      formula.textContent = sign + formula.dataset.tex + sign;
    }
    const held = document.createElement("div"); // words are laid out as long as they are on the page
    held.append(copied);
    held.style.cssText = "position: absolute; left: -100vw";
    document.body.append(held);
    event.clipboardData.setData("text/plain", held.innerText);
    event.clipboardData.setData("text/html", held.innerHTML);
    held.remove();
    event.preventDefault();
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
  window.addEventListener("load", later);
})();
