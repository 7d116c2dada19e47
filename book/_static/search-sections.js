/* A word that the search finds in a page's text leads to the section that holds it, not to the top. */
(function () {
  "use strict";

  const OWN = ":scope > :not(section)"; // a section's words without those of the sections in it

  /* The first section that has the most of the words; the whole page is none. */
  function sectionWith(page, words) {
    let best = null;
    let most = 0;
    for (const section of page.querySelectorAll("article section section[id]")) {
      const text = [...section.querySelectorAll(OWN)].map((e) => e.textContent).join(" ").toLowerCase();
      const count = [...words].filter((word) => text.includes(word)).length;
      if (count > most) [best, most] = [section, count];
    }
    return best;
  }

  const summarise = Search.makeSearchSummary;
  Search.makeSearchSummary = (html, words, anchor) => {
    if (anchor) return summarise(html, words, anchor);
    const section = sectionWith(new DOMParser().parseFromString(html, "text/html"), words);
    if (!section) return summarise(html, words, anchor);
    const summary = summarise(html, words, `#${section.id}`) ?? document.createElement("p");
    queueMicrotask(() => {
      const link = summary.parentElement?.querySelector("a");
      if (!link || link.href.includes("#")) return;
      link.href = `${link.href}#${section.id}`;
      const heading = section.querySelector(":scope > :is(h2, h3, h4, h5)")?.cloneNode(true);
      heading?.querySelector(".headerlink")?.remove();
      if (heading) link.append(` › ${heading.textContent.trim()}`);
    });
    return summary;
  };
})();
