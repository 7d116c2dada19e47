"""`attncourse quiz`: what it asks, what it says to an answer, and what it keeps."""

import json

import pytest
from click.testing import CliRunner

from attncourse.cli import main, quizzing
from attncourse.course import bank, leitner, progress
from attncourse.course.bank import Question
from attncourse.course.leitner import Card

TODAY = 20_000
CHOICE = Question(
    "masks", "which", 1, "choice", "Which line?", "The *second*.", (("Why?", "So."),),
    "The first.", "It is short.", "here", options=("one", "two"), right=2,
)  # fmt: skip
NUMBER = Question(
    "cost", "how-many", 2, "number", "How many?", "{value} of them.", (("And?", "More."),),
    "All.", "It looks so.", "here", value="7 * 20", unit="weights",
)  # fmt: skip
OPEN = Question(
    "masks", "why", 3, "open", "Why?", "So.", (("And then?", "Then, too."),),
    "Not so.", "It looks so.", "here", rubric=("one fact", "its reason", "a test"),
)  # fmt: skip
BOX = Question("masks", "box", 2, "choice", "A box?", "Yes.", options=("no", "yes"), right=2)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own, a terminal, a small bank, and a day."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quizzing, "terminal", lambda: True)
    monkeypatch.setattr(bank, "load", lambda: [CHOICE, NUMBER, OPEN])
    monkeypatch.setattr(bank, "predictions", lambda: [BOX])
    monkeypatch.setattr(leitner, "today", lambda: TODAY)
    return tmp_path


def quiz(*options, answers=()):
    typed = "".join(f"{answer}\n" for answer in answers)
    arguments = ["quiz", *map(str, options)]
    return CliRunner().invoke(main, arguments, input=typed, env={"COLUMNS": "200"})


def kept():
    return {name: card.box for name, card in progress.cards().items()}


def test_a_choice_is_graded_and_told_with_its_trap():
    done = quiz("--level", 1, answers=["b"])
    assert done.exit_code == 0
    assert "1 of 1 · Masks and numerical safety · level 1" in done.output
    assert "Right." in done.output
    assert "Trap: The first. It is short." in done.output
    assert "Shown in book/masks, at here" in done.output
    assert "1 of 1 right." in done.output
    assert kept() == {"masks/which": 2}


def test_a_wrong_letter_is_told_the_right_one_and_anything_else_is_asked_again():
    done = quiz("--level", 1, answers=["", "c", "2", "A)"])
    assert done.output.count("Choose a letter from a to b, or q to end.") == 3
    assert "Not this time: it is b." in done.output
    assert kept() == {"masks/which": 1}


@pytest.mark.parametrize(("said", "box"), [("140", 2), ("about 138 weights", 2), ("400", 1)])
def test_a_number_is_right_within_five_per_cent(said, box):
    done = quiz("--chapter", "cost", answers=["many", said])
    assert "Type a number, as in 1.25, 8,192 or 8e22, or q to end." in done.output
    assert ("Not this time: it is 140 (weights)." in done.output) is (box == 1)
    assert "140 of them." in done.output
    assert kept() == {"cost/how-many": box}


@pytest.mark.parametrize(("points", "box"), [(0, 1), (1, 1), (2, 2), (3, 2)])
def test_an_open_question_is_marked_by_the_learner(points, box):
    done = quiz("--level", 3, answers=["my answer", "4", "x", points])
    before, _, after = done.output.partition("press Enter")
    assert "So." not in before
    assert "3: a test" in after
    assert done.output.count("Give a number from 0 to 3") == 2
    assert "Then they ask: And then? Then, too." in done.output
    assert kept() == {"masks/why": box}


def test_what_was_missed_comes_first_and_what_is_known_last():
    progress.record_card("masks/why", Card(1, TODAY))
    progress.record_card("masks/which", Card(2, TODAY))
    done = quiz("--count", 3, answers=["", "2", "140", "b"])
    heads = [line for line in done.output.splitlines() if " of 3 · " in line]
    assert [line.rpartition("level ")[2] for line in heads] == ["3", "2", "1"]


