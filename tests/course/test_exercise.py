"""The contract of an exercise module, the order of the course, and names that do not exist."""

import importlib
import os
import shutil
import subprocess
import sys

import pytest

import double
from attncourse.course import exercise as contract
from attncourse.course.exercise import (
    BrokenExercise,
    UnknownExercise,
    all_exercises,
    get,
    of_chapter,
    read,
)
from attncourse.exercises import Borrow


def test_a_module_is_read_by_the_contract(exercise):
    assert (exercise.name, exercise.title) == ("double", "Twice a tensor")
    assert exercise.statement == "Compute $2 x + p$ for a tensor `x` and the number `plus`."
    assert (exercise.chapter, exercise.difficulty, exercise.minutes) == ("masks", 1, 5)
    assert exercise.hints == double.hints
    assert exercise.forbidden == ("softmax",)
    assert exercise.solution is double.solution
    assert exercise.stub is None


def test_functions_are_grouped_by_their_prefix_in_the_order_they_stand(exercise):
    assert list(exercise.checks) == [
        "doubles_a_matrix",
        "adds_the_number",
        "has_the_right_gradient",
    ]
    assert exercise.wrong == {
        "squared": double.wrong_squared,
        "number_forgotten": double.wrong_number_forgotten,
    }
    assert exercise.right == {"by_product": double.right_by_product}


def test_only_functions_are_grouped(variant):
    assert "words" not in read(variant(wrong_words="not a function")).wrong


def test_forbidden_and_stub_may_be_left_out_or_given(variant):
    assert read(variant(forbidden=None)).forbidden == ()
    assert read(variant(stub=double.wrong_squared)).stub is double.wrong_squared


@pytest.mark.parametrize("field", ["difficulty", "minutes", "hints", "solution"])
def test_a_missing_field_is_named(variant, field):
    with pytest.raises(BrokenExercise, match=f"^exercise module double lacks {field}$"):
        read(variant(**{field: None}))


def test_all_missing_fields_are_named_at_once(variant):
    with pytest.raises(BrokenExercise, match="^exercise module double lacks minutes, hints$"):
        read(variant(minutes=None, hints=None))


@pytest.mark.parametrize("docstring", [None, "", "Twice a tensor\n\nWithout a #.", "#Twice"])
def test_a_docstring_without_a_title_is_refused(variant, docstring):
    module = variant()
    module.__doc__ = docstring
    with pytest.raises(BrokenExercise, match='double lacks a docstring that begins with "# Title"'):
        read(module)


EASY_TO_HARD = [
    ("early", {"chapter": "weighted_mean", "difficulty": 5, "minutes": 60}),
    ("easy", {"difficulty": 1, "minutes": 30}),
    ("quick", {"difficulty": 2, "minutes": 5}),
    ("slow", {"difficulty": 2, "minutes": 25}),
    ("slower", {"difficulty": 2, "minutes": 25}),
]


def test_the_order_is_by_chapter_then_difficulty_then_minutes_then_name(variant):
    expected = [name for name, _ in EASY_TO_HARD]
    shuffled = [read(variant(name, **changes)) for name, changes in reversed(EASY_TO_HARD)]
    assert [e.name for e in sorted(shuffled, key=lambda e: e.rank)] == expected


def test_the_course_is_in_that_order():
    ranks = [exercise.rank for exercise in all_exercises().values()]
    assert ranks == sorted(ranks)


def test_an_exercise_is_found_by_its_name():
    assert get("softmax").name == "softmax"


@pytest.mark.parametrize("typo", ["atention", "Attention", "attention_"])
def test_an_unknown_name_is_offered_the_nearest(typo):
    with pytest.raises(UnknownExercise) as caught:
        get(typo)
    assert str(caught.value) == f"there is no exercise '{typo}'; did you mean 'attention'?"


def test_a_name_near_to_nothing_is_sent_to_the_list():
    with pytest.raises(UnknownExercise, match="^there is no exercise 'qqq'; `attncourse list`"):
        get("qqq")


def test_the_exercises_of_a_chapter(toy_course, exercise):
    assert of_chapter("masks") == [exercise]
    assert of_chapter("weighted-mean") == []


def test_what_a_function_says():
    assert contract.first_line(double.check_adds_the_number) == "adds the number after doubling"
    assert contract.first_line(double.wrong_squared) == "You squared x. Twice a number is"
    told = contract.whole_doc(double.wrong_squared)
    assert told == "You squared x. Twice a number is a sum: add x to itself."


def test_a_function_without_a_docstring_says_its_name():
    def silent():
        return None

    assert contract.first_line(silent) == contract.whole_doc(silent) == "silent"


