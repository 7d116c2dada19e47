"""The numbers of interactive figures are the library's: both are evaluated on the same inputs."""

import pytest
import torch
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from torch.testing import assert_close

from attncourse import causal_mask, masked_softmax, sliding_window_mask, softmax
from attncourse.course.map_data import SENTENCES
from attncourse.measure.configurations import CONFIGURATIONS
from attncourse.measure.cost import flops
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.smollm import SmolLM
from pages import ROOT
from reader import Reader

MAPS = ".interactive-map-browser"
STATIC = ROOT / "book" / "_static"
HEADS = [("MiniLM", 0, 3, 1), ("MiniLM", 4, 5, 11), ("SmolLM2", 0, 16, 3), ("SmolLM2", 1, 29, 8)]
SCORES = [[0.5, 2.5, -1.25, 0.3, 1.2], [100.0, -100.0, 0.0, 99.0, 99.5], [0.0] * 5]
PAGE = """<!DOCTYPE html><meta charset="utf-8"><title>x</title>
<figure data-interactive="temperature-and-scale"
data-words="The trophy does not fit" data-scores="0.5 2.5 -1.25 0.3 1.2">
<div class="interactive-still">still</div></figure>
<figure data-interactive="mask-painter" data-words="a b c" data-keys="k l m n"
data-scores="0 1 2 3; 1 -1 0.5 2; 3 2 1 0"><div class="interactive-still">still</div></figure>
<figure data-interactive="mask-painter" data-scores="1 2; 3"><div class="interactive-still">still
</div></figure>
<figure data-interactive="map-browser" data-model="MiniLM" data-layer="3" data-head="1"
data-row="it"><div class="interactive-still">still</div></figure>
<figure data-interactive="map-browser" data-model="no"><div class="interactive-still">still</div>
</figure>
<figure data-interactive="cost-calculator" data-model="SmolLM2-135M" data-start="512">
<div class="interactive-still">still</div></figure>"""


