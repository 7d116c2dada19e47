"""A result in words: plain text for a terminal, HTML and a figure for a notebook."""

import base64
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
import torch

from attncourse.course import report
from attncourse.course.calls import Misconception
from attncourse.course.checking import CheckResult, LocalAnswer, Result, run
from attncourse.course.exercise import get
from attncourse.plots import showing
from attncourse.testing import gaussian

SQUARED = Misconception("squared", "You squared x.")
NAMED = f"{report.NAMED} You squared x."
PASSED = CheckResult("one", "doubles a matrix", "passed")
FAILED = CheckResult("two", "adds the number", "failed", "yours is 3, expected 2")
DIAGNOSED = CheckResult("three", "is linear", "failed", "Rows differ.", SQUARED)
SKIPPED = CheckResult("four", "runs on a GPU", "skipped", "needs a CUDA device")
UNATTEMPTED = CheckResult("five", "is odd", "not attempted", "double still raises it.")


def result(*checks):
    return Result("double", checks)


def drawn(actual, expected, **more):
    """A failed check that compared two values."""
    return CheckResult("it", "draws", "failed", "No.", actual=actual, expected=expected, **more)


class Page(HTMLParser):
    """The tags and the visible text of a piece of HTML."""

    def __init__(self, source):
        super().__init__()
        self.tags, self.images, self.words = [], [], []
        self.feed(source)
        self.text = " ".join(self.words)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "img":
            self.images.append(dict(attrs))

    def handle_data(self, data):
        self.words.append(data)


def page(*checks, more=""):
    return Page(report.as_html(result(*checks), more))


# Plain text


TEXTS = {
    "passed": ([PASSED], ["✔ double: 1 of 1 checks passed", "  ✔ doubles a matrix"]),
    "failed": (
        [PASSED, FAILED],
        [
            "✘ double: 1 of 2 checks passed",
            "  ✔ doubles a matrix",
            "  ✘ adds the number",
            "       Yours is 3, expected 2.",
        ],
    ),
    "named": (
        [DIAGNOSED],
        [
            "✘ double: 0 of 1 checks passed",
            f"     {NAMED}",
            "  ✘ is linear",
            "       Rows differ.",
        ],
    ),
    "skipped": (
        [PASSED, SKIPPED],
        [
            "– double: 1 of 2 checks passed",
            "  ✔ doubles a matrix",
            "  – runs on a GPU",
            "       skipped: needs a CUDA device",
        ],
    ),
    "not attempted": ([UNATTEMPTED, UNATTEMPTED], ["○ double: not attempted yet"]),
    "half attempted": (
        [PASSED, UNATTEMPTED],
        [
            "✘ double: 1 of 2 checks passed",
            "  ✔ doubles a matrix",
            "  ○ is odd",
            "       double still raises it.",
        ],
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_each_state_has_its_lines(case):
    checks, lines = TEXTS[case]
    assert report.text(result(*checks)).splitlines() == lines


def test_a_mistake_is_told_first_and_once_and_folds_what_it_explains():
    other = CheckResult("again", "is even", "failed", "It is odd.", SQUARED)
    assert report.text(result(PASSED, DIAGNOSED, other)).splitlines() == [
        "✘ double: 1 of 3 checks passed",
        f"     {NAMED}",
        "     The same mistake explains these 2 failed checks.",
        "  ✔ doubles a matrix",
        "  ✘ is linear",
        "       Rows differ.",
        "  ✘ is even",
    ]


def test_every_cross_that_no_mistake_explains_has_a_sentence():
    again = CheckResult("again", "is even", "failed", FAILED.message)
    other = CheckResult("other", "is old", "failed", "It is new.")
    assert report.text(result(FAILED, again, other)).splitlines()[1:] == [
        "  ✘ adds the number",
        "       Yours is 3, expected 2.",
        "  ✘ is even (as above)",
        "  ✘ is old",
        "       It is new.",
    ]


def test_what_all_crosses_say_is_told_first_and_once():
    again = CheckResult("again", "is even", "failed", FAILED.message)
    assert report.text(result(FAILED, PASSED, again)).splitlines() == [
        "✘ double: 1 of 3 checks passed",
        "     Yours is 3, expected 2.",
        "     The same error in these 2 checks.",
        "  ✘ adds the number",
        "  ✔ doubles a matrix",
        "  ✘ is even",
    ]


def raised(name, **more):
    message = "Your function raised NameError: name 'y' is not defined (code cell 5, line 3)."
    return CheckResult(name, name, "failed", message, unusable=True, **more)


def test_an_error_that_kept_all_from_comparing_is_all_that_is_told():
    assert report.text(result(raised("one"), raised("two"))).splitlines() == [
        "✘ double: 0 of 2 checks passed",
        "     Your function raised NameError: name 'y' is not defined (code cell 5, line 3).",
        "     The same error in these 2 checks.",
    ]


@pytest.mark.parametrize(("lost", "told"), [(1, "other check was"), (2, "other 2 checks were")])
def test_what_was_not_run_after_an_error_is_no_error_of_its_own(lost, told):
    after = [replace(raised("it"), description=f"is {i} (not run)") for i in range(lost)]
    assert report.text(result(PASSED, raised("one"), *after)).splitlines()[2:] == [
        f"     After that the {told} not run.",
        "  ✔ doubles a matrix",
        "  ✘ one",
        *(f"  ✘ is {i} (not run)" for i in range(lost)),
    ]


def test_where_there_is_no_function_nothing_was_checked():
    absent = [raised(name, absent=True) for name in ("one", "two")]
    assert report.text(result(*absent)).splitlines() == [
        "✘ double: nothing was checked",
        "     Your function raised NameError: name 'y' is not defined (code cell 5, line 3).",
    ]
    assert report.text(result(absent[0])).splitlines()[0] == "✘ double: nothing was checked"


def test_every_state_has_a_mark_and_a_colour():
    for colours in (report.COLOURS, report.LIGHT, report.DARK):
        assert report.MARKS.keys() == colours.keys()
    assert len(set(report.MARKS.values())) == 4


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("yours is 3", "Yours is 3."),
        ("is it?", "Is it?"),
        ("No!", "No!"),
        ("  padded.\n", "Padded."),
        ("élan", "Élan."),
        ("mass=0.0 must raise", "mass=0.0 must raise."),
    ],
)
def test_a_message_is_told_as_a_sentence(message, sentence):
    assert report.advice(CheckResult("it", "it", "failed", message)) == [sentence]


