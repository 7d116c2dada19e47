"""The example that ends the docstring of every public name runs, and prints what it says."""

import doctest
import inspect
import io
import math

import pytest
import torch

import attncourse


def pieces(name):
    """The prose and the examples of a docstring, in turn; the last is what follows an example."""
    return doctest.DocTestParser().parse(inspect.cleandoc(getattr(attncourse, name).__doc__), name)


def examples(name):
    return [piece for piece in pieces(name) if isinstance(piece, doctest.Example)]


def ran(name, examples):
    """What doctest has to say of examples, run where all public names, torch and math are known."""
    known = {public: getattr(attncourse, public) for public in attncourse.__all__}
    test = doctest.DocTest(examples, known | {"torch": torch, "math": math}, name, None, 0, None)
    said = io.StringIO()
    doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=said.write)
    return said.getvalue()


@pytest.mark.parametrize("name", attncourse.__all__)
def test_the_example_of_a_public_name_holds(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # `check` keeps a learner's progress in the folder
    monkeypatch.delenv("ATTNCOURSE_STRICT", raising=False)
    wrong = ran(name, examples(name))
    assert not wrong, wrong


@pytest.mark.parametrize("name", attncourse.__all__)
def test_a_docstring_ends_in_an_example_that_calls_the_name_and_skips_nothing(name):
    calls = "".join(example.source for example in examples(name))
    assert f"{name}(" in calls or f"{name}.load(" in calls, (
        f"{name} has no example in its docstring"
    )
    assert not any(example.options for example in examples(name))
    assert pieces(name)[-1] == "", f"the example of {name} must end its docstring"


def test_an_example_that_prints_something_else_is_found():
    wrong = doctest.DocTestParser().get_examples(">>> causal_mask(1, 1).tolist()\n[[False]]\n")
    assert "Expected:\n    [[False]]\nGot:\n    [[True]]" in ran("causal_mask", wrong)
