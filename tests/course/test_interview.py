"""A mock interview: what is drawn, its notebook, its clock, and the page of feedback."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from attncourse.cli import main
from attncourse.course import interview, report
from attncourse.course.bank import Question
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import get

BEGAN = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
OPEN = Question(
    *("masks", "a", 1, "open", "Why?", "Because."),
    rubric=("one", "two", "three"),
    trap="Never.",
    why="It rhymes.",
    follow_ups=(("Really?", "Really."),),
)
CHOICE = Question("masks", "b", 2, "choice", "Which?", "It is so.", options=("x", "y"), right=2)
ODD = Question("serving", "c", 3, "open", "And?", "Yes.")


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.time = BEGAN

    def __call__(self):
        return self.time

    def save(self, path, minutes):
        """The time goes on, and the notebook is saved."""
        self.time = BEGAN + timedelta(minutes=minutes)
        os.utime(path, (self.time.timestamp(),) * 2)


@pytest.fixture
def clock(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = Clock()
    monkeypatch.setattr(interview, "now", made)
    return made


@pytest.fixture
def three(monkeypatch):
    monkeypatch.setattr(interview, "asked", lambda: [OPEN, CHOICE, ODD])


def attncourse(*arguments):
    return CliRunner().invoke(main, [str(a) for a in arguments], env={"COLUMNS": "200"})


def answered(path, code="", answers=()):
    """Write code and answers, by question, into an interview's notebook."""
    notebook = nbformat.read(path, as_version=4)
    asked = notebook.metadata["attncourse"]["interview"]["questions"]
    for cell in notebook.cells:
        number = cell.metadata.get("attncourse", {}).get("answer")
        if number and asked[number - 1] in answers:
            cell.source = answers[asked[number - 1]]
        if code and cell.cell_type == "code" and "NotImplementedError" in cell.source:
            cell.source = code
    nbformat.write(notebook, path)


# What is drawn


def test_a_seed_draws_the_same_and_seeds_differ():
    one, again = interview.drawn(7, 45), interview.drawn(7, 45)
    assert (one.problem.name, one.questions) == (again.problem.name, again.questions)
    assert len({interview.drawn(seed, 45).problem.name for seed in range(30)}) > 5
    assert len({q.identity for q in one.questions}) == interview.QUESTIONS


def test_every_problem_fits_its_time():
    names = {each.name for each in interview.problems()}
    assert {"attention_with_weights", "shared_attention", "generate", "bleu"} <= names
    for minutes in (23, 30, 60):
        for seed in range(20):
            assert interview.drawn(seed, minutes).problem.minutes + 12 <= minutes
    with pytest.raises(
        interview.InterviewError, match="takes at least 22 minutes: got --minutes 9"
    ):
        interview.drawn(0, 9)
    assert interview.drawn(0, 9, "beam_search").problem.name == "beam_search"


def test_what_is_asked_is_of_the_bank_and_has_words_for_an_answer():
    questions = interview.asked()
    assert len(questions) > 50
    assert {question.kind for question in questions} == {"open", "choice"}
    assert len({question.identity for question in questions}) == len(questions)


# From the beginning to the feedback


