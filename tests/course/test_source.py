"""The text of a function as a notebook shows it: stub, solution, and what the solution needs."""

import ast
import inspect

import pytest

import double
from attncourse.course import source
from attncourse.course.exercise import all_exercises
from attncourse.mechanisms.dense.softmax import attention

SOLUTIONS = {name: exercise.solution for name, exercise in all_exercises().items()}

solutions = pytest.mark.parametrize("solution", SOLUTIONS.values(), ids=SOLUTIONS)


def undocumented(x):
    x = x + 1
    return [x]


def decorated(function):
    function.seen = True
    return function


@decorated
def with_decorator(x):
    """Says a word."""
    return x


def test_a_stub_is_the_signature_and_docstring_over_not_implemented():
    assert source.stub(double.solution) == inspect.cleandoc(
        '''
        def solution(x, *, plus=0.0):
            """Twice x, and a number more.

            Time and memory O(n).
            """
            raise NotImplementedError
        '''
    )


def test_a_stub_without_a_docstring_is_the_signature():
    assert source.stub(undocumented) == "def undocumented(x):\n    raise NotImplementedError"


def test_a_stub_to_mend_has_the_broken_body_and_does_not_say_what_is_wrong():
    text = source.stub(double.solution, double.wrong_squared)
    assert text.endswith('Time and memory O(n).\n    """\n    return x * x + plus')
    assert text.startswith("def solution(x, *, plus=0.0):")
    assert "squared" not in text


def test_a_definition_is_shown_without_its_decorators():
    assert source.whole(with_decorator) == (
        'def with_decorator(x):\n    """Says a word."""\n    return x'
    )


@solutions
def test_a_stub_parses_and_raises_not_implemented_when_called(solution):
    namespace = {}
    exec("from __future__ import annotations\n" + source.stub(solution), namespace)
    function = namespace[solution.__name__]
    parameters = inspect.signature(solution).parameters
    assert list(inspect.signature(function).parameters) == list(parameters)
    assert inspect.getdoc(function) == inspect.getdoc(solution)
    with pytest.raises(NotImplementedError):
        function(*range(sum(p.default is p.empty for p in parameters.values())))


@solutions
def test_a_stub_holds_no_line_of_the_body(solution):
    shown = source.stub(solution).splitlines()
    assert not {line.strip() for line in shown} & set(source.body_lines(solution))


@solutions
def test_the_whole_is_the_stub_s_head_and_the_body(solution):
    head = source.stub(solution).splitlines()[:-1]
    whole = source.whole(solution).splitlines()
    assert whole[: len(head)] == head
    assert [line.strip() for line in whole[len(head) :] if line.strip()] == source.body_lines(
        solution
    )
    assert ast.parse(source.whole(solution)).body[0].decorator_list == []


def test_body_lines_are_the_code_below_the_docstring():
    assert source.body_lines(double.solution) == [
        "twice_the_tensor = x + x",
        "return twice_the_tensor + plus",
    ]
    assert source.body_lines(undocumented) == ["x = x + 1", "return [x]"]


def test_what_a_function_needs_comes_before_what_needs_it():
    names = [function.__name__ for function in source.needs(attention)]
    assert {"softmax", "masked_softmax", "accumulation_dtype"} <= set(names)
    for function in source.needs(attention):
        before = names[: names.index(function.__name__)]
        assert {other.__name__ for other in source.needs(function)} <= set(before)


def test_what_is_needed_twice_is_there_once():
    needed = source.needs(attention)
    assert len(needed) == len(set(needed))


def test_a_function_that_needs_nothing_of_the_library_needs_nothing():
    assert source.needs(double.solution) == []
