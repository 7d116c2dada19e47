"""The gates of the exercises: one test for all of them, so that a new exercise needs no edit here.

The stub is "not attempted", the solution passes, every ``wrong_*`` fails *and* is named by its own
docstring and no other, every ``right_*`` passes; answers of the wrong kind get one clear sentence.
"""

import inspect
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from attncourse.core.rules import TensorRule, read_rule
from attncourse.course.calls import Call, Misconception
from attncourse.course.checking import LocalAnswer, Result, Student, attempt, run
from attncourse.course.diagnose import AMONG_OTHERS
from attncourse.course.exercise import all_exercises, broken, whole_doc
from attncourse.course.rules import broken_rules, misplaced
from attncourse.grading.judge.memory.outcomes import Outcomes, key
from attncourse.measure.cost import operators
from attncourse.testing import same_value, secret_inputs

EXERCISES = list(all_exercises().values())
WRONG = [(e, name) for e in EXERCISES for name in e.wrong]
RIGHT = [(e, name) for e in EXERCISES for name in e.right]

FIRST, *OTHERS = [b"the secret of a run", b"that of another", b"a third"]
IN_TURN = [FIRST, *(pytest.param(secret, marks=pytest.mark.by_turns) for secret in OTHERS)]
BUDGET = 600_000  # operators that the answers of one exercise take, about four quiet seconds
OUTCOMES = Outcomes()  # one answer after the other is asked the same

pytestmark = pytest.mark.early  # one process has all of it, while the other does the rest
exercises = pytest.mark.parametrize("exercise", EXERCISES, ids=[e.name for e in EXERCISES])


def variants(pairs):
    """Parametrise over (exercise, name) pairs."""
    ids = [f"{e.name}-{name}" for e, name in pairs]
    return pytest.mark.parametrize(("exercise", "name"), pairs, ids=ids)


def grade(exercise, function) -> Result:
    """The checks of the exercise, run as a learner's notebook runs them."""
    return run(exercise, LocalAnswer(function, exercise.forbidden), known)


def known(probe, args, kwargs, outcome) -> Call:
    """A call on inputs on which most of the course's own functions were asked already."""
    return Call(probe, args, kwargs, outcome, OUTCOMES.on(probe, key(args, kwargs)))


def fails(exercise, function) -> bool:
    """Does a check fail? After the first that does, no other is asked."""
    answer = LocalAnswer(function)  # to refuse what is forbidden takes longer than most calls
    results = (attempt(exercise, check, answer, known)[0] for check in exercise.checks)
    return any(result.state != "passed" for result in results)


def unattempted(*args, **kwargs):
    """What a learner starts from."""
    raise NotImplementedError


# The four gates


@exercises
def test_the_stub_passes_nothing(exercise):
    result = grade(exercise, exercise.stub or unattempted)
    expected = "failed" if exercise.stub else "not attempted"
    assert result.state == expected
    if exercise.stub is None:
        assert {check.state for check in result.checks} == {"not attempted"}


@exercises
def test_the_solution_passes(exercise):
    result = grade(exercise, exercise.solution)
    assert [(c.name, c.message) for c in result.checks if c.state != "passed"] == []


@variants(WRONG)
def test_a_wrong_answer_fails_and_is_named(exercise, name):
    result = grade(replace(exercise, forbidden=()), exercise.wrong[name])  # refusing takes longer
    failed = [check for check in result.checks if check.state == "failed"]
    assert failed, f"wrong_{name} passes every check"
    assert all(is_told(exercise, name, failed)), [(c.misconception, c.message) for c in failed]
    assert all_sentences(failed)


@variants(RIGHT)
def test_a_right_answer_passes(exercise, name):
    result = grade(exercise, exercise.right[name])
    assert [(c.name, c.message) for c in result.checks if c.state != "passed"] == []


# What a module must hold


@pytest.mark.parametrize("secret", IN_TURN)
@exercises
def test_the_verdict_does_not_depend_on_the_secret(exercise, secret):
    with secret_inputs(secret):
        for name, function in {"solution": exercise.solution, **exercise.right}.items():
            assert not fails(exercise, function), name
        for name, function in exercise.wrong.items():
            assert fails(exercise, function), name