def test_an_interview_from_start_to_feedback(clock, three):
    begun = attncourse("interview", "--seed", 3, "--problem", "rouge_l", "--minutes", 40)
    assert begun.exit_code == 0, begun.output
    assert begun.stdout.splitlines() == [
        "wrote interview-3.ipynb: The longest thread in common (rouge_l) and 3 questions",
        "You have 40 minutes from now. Save when you are done, then",
        "  attncourse interview --grade interview-3.ipynb",
    ]
    code = "def rouge_l(candidate, reference):\n    return 0.0\n"
    said = {OPEN.identity: "Since rows sum to one.\nAnd so on.", CHOICE.identity: "**b**, as it is"}
    answered("interview-3.ipynb", code, said)
    clock.save("interview-3.ipynb", 38)
    graded = attncourse("interview", "--grade", "interview-3.ipynb")
    assert graded.exit_code == 0, graded.output
    first, second, third = graded.stdout.splitlines()
    assert first == "38 of 40 minutes"
    assert second.startswith("rouge_l: 0 of 6 checks passed")
    assert third.startswith("wrote interview-3-feedback.md")
    page = Path("interview-3-feedback.md").read_text(encoding="utf-8")
    assert page.startswith(
        "# Feedback on interview 3\n\n**38 of 40 minutes.** The problem was `rouge_l`"
    )
    assert "- ✘ rouge_l: 0 of 6 checks passed" in page
    for question in (OPEN, CHOICE, ODD):
        assert question.identity not in page or question.question in page
    assert "> Since rows sum to one.\n> And so on." in page
    assert "- [ ] one\n- [ ] two\n- [ ] three" in page
    assert "**Trap.** Never. It rhymes." in page
    assert "**And then:** Really? Really." in page
    assert "✔ It is b: y" in page
    assert "> (nothing)" in page
    assert "*Masks and numerical safety*" in page
    assert "Mend `rouge_l` in this notebook" in page


def test_a_right_answer_and_too_many_minutes(clock, three):
    attncourse("interview", "--seed", 4, "--problem", "rouge_l", "--minutes", 33)
    clock.save("interview-4.ipynb", 50)
    held = interview.read(Path("interview-4.ipynb"))
    exercise = get("rouge_l")
    page = interview.feedback(held, run(exercise, LocalAnswer(exercise.solution)))
    assert "**50 of 33 minutes: 17 too many.**" in page
    assert f"{report.MARKS['passed']} rouge_l: 6 of 6 checks passed" in page
    assert "`rouge_l` passes. Now say its cost" in page


def test_looking_again_later_changes_nothing(clock, three):
    attncourse("interview", "--seed", 5, "--problem", "rouge_l")
    clock.save("interview-5.ipynb", 20)
    clock.time = BEGAN + timedelta(days=3)
    assert attncourse("interview", "--grade", "interview-5.ipynb").stdout.startswith("20 of 45")
    clock.time = BEGAN - timedelta(days=1)  # a clock that was put back
    assert attncourse("interview", "--grade", "interview-5.ipynb").stdout.startswith("0 of 45")


def test_nothing_written_is_said_kindly(clock, three):
    attncourse("interview", "--seed", 6, "--problem", "rouge_l")
    clock.save("interview-6.ipynb", 1)
    graded = attncourse("interview", "--grade", "interview-6.ipynb")
    assert "rouge_l: not attempted yet" in graded.stdout
    page = Path("interview-6-feedback.md").read_text(encoding="utf-8")
    assert "Nothing was written." in page


def test_what_is_no_interview_is_refused(clock, tmp_path):
    nbformat.write(nbformat.v4.new_notebook(), "other.ipynb")
    (tmp_path / "torn.ipynb").write_text("{")
    for name, told in (
        ("none.ipynb", "there is no file none.ipynb"),
        ("other.ipynb", "other.ipynb is no notebook that `attncourse interview` made"),
        ("torn.ipynb", "torn.ipynb is no notebook that `attncourse interview` made"),
    ):
        result = attncourse("interview", "--grade", name)
        assert (result.exit_code, result.stderr) == (2, f"Error: {told}\n")


def test_an_interview_is_not_written_over(clock, three):
    attncourse("interview", "--seed", 8)
    again = attncourse("interview", "--seed", 8)
    assert again.exit_code == 2
    assert "interview-8.ipynb is there already" in again.stderr


def test_a_seed_is_found_where_none_is_given(clock, three):
    assert attncourse("interview", "--minutes", 60).stdout.startswith("wrote interview-")
    unknown = attncourse("interview", "--problem", "rouge")
    assert unknown.exit_code == 2
    assert "there is no exercise 'rouge'; did you mean" in unknown.stderr
