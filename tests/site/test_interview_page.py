"""The bank on a page in a browser: filters, the quiz by keyboard, paper, and without a script."""

from pathlib import Path

import pytest
import small_book
from selenium.webdriver import Keys

from attncourse.course import numerals
from reader import DESK, Reader

PAGE = """(here)=
# The bank

```{interview}
masks/which-line
```

```{interview}
:all:
```
"""
PAGES = {"plain.md": PAGE}
TYPED = ["1,048,576", "12.5 GiB", "8.4e22", "8.4 × 10²²", "2 * 10^3", "1/8", "0,25", "−3", "88 %"]
TYPED += ["many", "1/0", "131 072", ".5"]
SHOWN = """
return [...document.querySelectorAll(".interview-bank .interview-question")]
  .filter(box => box.checkVisibility()).map(box => box.dataset.name);
"""
CHOOSE = """
const select = document.querySelector(`.interview-controls [name=${arguments[0]}]`);
select.value = arguments[1];
select.dispatchEvent(new Event("change", { bubbles: true }));
"""
BEGIN = "document.querySelector('.interview-controls button').focus()"
TEXT = "return document.querySelector(arguments[0])?.textContent"


@pytest.fixture
def page(site: Reader) -> Reader:
    site.width(DESK)
    site.open("plain.html")
    site.driver.execute_script("localStorage.clear()")
    site.open("plain.html")
    return site


def text(page: Reader, where: str) -> str:
    return page.driver.execute_script(TEXT, where) or ""


def cards(page: Reader) -> dict[str, dict[str, int]]:
    script = "return JSON.parse(localStorage.getItem('attncourse:interview') ?? '{}')"
    return page.driver.execute_script(script)


def test_filters_leave_what_fits_and_count_it(page: Reader) -> None:
    assert len(page.driver.execute_script(SHOWN)) == 3
    page.driver.execute_script(CHOOSE, "level", "1")
    assert page.driver.execute_script(SHOWN) == [
        "weighted-mean/how-many",
        "masks/why-minus-infinity",
    ]
    page.driver.execute_script(CHOOSE, "kind", "number")
    assert page.driver.execute_script(SHOWN) == ["weighted-mean/how-many"]
    assert text(page, ".interview-controls output") == "1 of 3 questions"
    page.open("plain.html?chapter=masks")
    assert len(page.driver.execute_script(SHOWN)) == 2


def test_a_link_to_a_question_shows_it(page: Reader) -> None:
    page.open("plain.html?chapter=weighted-mean#interview-masks-why-minus-infinity")
    assert len(page.driver.execute_script(SHOWN)) == 3


def test_a_number_by_keyboard(page: Reader) -> None:
    page.driver.execute_script(CHOOSE, "kind", "number")
    page.driver.execute_script(BEGIN)
    page.press(Keys.ENTER, Keys.TAB, "many", Keys.ENTER)
    assert "Type a number" in text(page, ".interview-quiz form .question-said")
    page.press(Keys.BACKSPACE * 4, "138", Keys.ENTER)
    assert text(page, ".interview-quiz > .question-said") == "Right."
    assert cards(page)["weighted-mean/how-many"]["box"] == 2
    assert "140: a row for each query." in text(page, ".interview-quiz .interview-answer")
    page.press(Keys.ENTER)
    assert text(page, ".interview-quiz p") == "1 of 1 right."


def test_a_choice_that_was_missed_is_told_and_comes_again_first(page: Reader) -> None:
    page.driver.execute_script(CHOOSE, "kind", "choice")
    page.driver.execute_script(BEGIN)
    page.press(Keys.ENTER, Keys.TAB, Keys.SPACE, Keys.ENTER)
    assert text(page, ".interview-quiz > .question-said") == "It is b."
    assert cards(page)["masks/which-line"]["box"] == 1
    page.driver.execute_script(CHOOSE, "kind", "")
    page.driver.execute_script(BEGIN)
    page.press(Keys.ENTER)
    assert text(page, ".interview-quiz .interview-asked").strip() == "Which line hides a key?"


def test_an_open_question_is_marked_by_its_reader(page: Reader) -> None:
    page.driver.execute_script(CHOOSE, "kind", "open")
    page.driver.execute_script(BEGIN)
    page.press(Keys.ENTER, Keys.TAB)
    assert "Its exponential" not in text(page, ".interview-quiz")
    page.press(Keys.ENTER)
    assert "and not of one" in text(page, ".interview-quiz .interview-answer")
    page.press(Keys.TAB, Keys.TAB, Keys.TAB, Keys.ENTER)
    assert text(page, ".interview-quiz > .question-said") == "3 points."
    assert cards(page)["masks/why-minus-infinity"]["box"] == 2


@pytest.mark.parametrize("typed", TYPED)
def test_a_number_is_read_as_the_terminal_reads_it(page: Reader, typed: str) -> None:
    source = Path(__file__).parents[2] / "book" / "_static" / "interview.js"
    code = source.read_text(encoding="utf-8")
    script = code[code.index("  function read(text)") : code.rindex("})();")]
    found = page.driver.execute_script(f"{script}; return read(arguments[0])", typed)
    assert (
        found == pytest.approx(numerals.read(typed))
        if found is not None
        else (numerals.read(typed) is None)
    )


def test_printed_all_answers_are_open_unless_the_reader_wants_to_be_asked(page: Reader) -> None:
    def seen() -> bool:
        script = (
            "return document.querySelector('.interview-bank .interview-answer').checkVisibility()"
        )
        page.driver.execute_script("dispatchEvent(new Event('beforeprint'))")
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
        found = page.driver.execute_script(script)
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
        page.driver.execute_script("dispatchEvent(new Event('afterprint'))")
        return found

    assert seen()
    page.driver.execute_script("document.querySelector('.interview-tick input').click()")
    assert not seen()


def test_without_a_script_all_is_there_and_unfolds(built: Path) -> None:
    page = (built / "plain.html").read_text(encoding="utf-8")
    assert page.count('<details class="interview-answer">') == 4
    assert page.count('id="interview-masks-which-line"') == 1
    assert "140: a row for each query." in page
    assert page.count("#here") >= 4
    assert "Shown in Masks and numerical safety" in page


def test_a_directive_that_asks_for_nothing_is_told(tmp_path: Path) -> None:
    bodies = "masks/nothing", ""
    page = "# A page\n" + "".join(f"\n```{{interview}}\n{body}\n```\n" for body in bodies)
    done = small_book.make(tmp_path, {"plain.md": page})
    assert done.returncode != 0
    told = done.stderr + done.stdout
    assert "the bank has no question masks/nothing" in told
    assert "names its questions, one a line, or has :all:" in told
