"""The contract of an exercise module, the order of the course, and names that do not exist."""

import pytest

import double
from attncourse.course import exercise as contract
from attncourse.course.exercise import UnknownExercise, all_exercises, get, of_chapter, read


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


@pytest.mark.parametrize("field", ["chapter", "difficulty", "minutes", "hints", "solution"])
def test_a_missing_field_is_named(variant, field):
    with pytest.raises(ValueError, match=f"^exercise module double lacks {field}$"):
        read(variant(**{field: None}))


def test_all_missing_fields_are_named_at_once(variant):
    with pytest.raises(ValueError, match="^exercise module double lacks minutes, hints$"):
        read(variant(minutes=None, hints=None))


@pytest.mark.parametrize("docstring", [None, "", "Twice a tensor\n\nWithout a #.", "#Twice"])
def test_a_docstring_without_a_title_is_refused(variant, docstring):
    module = variant()
    module.__doc__ = docstring
    with pytest.raises(ValueError, match='double lacks a docstring that begins with "# Title"'):
        read(module)


def test_an_unknown_chapter_is_refused(variant):
    with pytest.raises(ValueError, match="module double names an unknown chapter: 'mask'"):
        read(variant(chapter="mask"))


EASY_TO_HARD = [
    ("early", {"chapter": "weighted-mean", "difficulty": 5, "minutes": 60}),
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
