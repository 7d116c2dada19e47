"""Numbers that the bank asks for: computed, written, read."""

import math

import pytest

from attncourse import kv_cache_bytes
from attncourse.course import numerals


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("7 * 20", 140),
        (
            "kv_cache_bytes(80, 4096, 8, 128, 2) / 2**30",
            kv_cache_bytes(80, 4096, 8, 128, 2) / 2**30,
        ),
        ("exp(5) / (exp(5) + 999)", math.exp(5) / (math.exp(5) + 999)),
        ("log(torch.finfo(torch.float16).max)", math.log(65504)),
    ],
)
def test_an_expression_names_the_library_math_and_torch(expression, value):
    assert numerals.computed(expression) == value


@pytest.mark.parametrize("expression", ["1 / 0", "nowhere(3)", "inf", "'many'", "True", "1 +"])
def test_an_expression_that_gives_no_number_fails(expression):
    with pytest.raises((ArithmeticError, NameError, SyntaxError, ValueError)):
        numerals.computed(expression)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (131040, 2, "131,040"),
        (1048576, 4, "1,048,576"),
        (0.8808, 3, "0.881"),
        (16.0, 3, "16"),
        (1.25, 3, "1.25"),
        (0.1, 3, "0.1"),
        (53988.2, 2, "54,000"),
        (8.4e22, 2, "8.4 × 10²²"),
        (12_000_000, 2, "1.2 × 10⁷"),
        (0.0, 2, "0.0"),
        (-0.05, 1, "-0.05"),
        (0.996, 2, "1"),
    ],
)
def test_a_number_is_written_as_a_reader_wants_it(value, digits, text):
    assert numerals.written(value, digits) == text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("12", 12),
        ("about 12 tokens", 12),
        ("1,048,576 weights", 1048576),
        ("131 072", 131072),
        ("0,25", 0.25),
        (".5", 0.5),
        ("-3", -3),
        ("−3", -3),
        ("88 %", 88),
        ("1.25GiB", 1.25),
        ("8.4e22", 8.4e22),
        ("8.4 × 10²²", 8.4e22),
        ("8.4 x 10^22", 8.4e22),
        ("2*10**3", 2000),
        ("1/8", 0.125),
        ("1 / 8", 0.125),
        ("1/0", None),
        ("many", None),
        ("", None),
    ],
)
def test_a_number_is_read_as_people_type_it(text, value):
    assert numerals.read(text) == (None if value is None else pytest.approx(value))


def test_near_enough_is_five_per_cent():
    assert numerals.right(104, 100)
    assert numerals.right(95.5, 100)
    assert not numerals.right(106, 100)
    assert not numerals.right(-100, 100)
