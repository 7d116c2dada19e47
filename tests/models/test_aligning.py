"""A small model learns where to look, where the task lets it."""

import pytest
import torch

from attncourse.models.aligning import TASKS, learn_to_align


@pytest.mark.parametrize("task", TASKS)
def test_with_positions_every_task_is_learned(task):
    course = learn_to_align(task, at=(0, 200))
    assert course.right[0] < 0.2
    assert course.right[200] > 0.97


@pytest.mark.parametrize("task", ["copy", "reverse"])
def test_without_positions_order_is_a_guess_among_the_seven_letters(task):
    course = learn_to_align(task, positions=False, at=(200,))
    assert course.right[200] == pytest.approx(1 / 7, abs=0.04)


def test_sorting_needs_no_positions_since_the_answer_is_the_same_for_every_order():
    assert learn_to_align("sort", positions=False, at=(200,)).right[200] > 0.95


def test_the_alignment_of_a_reversal_becomes_the_other_diagonal():
    course = learn_to_align("reverse", at=(0, 200))
    assert course.answer == course.word[::-1]
    first, last = course.frames[0], course.frames[200]
    torch.testing.assert_close(first.sum(dim=-1), torch.ones(7))
    assert first.max() < 0.6
    assert last.flip(-1).diagonal().min() > 0.9


def test_without_positions_the_order_of_the_question_changes_nothing():
    model = learn_to_align("reverse", positions=False, at=(10,)).model
    question, answer = torch.tensor([3, 1, 4, 0, 5]), torch.tensor([2, 6, 1, 3, 0])
    question, answer = torch.cat([question, question[:2] + 9]), torch.cat([answer, answer[:2]])
    shuffled = question[torch.tensor([6, 2, 0, 5, 1, 4, 3])]
    torch.testing.assert_close(model(shuffled, answer), model(question, answer))


def test_the_same_seed_learns_the_same():
    first, second = (learn_to_align("copy", at=(20,), seed=3) for _ in range(2))
    assert torch.equal(first.frames[20], second.frames[20])


def test_an_answer_may_be_shorter_than_the_question():
    course = learn_to_align("reverse", n=5, at=(0, 200))
    assert course.answer == course.word[::-1][:5]
    assert course.frames[200].shape == (5, 7)
    assert course.right[200] > 0.97
    with pytest.raises(ValueError, match=r"^n must be 1 to 7, the letters of a word: got 8$"):
        learn_to_align("copy", n=8)


@pytest.mark.parametrize("word", ["trophy", "letters", "quality"])
def test_a_word_has_seven_different_letters_that_the_model_knows(word):
    told = f"^a word is 7 different letters from a to t: got {word}$"
    with pytest.raises(ValueError, match=told):
        learn_to_align("copy", word=word)


def test_another_task_is_refused():
    with pytest.raises(ValueError, match=r"^task must be one of copy, reverse, sort: got shout$"):
        learn_to_align("shout")
