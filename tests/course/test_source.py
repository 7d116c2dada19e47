"""The text of a function as a notebook shows it: stub, solution, and what the solution needs."""

import ast
import inspect
import re

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


def with_an_example(x):
    r"""Gives a word.

    Raises ValueError for \\x, and is fast.

    >>> with_an_example(1)
    'word'
    """
    return "word"


def test_a_stub_is_the_signature_and_the_first_line_over_not_implemented():
    assert source.stub(double.solution) == inspect.cleandoc(
        '''
        def solution(x, *, plus=0.0):
            """Twice x, and a number more."""
            raise NotImplementedError
        '''
    )


def test_a_stub_keeps_the_example_and_promises_nothing_else():
    assert source.stub(with_an_example) == inspect.cleandoc(
        '''
        def with_an_example(x):
            r"""Gives a word.

            >>> with_an_example(1)
            'word'
            """
            raise NotImplementedError
        '''
    )


@solutions
def test_no_stub_promises_what_no_check_asks_for(solution):
    # "memory" is also what an argument is called
    promises = r"Raises|accumulated|summed in|\b(in|of|less|much) memory"
    assert not re.search(promises, source.stub(solution))
    assert ">>>" in source.stub(solution)


def test_a_stub_without_a_docstring_is_the_signature():
    assert source.stub(undocumented) == "def undocumented(x):\n    raise NotImplementedError"


def test_a_stub_to_mend_has_the_broken_body_and_does_not_say_what_is_wrong():
    text = source.stub(double.solution, double.wrong_squared)
    assert text.endswith('Twice x, and a number more."""\n    return x * x + plus')
    assert text.startswith("def solution(x, *, plus=0.0):")
    assert "squared" not in text


def test_an_exercise_may_have_another_name_than_its_solution():
    stub = source.stub(with_an_example, with_decorator, name="fix_it")
    assert stub == inspect.cleandoc(
        '''
        def fix_it(x):
            r"""Gives a word.

            >>> fix_it(1)
            'word'
            """
            return x
        '''
    )
    assert source.whole(with_decorator, name="fix_it").startswith("def fix_it(x):")
    assert ">>> fix_it(q, k, v" in source.whole(attention, name="fix_it")


def test_free_names_are_those_that_somebody_else_must_bind():
    code = "import torch\ndef f(x, *, y):\n    z = [len(a) for a in x]\n    return torch.exp(z + b)"
    assert source.free_names(code) == {"b"}


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
    assert inspect.getdoc(function).splitlines()[0] == inspect.getdoc(solution).splitlines()[0]
    needed = [p for p in parameters.values() if p.default is p.empty]
    named = {p.name: None for p in needed if p.kind is p.KEYWORD_ONLY}
    with pytest.raises(NotImplementedError):
        function(*range(len(needed) - len(named)), **named)


@solutions
def test_a_stub_holds_no_line_of_the_body(solution):
    shown = source.stub(solution).splitlines()
    assert not {line.strip() for line in shown} & set(source.body_lines(solution))


@solutions
def test_the_whole_begins_as_the_stub_and_ends_in_the_body(solution):
    head, docstring, _ = source.stub(solution).partition('"""')
    whole, body = source.whole(solution), source.body_lines(solution)
    assert whole.startswith(head + docstring)
    assert [line.strip() for line in whole.splitlines() if line.strip()][-len(body) :] == body
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
