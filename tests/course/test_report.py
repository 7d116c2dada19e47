"""A result in words: plain text for a terminal, HTML and a figure for a notebook."""

import base64
import re
from html.parser import HTMLParser

import pytest
import torch

from attncourse.course import report
from attncourse.course.calls import Misconception
from attncourse.course.checking import CheckResult, Result
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
    assert report.text(result(FAILED, again)).splitlines()[1:] == [
        "  ✘ adds the number",
        "       Yours is 3, expected 2.",
        "  ✘ is even (as above)",
    ]


def test_every_state_has_a_mark_and_a_colour():
    assert report.MARKS.keys() == report.COLOURS.keys()
    assert len(set(report.MARKS.values())) == 4


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        ("yours is 3", "Yours is 3."),
        ("is it?", "Is it?"),
        ("No!", "No!"),
        ("  padded.\n", "Padded."),
        ("élan", "Élan."),
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
    assert set(seen.tags) == {"div", "span", "img"}
    assert seen.text.count(script) == 5  # headline, check, advice, message, next step
    assert script in seen.images[0]["alt"]


def test_a_quote_in_the_message_does_not_end_the_alternative_text():
    evil = CheckResult("it", 'a"b', "failed", '" onerror="x', None, gaussian(2, 3), -gaussian(2, 3))
    (image,) = page(evil).images
    assert set(image) == {"alt", "style", "src"}
    assert '" onerror="x' in image["alt"]


def test_a_screen_reader_is_told_of_the_result():
    assert report.as_html(result(PASSED)).startswith('<div role="status"')


def test_the_state_is_never_told_by_colour_alone():
    for case in TEXTS.values():
        for line in re.findall(r"<span[^>]*>(.*?)</span>", report.as_html(result(*case[0]))):
            assert line in report.MARKS.values()


# The figure


def png_of(image):
    kind, _, data = image["src"].partition(",")
    assert kind == "data:image/png;base64"
    return base64.b64decode(data)


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
def test_two_matrices_are_drawn_as_a_png_with_words_for_those_who_do_not_see_it(kind):
    (image,) = page(drawn(*MATRICES[kind])).images
    assert png_of(image).startswith(b"\x89PNG\r\n\x1a\n")
    assert image["alt"] == (
        "Three heat maps for the check “draws”: the expected result, yours, and the difference. No."
    )


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
    assert ["“draws”" in image["alt"] for image in images] == [True]
