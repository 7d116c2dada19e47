"""A small book in a browser: questions, figures, print, search, and readers without a mouse."""

import re
from pathlib import Path

import pytest
import small_book
from selenium.webdriver import Keys
from selenium.webdriver.common.by import By

from reader import DESK, NEXT_FRAMES, PHONE, Reader

NEAR = "document.querySelector('[data-interactive=map-browser]').scrollIntoView()"


@pytest.fixture
def page(site: Reader) -> Reader:
    """The first page, as someone sees it who was never there before."""
    site.width(DESK)
    site.open("intro.html")
    site.driver.execute_script("localStorage.clear()")
    site.open("intro.html")
    return site


def focus(page: Reader, where: str) -> None:
    page.driver.execute_script("document.querySelector(arguments[0]).focus()", where)


def show(page: Reader, where: str) -> dict[str, object]:
    """Words and state of an element."""
    script = """
    const e = document.querySelector(arguments[0]);
    return { text: e.textContent.trim(), open: e.open, seen: e.checkVisibility(),
             focused: e === document.activeElement, classes: e.className };
    """
    return page.driver.execute_script(script, where)


ROW, SCALE = "#question-empty-row", "#question-scale-first"


def test_a_guess_by_keyboard_opens_the_answer_and_is_remembered(page: Reader) -> None:
    assert show(page, f"{ROW} details")["seen"] is False
    focus(page, f"{ROW} input")
    page.press(Keys.SPACE, Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
    said = show(page, f"{ROW} .question-said")
    assert (said["text"], said["focused"]) == ("You said c; it is b.", True)
    answer = show(page, f"{ROW} details")
    assert (answer["seen"], answer["open"]) == (True, True)
    assert "It is b." in answer["text"]
    page.open("intro.html")
    assert show(page, f"{ROW} .question-said")["text"] == "You said c; it is b."
    assert "question-right" in show(page, f"{ROW} label:nth-of-type(2)")["classes"]
    assert show(page, f"{SCALE} .question-submit")["seen"] is True


def test_who_chooses_nothing_is_told_so_and_sees_no_answer(page: Reader) -> None:
    focus(page, f"{ROW} .question-submit")
    page.press(Keys.ENTER)
    assert show(page, f"{ROW} .question-said")["text"].startswith("Choose one first")
    assert show(page, f"{ROW} input")["focused"] is True
    assert show(page, f"{ROW} details")["seen"] is False


def test_an_answer_below_the_cell_waits_for_the_guess_and_says_nothing_above(page: Reader) -> None:
    answer = "details[data-answers=scale-first]"
    assert show(page, answer)["seen"] is False
    assert "once you have guessed" in show(page, ".question-wait")["text"]
    focus(page, f"{SCALE} input")
    page.press(Keys.SPACE, Keys.ENTER)
    said = show(page, f"{SCALE} .question-said")["text"]
    assert said == "You say a. Read on: the answer comes below."
    assert "question-right" not in show(page, f"{SCALE} .question-choices")["text"]
    assert (show(page, answer)["seen"], show(page, answer)["open"]) == (True, False)
    assert show(page, f"{answer} summary")["text"] == "Answer. You said a, and so it is."


def test_a_page_from_a_file_works_and_so_does_one_that_may_store_nothing(
    page: Reader, built: Path
) -> None:
    forbidden = """
    for (const name of ["getItem", "setItem"]) {
      const own = Storage.prototype[name];
      Storage.prototype[name] = function (key, ...rest) {
        if (key.startsWith("attncourse")) throw new Error("forbidden");
        return own.call(this, key, ...rest);
      };
    }
    """
    driver = page.driver
    script = "Page.addScriptToEvaluateOnNewDocument"
    number = driver.execute_cdp_cmd(script, {"source": forbidden})["identifier"]
    driver.get((built / "intro.html").as_uri())
    focus(page, f"{ROW} input")
    page.press(Keys.SPACE, Keys.ENTER)
    assert show(page, f"{ROW} .question-said")["text"] == "You said a; it is b."
    assert "trophy" in show(page, ".interactive-box")["text"]
    remove = {"identifier": number}
    driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", remove)


def test_without_scripts_options_are_a_list_and_answers_fold(built: Path) -> None:
    html = (built / "intro.html").read_text(encoding="utf-8")
    assert len(re.findall(r'<ol class="[^"]*question-options"', html)) == 3
    folds = re.findall(r"<details[^>]*>", html)
    assert len(folds) == 4  # three answers and the dropdown
    assert not any("hidden" in fold or " open" in fold for fold in folds)
    assert html.count('<div class="interactive-still') == 3


def test_options_stay_the_words_that_were_written(page: Reader) -> None:
    shown = page.driver.find_elements(By.CSS_SELECTOR, "#question-two-ways label")
    assert [option.text.split("\n") for option in shown] == [["a", "no"], ["b", "0.10"]]


def test_print_is_light_and_open_and_the_screen_is_as_it_was(page: Reader) -> None:
    state = """
    return [document.documentElement.dataset.theme,
            [...document.querySelectorAll("details")].filter(d => d.open).length];
    """
    page.theme("dark")
    page.driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert page.driver.execute_script(state) == ["light", 4]
    assert show(page, f"{ROW} details")["seen"] is True
    assert show(page, f"{ROW} .question-submit")["seen"] is False
    assert show(page, ".interactive-box")["seen"] is False
    assert show(page, ".interactive-still")["seen"] is True
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.driver.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert page.driver.execute_script(state) == ["dark", 0]


FOLDED = """
<div class="cell tag_{tag} docutils container"><details class="admonition hide above-input">
<summary>more</summary><div class="cell_input" id="{tag}">code</div></details></div>
"""


def test_folded_source_is_printed_at_once_and_drawing_code_is_not(page: Reader) -> None:
    cells = "".join(FOLDED.format(tag=tag) for tag in ("hide-cell", "hide-input"))
    add = "document.querySelector('article').insertAdjacentHTML('beforeend', arguments[0])"
    page.driver.execute_script(add, cells)
    moving = "return document.getAnimations().length"
    page.driver.execute_script("document.querySelector('details.hide').open = true")
    assert page.driver.execute_script(moving) > 0  # on a screen it fades in
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    page.driver.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    assert page.driver.execute_script(moving) == 0
    assert show(page, "#hide-cell")["seen"] is True
    assert show(page, "#hide-input")["seen"] is False
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    page.driver.execute_script("window.dispatchEvent(new Event('afterprint'))")


@pytest.mark.parametrize("pixels", [PHONE, DESK])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_nothing_bars_a_reader(page: Reader, theme: str, pixels: int) -> None:
    click = "document.querySelector(arguments[0]).click()"
    for where in (ROW, SCALE):
        page.driver.execute_script(click, f"{where} label")
        page.driver.execute_script(click, f"{where} .question-submit")
    page.driver.execute_script(NEAR)
    page.wait(lambda: page.driver.find_elements(By.CSS_SELECTOR, ".interactive-map"))
    assert page.audit(theme, pixels) == []
    assert page.cut() == []
    page.driver.execute_script(click, ".interactive-views button:last-child")
    assert page.audit(theme, pixels) == []
    assert page.cut() == []


def test_a_barrier_is_seen(page: Reader) -> None:
    bad = "document.querySelector('article').insertAdjacentHTML('beforeend', arguments[0])"
    pale = '<p style="color: #999; background: #fff">pale</p>'
    page.driver.execute_script(bad, f'<img src="_static/card.png">{pale}')
    rules = {fault.split(": ")[1] for fault in page.audit("light", DESK)}
    assert rules == {"image-alt", "color-contrast"}
    page.driver.execute_script(bad, '<pre style="white-space: pre; overflow: auto">' + "x" * 999)
    assert len(page.cut()) == 1


def test_a_signature_longer_than_a_line_is_seen_whole(page: Reader) -> None:
    put = "document.querySelector('article').insertAdjacentHTML('beforeend', arguments[0])"
    long = f'<p><code class="literal"><span class="pre">{"x" * 99}</span></code></p>'
    page.width(PHONE)
    page.driver.execute_script(put, long)
    assert page.cut() == []
    page.driver.execute_script(
        put, long.replace("pre", "other").replace("<p", "<p style='white-space: nowrap'")
    )
    assert len(page.cut()) == 1


def test_what_scrolls_is_a_stop_as_long_as_it_does(page: Reader) -> None:
    stop = "return document.querySelector('div.math').tabIndex"
    page.width(PHONE)
    page.driver.execute_async_script(NEXT_FRAMES)
    assert page.driver.execute_script(stop) == 0
    page.width(3000)
    page.driver.execute_async_script(NEXT_FRAMES)
    assert page.driver.execute_script(stop) == -1


def test_the_theme_switch_keeps_the_focus_and_the_skip_link_gives_it(page: Reader) -> None:
    focus(page, ".theme-switch-button")
    page.press(Keys.ENTER)
    assert show(page, ".theme-switch-button")["focused"] is True
    page.press(Keys.ENTER)
    assert show(page, ".theme-switch-button")["focused"] is True
    focus(page, "#pst-skip-link a")
    page.press(Keys.ENTER)
    assert show(page, "#main-content")["focused"] is True


def test_search_leads_to_the_section(site: Reader) -> None:
    site.open("search.html?q=zebra")
    hit = "return document.querySelector('#search-results li:has(.context) a')"
    site.wait(lambda: "#" in (site.driver.execute_script(f"{hit}?.href") or ""))
    found = site.driver.execute_script(f"return [({hit[7:]}).href, ({hit[7:]}).textContent]")
    assert re.search(r"/intro\.html(\?highlight=zebra)?#a-section-on-zebras$", found[0])
    assert found[1] == "A small book › A section on zebras"


def test_the_weights_of_maps_come_when_the_figure_comes_near(page: Reader) -> None:
    loaded = "return 'maps' in attncourse"
    assert page.driver.execute_script(loaded) is False
    page.driver.execute_script(NEAR)
    page.wait(lambda: page.driver.execute_script(loaded))
    page.wait(lambda: "trophy 0.61" in show(page, ".interactive-map-browser")["text"])


def test_a_repository_that_is_named_is_led_to(built: Path) -> None:
    html = (built / "intro.html").read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]+)"', html)
    colab = "https://colab.research.google.com/github/ada/attncourse/blob/main"
    assert f"{colab}/exercises/masks.ipynb" in links
    assert small_book.URL in links
    assert "Words where Colab can open it." in html