@pytest.fixture(scope="module")
def page(browser: Reader, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """The scripts on a page from a file."""
    sources = [STATIC / "interactive.js", *sorted((STATIC / "interactive").glob("*.js"))]
    scripts = [f'<script defer src="{path.as_uri()}"></script>' for path in sources]
    file = tmp_path_factory.mktemp("figures") / "page.html"
    file.write_text(PAGE + "".join(scripts), encoding="utf-8")
    browser.driver.get(file.as_uri())
    browser.wait(lambda: browser.driver.execute_script("return 'maps' in attncourse"))
    browser.wait(lambda: browser.driver.find_elements(By.CSS_SELECTOR, MAPS))
    return browser


def run(page: Reader, expression: str, *arguments: object) -> torch.Tensor:
    found = page.driver.execute_script(f"return attncourse.{expression}(...arguments)", *arguments)
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("scores", SCORES, ids=["plain", "large", "equal"])
@pytest.mark.parametrize(("temperature", "scale"), [(1, 1), (0.05, 1), (20, 0.125), (2, 8)])
def test_weights_at_a_temperature_and_a_scale_are_softmax(
    page: Reader, scores: list[float], temperature: float, scale: float
) -> None:
    x = torch.tensor(scores, dtype=torch.float64) * scale / temperature
    weights = run(page, "temperature.weights", scores, temperature, scale)
    assert_close(weights, softmax(x))
    spread = page.driver.execute_script(
        "return attncourse.temperature.spread(arguments[0])", weights.tolist()
    )
    assert spread == pytest.approx(torch.special.entr(softmax(x)).sum().exp().item())


@pytest.mark.parametrize("seed", range(3))
def test_weights_under_a_mask_are_masked_softmax(page: Reader, seed: int) -> None:
    rng = torch.Generator().manual_seed(seed)
    scores = 30 * torch.randn(5, 7, generator=rng, dtype=torch.float64)
    mask = torch.rand(5, 7, generator=rng) < 0.4
    mask[seed] = False
    weights = run(page, "mask.weights", scores.tolist(), mask.tolist())
    assert_close(weights, masked_softmax(scores, mask))
    empty = page.driver.execute_script("return attncourse.mask.empty(arguments[0])", mask.tolist())
    assert empty == (~mask.any(-1)).nonzero().flatten().tolist()


@pytest.mark.parametrize(("n", "m"), [(5, 5), (3, 7), (7, 3), (1, 4)])
def test_patterns_are_the_librarys(page: Reader, n: int, m: int) -> None:
    def painted(name: str) -> torch.Tensor:
        return run(page, "mask.pattern", name, n, m).bool()

    assert_close(painted("causal"), causal_mask(n, m))
    assert painted("all").all()
    assert not painted("none").any()
    if n == m:
        assert_close(painted("window of 1"), sliding_window_mask(n, 1))


def test_sliders_move_by_keyboard_and_the_bars_say_the_weights(page: Reader) -> None:
    box = page.driver.find_element(By.CSS_SELECTOR, ".interactive-temperature-and-scale")
    temperature, scale = box.find_elements(By.CSS_SELECTOR, "input")
    for _ in range(4):
        temperature.send_keys(Keys.ARROW_LEFT)
        scale.send_keys(Keys.ARROW_RIGHT)
    assert temperature.get_attribute("aria-valuetext") == "0.5"
    expected = softmax(torch.tensor(SCORES[0]) * 2 / 0.5)
    shown = [cell.text for cell in box.find_elements(By.CSS_SELECTOR, ".interactive-value")]
    assert shown == [f"{weight:.2f}" for weight in expected.tolist()]
    box.find_element(By.CSS_SELECTOR, "button").click()
    assert "gets 0.65" in box.find_element(By.CSS_SELECTOR, ".interactive-said").text


def test_a_mask_is_painted_by_keyboard_and_by_pointer(page: Reader) -> None:
    box = page.driver.find_element(By.CSS_SELECTOR, ".interactive-mask-painter")
    said = box.find_element(By.CSS_SELECTOR, ".interactive-said")
    buttons = box.find_elements(By.CSS_SELECTOR, ".interactive-controls button")
    named = {button.text: button for button in buttons}
    named["none"].click()
    zero = "weights and output are zero there."
    assert said.text == f"0 of 12 pairs may attend. Empty: a, b, c; {zero}"
    cells = box.find_elements(By.CSS_SELECTOR, "td button")
    page.driver.execute_script("arguments[0].focus()", cells[0])
    for key in (Keys.ARROW_DOWN, Keys.ARROW_RIGHT, Keys.SPACE, Keys.END, Keys.SPACE):
        ActionChains(page.driver).send_keys(key).perform()
    assert cells[5].get_attribute("aria-label") == "b to l: may attend, weight 0.05"
    assert cells[7].get_attribute("aria-pressed") == "true"
    drag = ActionChains(page.driver).click_and_hold(cells[0])
    drag.move_to_element(cells[1]).move_to_element(cells[2]).release().perform()
    ActionChains(page.driver).move_to_element(cells[8]).perform()
    assert said.text == f"5 of 12 pairs may attend. Empty: c; {zero}"
    ActionChains(page.driver).click(cells[0]).perform()
    assert cells[0].get_attribute("aria-label") == "a to k: hidden"


@pytest.mark.parametrize(("model", "text", "layer", "head"), HEADS)
def test_maps_are_the_models(page: Reader, model: str, text: int, layer: int, head: int) -> None:
    expected = {"MiniLM": MiniLM, "SmolLM2": SmolLM}[model].load().maps(SENTENCES[model][text])
    found = run(page, "browser.weights", model, text, layer, head)
    assert found.shape == expected.shape[2:]
    assert (found - expected[layer, head]).abs().max() < 0.0051


def test_a_row_is_chosen_by_keyboard_and_by_pointer_and_says_its_numbers(page: Reader) -> None:
    box = page.driver.find_element(By.CSS_SELECTOR, MAPS)
    said = box.find_element(By.CSS_SELECTOR, ".interactive-said")
    start = "MiniLM, layer 3, head 1: “it” attends to trophy 0.61, suitcase 0.20, [CLS] 0.10."
    assert said.text == start
    words = box.find_elements(By.CSS_SELECTOR, ".interactive-word")
    assert [word.get_attribute("tabindex") for word in words].count("0") == 1
    page.driver.execute_script("arguments[0].focus()", words[10])
    ActionChains(page.driver).send_keys(Keys.ARROW_UP, Keys.ARROW_UP).perform()
    assert words[8].get_attribute("aria-pressed") == "true"
    assert said.text.startswith("MiniLM, layer 3, head 1: “suitcase” attends to")
    ActionChains(page.driver).move_to_element(words[10]).perform()
    assert said.text == start
    maps = MiniLM.load().maps(SENTENCES["MiniLM"][0])
    shown = box.find_elements(By.CSS_SELECTOR, ".interactive-value")
    assert [cell.text for cell in shown] == [f"{w:.2f}" for w in maps[3, 1, 10].tolist()]


def test_layer_sentence_model_and_view_are_chosen_by_keyboard(page: Reader) -> None:
    box = page.driver.find_element(By.CSS_SELECTOR, MAPS)
    said = box.find_element(By.CSS_SELECTOR, ".interactive-said")
    layer, head = box.find_elements(By.CSS_SELECTOR, "input")
    model, sentence = box.find_elements(By.CSS_SELECTOR, "select")
    sentence.send_keys(Keys.ARROW_DOWN)
    small = "MiniLM, layer 3, head 1: “it” attends to trophy 0.66"
    assert said.text.startswith(small)
    layer.send_keys(Keys.ARROW_LEFT)
    head.send_keys(Keys.END)
    assert said.text.startswith("MiniLM, layer 2, head 11: ")
    box.find_elements(By.CSS_SELECTOR, ".interactive-views button")[1].send_keys(Keys.ENTER)
    maps = MiniLM.load().maps(SENTENCES["MiniLM"][1])
    lines = len(box.find_elements(By.CSS_SELECTOR, "line"))
    assert lines == int((maps[2, 11].mul(100).round() >= 5).sum())
    model.send_keys(Keys.ARROW_DOWN)
    assert said.text.startswith("SmolLM2, layer 2, head 8: “it” attends to")
    layer.send_keys(Keys.END)
    assert "layer 29" in said.text
    assert len(box.find_elements(By.CSS_SELECTOR, "option")) == 4


def test_a_figure_that_cannot_be_drawn_leaves_its_still_form(page: Reader) -> None:
    figures = page.driver.find_elements(By.CSS_SELECTOR, "figure")
    drawn = ["interactive-drawn" in (f.get_attribute("class") or "") for f in figures]
    assert drawn == [True, True, False, True, False, True]


@pytest.mark.parametrize("name", CONFIGURATIONS)
@pytest.mark.parametrize("n", [1, 15, 2048, 100_000])
def test_costs_are_the_librarys(page: Reader, name: str, n: int) -> None:
    config = CONFIGURATIONS[name]

    def found(expression: str) -> object:
        c = f"attncourse.cost.models[{name!r}]"
        return page.driver.execute_script(
            f"return attncourse.cost.{expression}".replace("(c", f"({c}")
        )

    assert found(f"layer(c, {n})") == config.layer_flops(n)
    assert found(f"model(c, {n})") == config.model_flops(n)
    assert found(f"cache(c, {n}, 2)") == config.cache_bytes(n)
    assert found('overtakes(c, "projections")') == config.overtakes("projections")
    both = config.overtakes("projections", "network")
    assert found('overtakes(c, "projections", "network")') == both
    matrices = config.layers * sum(config.layer_parameters().values())
    assert found("parameters(c)") == matrices + config.vocabulary * config.d


def test_costs_are_what_is_counted(page: Reader) -> None:
    counted = flops(SmolLM.load().logits, torch.arange(7))
    expression = "attncourse.cost.model(attncourse.cost.models['SmolLM2-135M'], 7)"
    assert page.driver.execute_script(f"return {expression}") == counted


def test_the_calculator_is_worked_by_keyboard_and_refuses_what_is_no_number(page: Reader) -> None:
    box = page.driver.find_element(By.CSS_SELECTOR, ".interactive-cost-calculator")
    said = box.find_element(By.CSS_SELECTOR, ".interactive-said")
    start = "At 512 tokens pairs are 14 % of a layer."
    assert said.text == f"{start} They reach one half at 3,072, and the projections at 768."
    shown = [cell.text for cell in box.find_elements(By.CSS_SELECTOR, ".interactive-value")]
    assert shown == ["64 %", "21 %", "14 %"]
    slider = box.find_element(By.CSS_SELECTOR, "input[type=range]")
    for _ in range(16):
        slider.send_keys(Keys.ARROW_RIGHT)
    assert said.text.startswith("At 8,192 tokens pairs are 73 % of a layer.")
    groups = box.find_element(By.CSS_SELECTOR, "input[name=g]")
    groups.send_keys(Keys.CONTROL, "a")
    groups.send_keys(Keys.DELETE)
    assert said.text == "key heads g must be a whole number, at least 1."
    groups.send_keys("9")
    totals = box.find_element(By.CSS_SELECTOR, ".interactive-totals")
    assert said.text.endswith("and the projections at 1,152.")
    assert "cache: 540 MiB" in totals.text
    box.find_element(By.CSS_SELECTOR, "button").click()
    assert "cache: 180 MiB" in totals.text
    box.find_element(By.CSS_SELECTOR, "select").send_keys("BERT")
    assert said.text.endswith("They reach one half at 4,608, and the projections at 1,536.")


def test_scripts_are_classic_and_know_no_host() -> None:
    for path in [*STATIC.glob("*.js"), *STATIC.glob("interactive/**/*.js")]:
        text = path.read_text(encoding="utf-8")
        assert "https://" not in text
        assert not any(line.startswith(("import ", "export ")) for line in text.splitlines())