def test_only_the_line_that_names_the_mistake_is_marked_as_a_diagnosis():
    lines = [line for line in report.lines(result(PASSED, DIAGNOSED, FAILED)) if line.diagnosis]
    assert [line.text for line in lines] == [NAMED]


# HTML


def test_the_page_says_what_the_text_says():
    checks = [PASSED, DIAGNOSED, FAILED, SKIPPED]
    told = page(*checks, more="Stuck?").text
    for line in report.lines(result(*checks)):
        assert line.text in told
        assert line.mark in told
    assert told.endswith("Stuck?")


def test_text_is_escaped_wherever_it_comes_from():
    script = "<script>alert('&')</script>"
    advice = Misconception("x", f"You wrote {script}.")
    check = drawn(gaussian(2, 3), gaussian(2, 3, seed=1), misconception=advice)
    evil = CheckResult("it", script, "failed", script, advice, check.actual, check.expected)
    html = report.as_html(Result(script, (evil,)), next_step=script)
    seen = Page(html)
    assert "<script" not in html
    assert set(seen.tags) == {"style", "div", "span", "img"}
    assert seen.text.count(script) == 5  # headline, check, advice, message, next step
    assert script in seen.images[0]["alt"]


def test_a_quote_in_the_message_does_not_end_the_alternative_text():
    evil = CheckResult("it", 'a"b', "failed", '" onerror="x', None, gaussian(2, 3), -gaussian(2, 3))
    for image in page(evil).images:
        assert set(image) == {"class", "alt", "width", "style", "src"}
        assert '" onerror="x' in image["alt"]


def test_a_screen_reader_is_told_of_the_result():
    style, html = report.as_html(result(PASSED)).split("</style>")
    assert style.startswith("<style>")
    assert html.startswith('<div role="status"')


def test_the_state_is_never_told_by_colour_alone():
    for case in TEXTS.values():
        for line in re.findall(r"<span[^>]*>(.*?)</span>", report.as_html(result(*case[0]))):
            assert line in report.MARKS.values()


# The figure


def svg_of(image):
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    return base64.b64decode(data).decode()


