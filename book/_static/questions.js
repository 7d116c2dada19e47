/* Prediction boxes and quizzes: the reader chooses, then the explanation is there to read.
   A classic script, so that it works from file://; what was chosen is remembered where it can be. */
(function () {
  "use strict";

  const LETTERS = "abcd";

  const memory = {
    key: (name) => `attncourse:question:${DOCUMENTATION_OPTIONS.pagename}:${name}`,
    read(name) {
      try {
        return localStorage.getItem(this.key(name));
      } catch {
        return null; // storage is forbidden here: the page works, and forgets
      }
    },
    write(name, choice) {
      try {
        localStorage.setItem(this.key(name), choice);
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

  /* the list of options as a group of radio buttons, named by the question */
  function choices(box) {
    const list = box.querySelector(":scope > .question-options");
    const asked = box.querySelector(":scope > .question-asked");
    asked.id = `${box.id}-asked`;
    const group = make("div", { className: "question-choices" });
    group.setAttribute("role", "radiogroup");
    group.setAttribute("aria-labelledby", asked.id);
    [...list.children].forEach((item, number) => {
      const input = make("input", { type: "radio", name: box.id, value: String(number) });
      const letter = make("span", { className: "question-letter" }, `${LETTERS[number]}`);
      const text = make("span", {}, ...item.childNodes);
      group.append(make("label", { className: "question-option" }, input, letter, text));
    });
    list.remove();
    return [asked, group];
  }

  function verdict(number, right, away) {
    if (away) return `You say ${LETTERS[number]}. Read on: the answer comes below.`;
    if (number === right) return `You said ${LETTERS[number]}, and so it is.`;
    return `You said ${LETTERS[number]}; it is ${LETTERS[right]}.`;
  }

  function ask(box) {
    const name = box.dataset.question;
    const answer = [...document.querySelectorAll("details[data-answers]")]
      .find((details) => details.dataset.answers === name);
    const right = Number(answer.dataset.right);
    const away = !box.contains(answer);
    const [asked, group] = choices(box);
    const inputs = [...group.querySelectorAll("input")];
    const button = make("button", { type: "submit", className: "question-submit" }, "This is my guess");
    const said = make("p", { className: "question-said", tabIndex: -1 });
    said.setAttribute("aria-live", "polite");
    const form = make("form", {}, asked, group, button, said);
    box.prepend(form);
    const wait = make("p", { className: "question-wait" }, "The answer opens here once you have guessed above.");
    answer.hidden = true;
    if (away) answer.before(wait);

    function settle(number) {
      inputs.forEach((input, i) => {
        input.checked = i === number;
        input.disabled = true;
        const option = input.closest("label");
        option.classList.toggle("question-chosen", i === number);
        option.classList.toggle("question-right", !away && i === right);
      });
      box.classList.add("question-settled");
      button.hidden = true;
      wait.remove();
      answer.hidden = false;
      said.textContent = verdict(number, right, away);
      if (away) answer.querySelector("summary").textContent = `Answer. ${verdict(number, right, false)}`;
    }

    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const number = inputs.findIndex((input) => input.checked);
      if (number < 0) {
        said.textContent = "Choose one first; a wrong guess costs nothing.";
        inputs[0].focus();
        return;
      }
      memory.write(name, number);
      settle(number);
      answer.open = !away;
      said.focus({ preventScroll: true }); // the button that had the focus is gone
    });
    const before = Number(memory.read(name) ?? NaN);
    if (inputs[before]) settle(before);
  }

  document.querySelectorAll("[data-question]").forEach((box) => {
    try {
      ask(box);
    } catch (error) {
      console.error(error); // the list and the folded answer are still there
    }
  });
})();
