/* The bank of interview questions: filters, and a quiz over what they leave.
   A classic script, so that it works from file://. The questions are those of the page; what was
   answered is remembered where it can be, in Leitner's boxes, as `attncourse quiz` does. */
(function () {
  "use strict";

  const LETTERS = "abcd";
  const WAITS = [0, 1, 3, 7, 21]; // days in each box
  const WITHIN = 0.05; // of the right number
  const ENOUGH = 2; // points of an open question that count as right
  const AT_ONCE = 10; // questions of a quiz
  const KEY = "attncourse:interview";

  const bank = document.querySelector("[data-interview=bank]");
  const form = bank.querySelector(".interview-controls");
  const boxes = [...bank.querySelectorAll(".interview-question")];
  const today = () => Math.floor(Date.now() / 86400000);

  const memory = {
    read() {
      try {
        return JSON.parse(localStorage.getItem(KEY)) ?? {};
      } catch {
        return {}; // storage is forbidden here: the page works, and forgets
      }
    },
    write(name, right) {
      const cards = memory.read();
      const before = Math.min(cards[name]?.box || 1, WAITS.length);
      cards[name] = { box: right ? Math.min(before + 1, WAITS.length) : 1, day: today() };
      try {
        localStorage.setItem(KEY, JSON.stringify(cards));
      } catch {
        /* as above */
      }
    },
  };

  function make(tag, properties, ...children) {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children);
    return element;
  }

  function button(text, act) {
    const made = make("button", { type: "button" }, text);
    made.addEventListener("click", act);
    return made;
  }

  /* filters */

  const asked = new URLSearchParams(location.search); // interview-questions.html?part=concepts

  function offer(name, options) {
    const select = make("select", { name });
    for (const [value, words] of [["", "all"], ...options]) select.append(new Option(words, value));
    if (options.some(([value]) => value === asked.get(name))) select.value = asked.get(name);
    form.append(make("label", {}, `${name[0].toUpperCase()}${name.slice(1)}`, select));
    return select;
  }

  function titles(selector, key, heading) {
    return [...bank.querySelectorAll(selector)].map((held) => [held.dataset[key], held.querySelector(heading).textContent]);
  }

  const part = offer("part", titles(".interview-part", "part", "h3"));
  const chapter = offer("chapter", titles(".interview-chapter", "chapter", "h4"));
  const level = offer("level", [["1", "1, easy"], ["2", "2"], ["3", "3, hard"]]);
  const kind = offer("kind", [["open", "open"], ["choice", "choice"], ["number", "number"]]);
  const said = make("output");
  const answers = make("input", { type: "checkbox", checked: true });
  const tick = make("label", { className: "interview-tick" }, answers, "print the answers, too");
  form.append(button(`Quiz me: ${AT_ONCE} of these`, begin), tick, said);

  function shown() {
    return boxes.filter((box) => !box.hidden);
  }

  function choose() {
    for (const box of boxes) {
      const held = box.closest(".interview-chapter");
      const fits = (select, value) => !select.value || select.value === value;
      box.hidden = !(
        fits(part, held.closest(".interview-part").dataset.part) &&
        fits(chapter, held.dataset.chapter) &&
        fits(level, box.dataset.level) &&
        fits(kind, box.dataset.interview)
      );
    }
    for (const held of bank.querySelectorAll(".interview-chapter, .interview-part")) {
      held.hidden = !held.querySelector(".interview-question:not([hidden])");
    }
    said.textContent = `${shown().length} of ${boxes.length} questions`;
  }
  form.addEventListener("change", choose);
  form.addEventListener("submit", (event) => event.preventDefault());
  choose();

  /* who comes by a link to a question sees it, whatever was chosen before */
  function reach() {
    const box = boxes.find(({ id }) => id && `#${id}` === location.hash);
    if (!box) return;
    for (const select of [part, chapter, level, kind]) select.value = "";
    choose();
    box.scrollIntoView();
  }
  window.addEventListener("hashchange", reach);
  if (location.hash) reach();

  /* page.js opens all answers for paper; who wants to be asked prints without them */
  window.addEventListener("beforeprint", () => {
    document.body.classList.toggle("interview-without-answers", !answers.checked);
  });

  /* the quiz */

  const panel = make("section", { className: "interview-quiz", hidden: true });
  panel.setAttribute("aria-label", "Quiz");
  form.after(panel);

  function shuffled(list) {
    const mixed = [...list];
    for (let i = mixed.length - 1; i > 0; i--) {
      const j = Math.floor(Math.random() * (i + 1));
      [mixed[i], mixed[j]] = [mixed[j], mixed[i]];
    }
    return mixed;
  }

  /* what is due, lowest box first, then new ones, then those that have time */
  function drawn() {
    const cards = memory.read();
    const due = (box) => cards[box.dataset.name].day + WAITS[cards[box.dataset.name].box - 1];
    const mixed = shuffled(shown());
    const known = mixed.filter((box) => cards[box.dataset.name]);
    const now = known.filter((box) => due(box) <= today());
    const later = known.filter((box) => due(box) > today());
    now.sort((a, b) => cards[a.dataset.name].box - cards[b.dataset.name].box);
    later.sort((a, b) => due(a) - due(b));
    return [...now, ...mixed.filter((box) => !cards[box.dataset.name]), ...later].slice(0, AT_ONCE);
  }

  function begin() {
    const turn = { queue: drawn(), at: 0, right: 0, missed: [] };
    panel.hidden = false;
    next(turn);
  }

  function end(turn) {
    const missed = turn.missed.map((box) => {
      const copy = box.querySelector(".interview-asked").cloneNode(true);
      return make("li", {}, ...copy.childNodes);
    });
    const words = turn.queue.length
      ? `${turn.right} of ${turn.at} right.${missed.length ? " What you missed comes first next time:" : ""}`
      : "No question is left by these filters.";
    const again = turn.queue.length ? [button("Again", begin)] : [];
    const told = make("p", { tabIndex: -1 }, words);
    panel.replaceChildren(told, make("ul", {}, ...missed), ...again, button("Close", close));
    told.focus();
  }

  function close() {
    panel.hidden = true;
    form.querySelector("button").focus();
  }

  function next(turn) {
    if (turn.at >= turn.queue.length) return end(turn);
    const box = turn.queue[turn.at];
    const where = box.closest(".interview-chapter").querySelector("h4").textContent;
    const head = make("p", { tabIndex: -1 }, `${turn.at + 1} of ${turn.queue.length} · ${where} · level ${box.dataset.level}`);
    const question = box.querySelector(".interview-asked").cloneNode(true);
    const told = make("p", { className: "question-said" });
    told.setAttribute("aria-live", "polite");
    const room = make("div");
    panel.replaceChildren(head, question, room, told);
    ASK[box.dataset.interview](box, room, (right, words) => settle(turn, box, told, right, words));
    head.focus({ preventScroll: true });
    panel.scrollIntoView({ block: "nearest" });
    return undefined;
  }

  function settle(turn, box, told, right, words) {
    memory.write(box.dataset.name, right);
    turn.at += 1;
    turn.right += right;
    if (!right) turn.missed.push(box);
    told.textContent = words;
    if (!panel.querySelector(".interview-answer")) panel.append(answer(box));
    const onwards = button(turn.at < turn.queue.length ? "Next" : "Result", () => next(turn));
    const bar = make("div", {}, onwards);
    if (turn.at < turn.queue.length) bar.append(button("End here", () => end(turn)));
    told.after(bar);
    onwards.focus();
  }

  function answer(box) {
    const copy = box.querySelector(".interview-answer").cloneNode(true);
    copy.open = true;
    return copy;
  }

  const ASK = {
    choice(box, room, done) {
      const right = Number(box.dataset.right);
      const group = make("form", { className: "question-choices" });
      const inputs = [...box.querySelectorAll(".interview-options > li")].map((item, number) => {
        const input = make("input", { type: "radio", name: "interview-choice", value: String(number) });
        const letter = make("span", { className: "question-letter" }, LETTERS[number]);
        const text = make("span", {}, ...item.cloneNode(true).childNodes);
        group.append(make("label", { className: "question-option" }, input, letter, text));
        return input;
      });
      const submit = make("button", { type: "submit" }, "This is my answer");
      group.append(submit);
      group.addEventListener("submit", (event) => {
        event.preventDefault();
        const number = inputs.findIndex((input) => input.checked);
        if (number < 0) return inputs[0].focus();
        for (const input of inputs) input.disabled = true;
        submit.remove();
        return done(number === right, number === right ? "Right." : `It is ${LETTERS[right]}.`);
      });
      room.append(group);
    },

    number(box, room, done) {
      const value = Number(box.dataset.value);
      const input = make("input", { type: "text", inputMode: "decimal", autocomplete: "off" });
      const unit = box.dataset.unit ? ` in ${box.dataset.unit}` : "";
      const submit = make("button", { type: "submit" }, "This is my answer");
      const hint = make("p", { className: "question-said" });
      const group = make("form", {}, make("label", {}, `A number${unit}: `, input), " ", submit, hint);
      group.addEventListener("submit", (event) => {
        event.preventDefault();
        const given = read(input.value);
        if (given === null) {
          hint.textContent = "Type a number, as in 1.25, 8,192 or 8e22.";
          return input.focus();
        }
        hint.remove();
        input.disabled = true;
        submit.remove();
        const right = Math.abs(given - value) <= WITHIN * Math.abs(value);
        return done(right, right ? "Right." : "Not this time.");
      });
      room.append(group);
    },

    open(box, room, done) {
      const show = button("I have answered aloud: show the answer", () => {
        show.remove();
        panel.append(answer(box));
        const group = make("div", {}, "Your points: ");
        group.setAttribute("role", "group");
        for (const points of [0, 1, 2, 3]) {
          group.append(
            button(String(points), () => {
              group.remove();
              done(points >= ENOUGH, points >= ENOUGH ? `${points} points.` : `${points} points: it comes again.`);
            }),
          );
        }
        room.append(group);
        group.querySelector("button").focus();
      });
      room.append(show);
    },
  };

  /* the number that somebody typed, with or without a unit; the same as `numerals.read` */
  function read(text) {
    const lowered = text.replace(/[⁰¹²³⁴⁵⁶⁷⁸⁹⁻−]/g, (sign) => "0123456789--"["⁰¹²³⁴⁵⁶⁷⁸⁹⁻−".indexOf(sign)]);
    const plain = lowered
      .replace(/\s*[×x*·]\s*10\s*(?:\^|\*\*)?\s*\{?([-+]?\d+)\}?/g, "e$1")
      .replace(/(\d)[, _](?=\d{3}(?!\d))/g, "$1")
      .replace(/(\d),(?=\d)/g, "$1.")
      .replace(/\s*\/\s*/g, "/");
    const found = plain.match(/[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[-+]?\d+)?(?:\/\d+(?:\.\d*)?)?/i);
    if (!found) return null;
    const [above, below] = found[0].split("/");
    return below && Number(below) === 0 ? null : Number(above) / Number(below || 1);
  }
})();
