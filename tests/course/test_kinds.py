"""The kind of an answer: described as a learner would say it, refused in one sentence."""

import numpy
import pytest
import torch

from attncourse.course.kinds import Foreign, describe, dtype_name, kind_problem, matrix_of

VECTOR = torch.zeros(5, dtype=torch.float64)
WANTED = "expected a float64 tensor of shape (5,)"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (torch.zeros(5, 6), "a float32 tensor of shape (5, 6)"),
        (torch.tensor(1), "an int64 tensor of shape ()"),
        (
            torch.empty(2, 3, dtype=torch.bfloat16, device="meta"),
            "a bfloat16 tensor of shape (2, 3)",
        ),
        ((1, 2, 3), "a tuple of 3"),
        (3, "the int 3"),
        (0.5, "the float 0.5"),
        (True, "the bool True"),
        ("no", "the str 'no'"),
        ("x" * 500, "the str '" + "x" * 71),
        (None, "None"),
        ([1, 2], "a list"),
        ({"a": 1}, "a dict"),
        (object(), "an object"),
        (numpy.zeros(3), "a numpy array"),
        (Foreign("ndarray"), "a numpy array"),
        (Foreign("DataFrame"), "a DataFrame"),
        (Foreign("Integer"), "an Integer"),
        (torch.zeros(1, dtype=torch.uint8), "a uint8 tensor of shape (1,)"),
    ],
)
def test_a_value_is_described(value, words):
    assert describe(value) == words


@pytest.mark.parametrize(
    ("actual", "sentence"),
    [
        (None, f"it gave None; {WANTED}. A function without `return` gives None."),
        ([1.0, 2.0], f"it gave a list; {WANTED}."),
        (3.5, f"it gave the float 3.5; {WANTED}."),
        (
            (VECTOR, VECTOR),
            f"it gave a tuple of 2; {WANTED}. "
            "One tensor is wanted: return it alone, without a comma after it.",
        ),
        (
            numpy.zeros(5),
            f"it gave a numpy array; {WANTED}. "
            "Work on the tensors with torch's own functions, which also give gradients.",
        ),
        (Foreign("Image"), f"it gave an Image; {WANTED}."),
        (torch.zeros(5, 1), f"it gave a float32 tensor of shape (5, 1); {WANTED}."),
        (
            torch.zeros(5),
            "it gave float32 numbers; expected float64. Keep the dtype that the inputs have.",
        ),
        (
            VECTOR.to("meta"),
            "it gave a tensor on meta; expected one on cpu. It has a shape and no numbers.",
        ),
    ],
)
def test_the_wrong_kind_of_tensor_gets_one_sentence(actual, sentence):
    assert kind_problem(actual, VECTOR, "it gave") == sentence


@pytest.mark.parametrize(
    ("actual", "expected", "sentence"),
    [
        (None, 3, "your function returned None; expected an int."),
        (2.0, 3, "your function returned the float 2.0; expected an int."),
        (True, 3, "your function returned the bool True; expected an int."),
        (3, 2.0, "your function returned the int 3; expected a float."),
        (VECTOR, "word", "your function returned a float64 tensor of shape (5,); expected a str."),
        (3, None, "your function returned the int 3; expected None."),
        ((), [1], "your function returned a tuple of 0; expected a list."),
        (
            VECTOR,
            (VECTOR,),
            "your function returned a float64 tensor of shape (5,); expected a tuple of 1.",
        ),
        ([1, 2], (1, 2), "your function returned a list; expected a tuple of 2."),
        ((1,), (1, 2), "your function returned a tuple of 1; expected a tuple of 2."),
        ((1, "a"), (1, 2), "part 2 of your result came as the str 'a'; expected an int."),
        (
            (VECTOR, VECTOR.float()),
            (VECTOR, VECTOR),
            "part 2 of your result came as float32 numbers; expected float64. "
            "Keep the dtype that the inputs have.",
        ),
        (
            ((1,), 2),
            ((1, 2), 2),
            "part 1 of your result came as a tuple of 1; expected a tuple of 2.",
        ),
    ],
)
def test_other_kinds_get_one_sentence_too(actual, expected, sentence):
    assert kind_problem(actual, expected) == sentence


@pytest.mark.parametrize("value", [VECTOR, 3, "word", None, [1], (VECTOR, (3, None)), ()])
def test_the_same_kind_is_no_problem(value):
    assert kind_problem(value, value) is None


def test_values_do_not_matter_to_the_kind():
    assert kind_problem(VECTOR + 1, VECTOR) is None
    assert kind_problem([1, 2], ["other"]) is None


def test_a_dtype_is_named_without_torch():
    assert dtype_name(torch.zeros(1, dtype=torch.bfloat16)) == "bfloat16"


CUBE = torch.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (CUBE, (3, 4)),
        (CUBE[0], (3, 4)),
        (CUBE[0, 0], (1, 4)),
        ((CUBE, 3), (3, 4)),
        ([CUBE[0], CUBE], (3, 4)),
    ],
)
def test_the_first_matrix_of_a_value_is_drawn(value, shape):
    matrix = matrix_of(value)
    assert matrix.shape == shape
    assert matrix[0, 1] == 1.0


@pytest.mark.parametrize(
    "value",
    [
        None,
        3,
        "word",
        "",
        (),
        [],
        {},
        torch.tensor(1.0),
        torch.ones(1),
        torch.zeros(0, 3),
        CUBE.to("meta"),
        ("word", CUBE),
        Foreign("ndarray"),
    ],
)
def test_other_values_have_no_matrix(value):
    assert matrix_of(value) is None