# Borrowing


def quadruple(twice):
    """An exercise that uses the learner's double: four times x, and the number."""

    def answer(x, *, plus=0.0):
        return twice(twice(x), plus=plus)

    return answer


def borrowing(variant, *names, **changes):
    lender = variant()
    return variant("quadruple", borrowed=(Borrow(lender, quadruple, names),), **changes)


def test_a_borrowed_mistake_is_the_lenders_inside_the_borrowers_function(variant):
    module = borrowing(variant, "wrong_forgotten", wrong_squared=None)
    module.borrowed[0].lender.wrong_forgotten = double.wrong_number_forgotten
    wrong = read(module).wrong
    assert list(wrong) == ["number_forgotten", "forgotten"]
    assert wrong["forgotten"](3, plus=1) == 12
    assert wrong["forgotten"].__doc__ == double.wrong_number_forgotten.__doc__
    assert double.wrong_number_forgotten(3, plus=1) == 6


def test_a_borrowed_check_asks_as_it_asks_the_lenders_function(variant):
    check = double.check_doubles_a_matrix
    module = borrowing(variant, "check_doubles_a_matrix", check_doubles_a_matrix=None)
    assert read(module).checks["doubles_a_matrix"] is check


def test_what_was_borrowed_can_be_borrowed_again(variant):
    first = borrowing(variant, "wrong_squared", wrong_squared=None)
    second = variant("sixteen", wrong_squared=None)
    second.borrowed = (Borrow(first, quadruple, ("wrong_squared",)),)
    assert read(second).wrong["squared"](3) == 3**16


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("wrong_squared", "which it has itself"),
        ("wrong_cubed", "which attncourse.exercises.masks.double lacks"),
    ],
)
def test_what_cannot_be_borrowed_is_named(variant, name, why):
    with pytest.raises(BrokenExercise, match=f"quadruple borrows {name}, {why}$"):
        read(borrowing(variant, name))


# Ninety exercises


@pytest.fixture
def ninety(monkeypatch, tmp_path):
    """A course of ninety toys in three chapters, one of them broken; says what was imported."""
    for chapter in ("weighted_mean", "masks", "cost"):
        folder = tmp_path / "ninety" / chapter
        folder.mkdir(parents=True)
        (folder / "__init__.py").touch()
        for number in range(30):
            shutil.copy(double.__file__, folder / f"{chapter}_{number}.py")
    (folder / "cost_7.py").write_text("import nothing_of_the_kind\n")
    (folder / "_shared.py").touch()
    (tmp_path / "ninety" / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(contract, "exercises", importlib.import_module("ninety"))
    contract.names.cache_clear()
    yield lambda: sorted(name for name in sys.modules if name.startswith("ninety."))
    contract.names.cache_clear()
    for name in [name for name in sys.modules if name.split(".")[0] == "ninety"]:
        del sys.modules[name]


def test_one_exercise_of_ninety_is_loaded_alone(ninety):
    with pytest.raises(UnknownExercise, match="did you mean 'masks_17'"):
        get("maks_17")
    assert ninety() == []
    assert get("masks_17").chapter == "masks"
    assert ninety() == ["ninety.masks", "ninety.masks.masks_17"]


def test_a_broken_module_breaks_itself_alone(ninety):
    assert get("cost_8").name == "cost_8"
    sentence = (
        "exercise module cost_7 cannot be loaded: "
        "ModuleNotFoundError: No module named 'nothing_of_the_kind'"
    )
    with pytest.raises(BrokenExercise) as caught:
        get("cost_7")
    assert str(caught.value) == sentence
    assert contract.broken() == {"cost_7": sentence}
    assert len(all_exercises()) == 89
    assert len(of_chapter("cost")) == 29
    assert contract.in_order()[-1] == "cost_7"
    assert contract.chapters() == ["weighted-mean", "masks", "cost"]


FIRST_CHECK = """
import sys
import attncourse
def softmax(x): raise NotImplementedError
attncourse.check(softmax)
print(*sorted(name for name in sys.modules if name.startswith("attncourse.exercises.")))
"""


def test_the_first_check_loads_no_other_exercise(tmp_path):
    command = [sys.executable, "-c", FIRST_CHECK]
    as_a_learner = {k: v for k, v in os.environ.items() if k != "ATTNCOURSE_STRICT"}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=tmp_path, env=as_a_learner
    )
    chapter = "attncourse.exercises.scores_and_scaling"
    assert done.stdout.splitlines()[-1].split() == [chapter, f"{chapter}.softmax"]