@pytest.mark.by_turns
@exercises
def test_a_wrong_answer_is_named_on_inputs_that_a_class_is_graded_on(exercise):
    with secret_inputs(FIRST):
        for name, function in exercise.wrong.items():
            checks = grade(exercise, function).checks
            failed = [check for check in checks if check.state == "failed"]
            assert all(is_told(exercise, name, failed)), name


@exercises
def test_an_exercise_keeps_the_rules(exercise):
    assert "\n".join(broken_rules(exercise)) == ""


def test_every_module_can_be_loaded_and_has_a_name_and_a_chapter_of_its_own():
    assert broken() == {}
    assert misplaced() == []


def test_the_wrong_versions_of_the_audit_are_named():
    assert len(all_exercises()["attention"].wrong) >= 25


# Answers of the wrong kind


def gives_none(value):
    return None


def gives_a_list(value):
    return [value]


def gives_numpy(value):
    return np.asarray(value.detach().float() if isinstance(value, Tensor) else value)


def gives_another_shape(value):
    if isinstance(value, str):
        return torch.tensor([len(value)])
    return value[..., None] if isinstance(value, Tensor) else torch.tensor([value])


def gives_another_dtype(value):
    if not isinstance(value, Tensor):
        return len(value) if isinstance(value, str) else str(value)
    other = torch.float16 if value.dtype == torch.float32 else torch.float32
    return value.to(other)


def raises(value):
    raise ValueError("boom")


def exits(value):
    raise SystemExit(3)


KINDS = {
    gives_none: "None[;,] expected a",
    gives_a_list: "a list[;,] expected a",
    gives_numpy: "a numpy array[;,] expected a",
    gives_another_shape: r"an? \w+ tensor of shape \(.*1,?\); expected an? ",
    gives_another_dtype: r"(float\d\d numbers|the str '.*'|the int \d+); expected ",
    raises: "your function raised ValueError: boom",
    exits: "your function raised SystemExit: 3",
}


@exercises
@pytest.mark.parametrize("change", KINDS, ids=lambda change: change.__name__)
def test_an_answer_of_the_wrong_kind_gets_one_sentence(exercise, change):
    def answer(*args, **kwargs):
        value = exercise.solution(*args, **kwargs)
        several = isinstance(value, tuple | list)
        return type(value)([change(value[0]), *value[1:]]) if several else change(value)

    result = grade(replace(exercise, wrong={}), answer)  # no misconception is looked for: faster
    assert result.state == "failed"
    failed = [check for check in result.checks if check.state == "failed"]
    if change not in (gives_another_shape, gives_another_dtype):  # these have right gradients
        assert len(failed) == len(exercise.checks)
    assert re.search(KINDS[change], failed[0].message), failed[0].message
    assert all_sentences(failed)


@exercises
def test_an_answer_that_edits_its_input_is_told_which(exercise):
    first = next(iter(calls_of(exercise)))
    edited = [i for i, x in enumerate(first.args) if isinstance(x, Tensor)]
    if not edited:
        assert all(not isinstance(x, Tensor) for call in calls_of(exercise) for x in call.args)
        return  # nothing to edit: the exercise takes numbers only

    def answer(*args, **kwargs):
        out = exercise.solution(*args, **kwargs)
        with torch.no_grad():
            given = args[edited[0]]
            given.logical_not_() if given.dtype == torch.bool else given.add_(1)
        return out

    checks = grade(replace(exercise, wrong={}), answer).checks
    failed = [check for check in checks if check.state == "failed"]
    name = signature(exercise.solution)[edited[0]].name
    assert f"your function modified its argument {name};" in failed[0].message
    assert all_sentences(failed)


# The checks themselves


@exercises
def test_a_check_gives_the_same_twice(exercise):
    again = zip(calls_of(exercise), calls_of(exercise), strict=True)
    for first, second in again:
        assert first.probe == second.probe
        assert same_value(tree_leaves(first.args), tree_leaves(second.args))
        assert same_value(tree_leaves(first.kwargs), tree_leaves(second.kwargs))
    name, wrong = next(iter(exercise.wrong.items()))
    alone = replace(exercise, wrong={name: wrong})
    one, two = grade(alone, wrong), grade(alone, wrong)
    assert [summary(check) for check in one.checks] == [summary(check) for check in two.checks]


ROLES = {"q": "q", "k": "k", "v": "v", "query": "q", "keys": "k", "values": "v"}