def test_the_same_seed_asks_the_same():
    first = quiz("--seed", 3, "--count", 1, answers=["q"])
    assert quiz("--seed", 3, "--count", 1, answers=["q"]).output == first.output


def test_boxes_of_the_pages_are_asked_on_request():
    done = quiz("--chapter", "masks", "--level", 2, "--predictions", answers=["b"])
    assert "a prediction of the page" in done.output
    assert "Shown in book/masks\n" in done.output
    assert kept() == {"masks#box": 2}
    assert quiz("--chapter", "masks", "--level", 2).exit_code == 2


def test_enough_for_today_keeps_what_was_answered():
    done = quiz("--seed", 0, "--count", 3, answers=["b", "140", "", "3", "Q"])
    assert done.exit_code == 0
    assert "Stopped after" in done.output
    assert "what you answered is kept." in done.output
    assert kept()


@pytest.mark.parametrize("stopped", [KeyboardInterrupt, quizzing.click.Abort])
def test_control_c_loses_nothing(monkeypatch, stopped):
    asked = []

    def prompt(*_, **__):
        asked.append(1)
        if len(asked) > 1:
            raise stopped
        return "b"

    progress.record_card("masks/which", Card(1, TODAY))  # so it is the first
    monkeypatch.setattr(quizzing.click, "prompt", prompt)
    done = quiz()
    assert done.exit_code == 130
    assert "Stopped after 1 of 3; what you answered is kept." in done.output
    assert kept() == {"masks/which": 2}


def test_where_answers_end_the_quiz_stops_as_for_control_c():
    done = quiz("--level", 3, answers=[])
    assert done.exit_code == 130
    assert "Stopped after 0 of 1" in done.output


def test_it_is_kept_in_exercises_where_that_was_done_before(here):
    (here / "exercises").mkdir()
    (here / "exercises" / progress.FILE_NAME).write_text("{}")
    quiz("--level", 1, answers=["b"])
    found = json.loads((here / "exercises" / progress.FILE_NAME).read_text())
    assert found == {"question:masks/which": {"box": 2, "day": TODAY}}
    assert not (here / progress.FILE_NAME).exists()


def test_status_tells_what_is_due():
    assert "interview questions" not in CliRunner().invoke(main, ["status"]).output
    progress.record_card("masks/which", Card(1, TODAY))
    progress.record_card("masks/why", Card(2, TODAY))
    told = CliRunner().invoke(main, ["status"]).output
    assert told.endswith("2 interview questions asked, 1 due: `attncourse quiz`.\n")


REFUSED = [
    (
        ("--part", "art"),
        "there is no part art with questions: choose of concepts, mathematics-and-",
    ),
    (("--chapter", "art"), "there is no chapter art with questions: choose of masks, cost"),
    (("--chapter", "cost", "--level", 1), "no question is of that part, chapter and level at once"),
]


@pytest.mark.parametrize(("options", "sentence"), REFUSED)
def test_bad_options_get_a_sentence(options, sentence):
    done = quiz(*options)
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {sentence}")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [("--level", 4), ("--count", 0), ("--seed", "x")])
def test_numbers_out_of_range_are_refused(options):
    assert quiz(*options).exit_code == 2


def test_without_a_terminal_it_says_so(monkeypatch):
    monkeypatch.setattr(quizzing, "terminal", lambda: False)
    done = quiz()
    assert done.exit_code == 2
    assert done.stdout == ""
    assert (
        done.stderr == "Error: a quiz needs a terminal, where you can answer: it was given none\n"
    )


def test_without_questions_it_says_so(monkeypatch):
    monkeypatch.setattr(bank, "load", list)
    done = quiz()
    assert done.exit_code == 2
    assert "the questions are not here" in done.stderr