def test_a_page_loads_what_it_uses(built: Path) -> None:
    full, bare = ((built / f"{p}.html").read_text(encoding="utf-8") for p in ("intro", "plain"))
    used = ("questions.js", "interactive.js", "mask-painter.js", "copybutton.js")
    assert [name for name in used if name not in full] == []
    assert [name for name in (*used, "searchindex.js", "fontawesome") if name in bare] == []
    assert 'content="Words and nothing else." name="description"' in bare
    assert (built / "_static" / "card.png").is_file()
    style = (built / "_static" / "styles" / "pydata-sphinx-theme.css").read_text(encoding="utf-8")
    assert "@font-face" not in style
    assert ".bd-sidebar-primary" in style


def test_a_formula_is_copied_as_tex(page: Reader) -> None:
    script = """
    const paragraphs = [...document.querySelectorAll("article p")];
    const words = paragraphs.find(p => p.textContent.startsWith("A formula"));
    getSelection().selectAllChildren(words);
    const form = { clipboardData: new DataTransfer(), bubbles: true, cancelable: true };
    const copied = new ClipboardEvent("copy", form);
    words.dispatchEvent(copied);
    return [copied.clipboardData.getData("text/plain"), copied.defaultPrevented];
    """
    text, taken = page.driver.execute_script(script)
    assert text.startswith("A formula, $a^2$, and a wide one")
    assert taken is True