@exercises
def test_the_inputs_tell_mistakes_apart(exercise):
    parameters = [p.name for p in signature(exercise.solution)]
    for call in calls_of(exercise):
        named = zip(parameters, call.args, strict=False)
        role = {ROLES[name]: x for name, x in named if name in ROLES and isinstance(x, Tensor)}
        for x in role.values():
            assert x.shape[-1] not in {1, 4}, "a width at which sqrt(d) tells little"
        if {"q", "k"} <= role.keys() and role["k"].ndim > 1:  # one token has no axis of tokens
            assert not role["q"].shape[-2:] == role["k"].shape[-2:] == role["k"].mT.shape[-2:]
        if {"k", "v"} <= role.keys():
            assert not same_value(role["k"], role["v"]), "keys equal to values"


@exercises
def test_the_inputs_meet_the_standard(exercise):
    """Two sets of sizes, an axis of length one and none in front, float32, gradients."""
    rules = {n: read_rule(n, a) for n, a in exercise.solution.__annotations__.items()}
    made = calls_of(exercise)
    calls = [bound(exercise, call) for call in made]
    for name, rule in rules.items():
        given = [call.get(name) for call in calls]
        unasked = re.compile(rf"^- `{name}` .*: no call here gives one\.$", re.MULTILINE)
        if unasked.search(exercise.statement):
            assert set(given) == {None}
            continue
        if isinstance(rule, TensorRule) and name != "return":
            tensors = [x for x in given if isinstance(x, Tensor)]
            for place, axis in enumerate(rule.axes):
                if f"{axis} = 1" in exercise.statement:  # "one token, n = 1"
                    assert {rule.named(x)[place] for x in tensors} == {1}
                    continue
                assert len({rule.named(x)[place] for x in tensors} - {1}) >= 2, "one size only"
            leads = {rule.lead(x) for x in tensors}
            assert not rule.leading or (() in leads and any(1 in lead for lead in leads))
            if rule.kind == "Float":
                assert {torch.float64, torch.float32} <= {x.dtype for x in tensors}
        elif rule is int and name != "return":
            assert len(set(given)) >= 4
    inputs = [rule for name, rule in rules.items() if name != "return"]
    floats = any(isinstance(r, TensorRule) and r.kind == "Float" for r in inputs)
    unasked = "\n- No gradient is asked for" in exercise.statement  # a kernel has none of its own
    assert not floats or unasked or "gradients" in {call.probe for call in made}
    assert len(exercise.checks) <= 8


def bound(exercise, call):
    """The arguments of a call by name."""
    names = [parameter.name for parameter in signature(exercise.solution)]
    return dict(zip(names, call.args, strict=False)) | call.kwargs


@exercises
def test_the_gates_of_an_exercise_cost_little(exercise):
    """Counted, since a second of a processor means little beside busy neighbours."""
    answers = 1 + bool(exercise.stub) + len(exercise.wrong) + len(exercise.right)
    one = operators(grade, exercise, exercise.solution)
    assert one * answers < BUDGET, f"{one:,} for each of {answers} answers"


def calls_of(exercise):
    """Every call that the checks make, recorded on the solution."""
    calls = []
    for check in exercise.checks.values():
        student = Student(exercise, LocalAnswer(exercise.solution))
        check(student)
        calls += student.calls
    return calls


def summary(check):
    return check.name, check.state, check.message, check.misconception


def is_told(exercise, name, failed):
    """Is each failure the mistake's own? Or, where all is NaN or zero, is it one way to that?"""
    advice = whole_doc(exercise.wrong[name])
    if failed[0].misconception is None:
        yield failed[0].message.endswith(f"{AMONG_OTHERS} {advice}")
        nothing = ("NaN", "infinity", "not finite", "yours is 0, ")
        yield any(word in failed[0].message for word in nothing)
    for check in failed:
        if failed[0].misconception or check.misconception:
            yield check.misconception == Misconception(name, advice)


def all_sentences(checks):
    """Is every message one or a few plain sentences on one line?"""
    for check in checks:
        assert check.message.strip(), f"{check.name} says nothing"
        assert "\n" not in check.message
        assert len(check.message) < 600
        assert "Traceback" not in check.message
        assert "is not true" not in check.message
    return True


def signature(function):
    return list(inspect.signature(function).parameters.values())