MATRICES = {
    "float64": (gaussian(5, 37), gaussian(5, 37, seed=1)),
    "bfloat16": (gaussian(5, 6).bfloat16(), gaussian(5, 6, seed=1).bfloat16()),
    "bool": (torch.eye(3) > 0, torch.eye(3) < 0),
    "int": (torch.eye(3, dtype=torch.int64), torch.zeros(3, 3, dtype=torch.int64)),
    "a batch": (gaussian(2, 3, 4, 5), gaussian(2, 3, 4, 5, seed=1)),
    "a vector": (gaussian(7), gaussian(7, seed=1)),
    "a tuple": ((gaussian(2, 3),), (gaussian(2, 3, seed=1),)),
    "NaN": (torch.full((2, 3), torch.nan), gaussian(2, 3)),
    "infinity": (torch.tensor([[torch.inf, -torch.inf]]), torch.ones(1, 2)),
    "nothing finite": (torch.full((2, 2), torch.nan), torch.full((2, 2), torch.inf)),
    "zeros": (torch.zeros(2, 3), torch.zeros(2, 3)),
    "large": (1e200 * gaussian(2, 3), gaussian(2, 3)),
    "with a gradient": (gaussian(2, 3).requires_grad_(), gaussian(2, 3)),
}


@pytest.mark.parametrize("kind", MATRICES)
def test_two_matrices_are_drawn_light_and_dark_with_words_for_those_who_do_not_see_it(kind):
    light, dark = page(drawn(*MATRICES[kind])).images
    assert (light["class"], dark["class"]) == ("attncourse-light", "attncourse-dark")
    for image in (light, dark):
        assert svg_of(image).startswith("<svg")
        assert image["alt"] == (
            "Three heat maps for the check “draws”: the expected result, yours, and the "
            "difference. No."
        )


def test_what_a_mask_hides_is_hatched():
    mask = torch.ones(5, 37, dtype=torch.bool).tril(20)
    pair = gaussian(5, 37), gaussian(5, 37, seed=1)
    plain, masked = (page(drawn(*pair, mask=m)).images[0] for m in (None, mask))
    assert "what the mask hides is hatched. No." in masked["alt"]
    assert "hatch" not in svg_of(plain)
    assert "<pattern" in svg_of(masked)


def test_the_mask_that_is_drawn_is_the_one_that_was_given():
    exercise = get("masked_softmax")
    found = run(exercise, LocalAnswer(exercise.wrong["mask_multiplied_into_scores"]))
    masks = [check.mask for check in found.checks if check.mask is not None]
    assert masks
    for check in found.checks:
        if check.mask is not None:
            assert check.mask.shape == check.expected.shape
            assert (check.expected[~check.mask] == 0).all()
    attention = get("attention")
    found = run(attention, LocalAnswer(attention.wrong["no_scale"]))
    assert all(check.mask is None for check in found.checks)  # of scores, not of the result


@pytest.mark.parametrize(
    "check",
    [
        PASSED,
        UNATTEMPTED,
        FAILED,
        drawn(None, gaussian(2, 3)),
        drawn(gaussian(2, 3), gaussian(3, 2)),
        drawn(torch.tensor(1.0), torch.tensor(2.0)),
        drawn(3, 4),
        drawn(gaussian(2, 3).to("meta"), gaussian(2, 3)),
        drawn(torch.zeros(0, 3), torch.zeros(0, 3)),
    ],
)
def test_there_is_no_figure_where_there_are_no_two_matrices(check):
    assert page(check).images == []


def test_only_the_first_failed_check_is_drawn():
    pair = gaussian(2, 3), gaussian(2, 3, seed=1)
    other = CheckResult("other", "draws later", "failed", "No.", actual=pair[0], expected=pair[1])
    images = page(PASSED, drawn(*pair), other).images
    assert ["“draws”" in image["alt"] for image in images] == [True, True]


# Light and dark


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("colours", "grounds"),
    [(report.LIGHT, ["#ffffff", "#fafafa"]), (report.DARK, ["#111111", "#1f1f1f", "#383838"])],
)
def test_marks_can_be_read_on_the_grounds_of_notebooks(colours, grounds):
    for colour in colours.values():
        for ground in grounds:
            high, low = sorted(map(luminance, (colour, ground)), reverse=True)
            assert (high + 0.05) / (low + 0.05) >= 4.5, (colour, ground)


def test_dark_notebooks_are_those_of_the_figures():
    assert report.DARK_NOTEBOOKS == showing._DARK
    html = report.as_html(result(DIAGNOSED))
    for where in report.DARK_NOTEBOOKS:
        assert f"{where} .attncourse-failed" in html
        assert f"{where} .attncourse-failed-bar" in html


def test_the_mistake_is_the_largest_line_and_its_code_is_code():
    advice = Misconception("x", "You used `<=`. Use `<`.")
    html = report.as_html(result(CheckResult("a", "b", "failed", "No.", advice)))
    large = re.findall(r"font-size:1.15em;font-weight:600\">(.*?)</div>", html)
    assert large == ["You used <code>&lt;=</code>. Use <code>&lt;</code>."]
