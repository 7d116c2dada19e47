"""Data of questions: what is as it should be, and the sentence for what is not."""

import re
from pathlib import Path
from typing import Any

import pytest
import small_book
import yaml

from attncourse.course.asked import questions, wrong
from pages import ROOT
from printed_source import is_source

FILES = sorted(ROOT.glob("book/questions/*.yml"))
GOOD = {"question": "Why?", "options": ["so", "not so"], "right": "1", "explanation": "It is so."}
BAD = {
    "a question has explanation, options, question, right and nothing else": [
        {"hint": "think"},
        {"right": None},
    ],
    "a question has two to four options": [
        {"options": ["so"]},
        {"options": list("abcde")},
        {"options": "so"},
    ],
    "question, explanation and each option are words, none of them empty": [
        {"question": " "},
        {"explanation": ""},
        {"options": ["so", ""]},
        {"options": ["so", ["not", "so"]]},
    ],
    "two options are the same": [{"options": ["so", "so "]}],
    "right is the number of an option, 1 to 2: got 0": [{"right": "0"}],
    "right is the number of an option, 1 to 2: got 3": [{"right": "3"}],
    "right is the number of an option, 1 to 2: got so": [{"right": "so"}],
}
CASES = [(sentence, change) for sentence, changes in BAD.items() for change in changes]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_questions_of_a_page_are_as_they_should_be_and_asked(path: Path) -> None:
    pages = [path.parent.parent / f"{path.stem}{kind}" for kind in (".ipynb", ".md")]
    text = "".join(page.read_text(encoding="utf-8") for page in pages if page.is_file())
    assert [name for name in questions(path) if name not in text] == []


def test_a_question_as_it_should_be_has_no_fault() -> None:
    assert wrong("a-name-2", GOOD) is None
    assert wrong("a", GOOD | {"options": list("abcd"), "right": "4"}) is None


@pytest.mark.parametrize(("sentence", "change"), CASES)
def test_a_fault_is_told_in_a_sentence(sentence: str, change: dict[str, Any]) -> None:
    asked = {key: value for key, value in (GOOD | change).items() if value is not None}
    assert wrong("a-name", asked) == sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [b", "is no YAML: while parsing a flow sequence"),
        ("why: it is: so", "is no YAML: mapping values are not allowed here"),
        ("- a\n- b\n", "holds no questions by their ids"),
        ("", "holds no questions by their ids"),
        ("a: b", "a: a question has explanation, options, question, right and nothing else"),
    ],
)
def test_a_file_that_holds_no_questions_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    path = tmp_path / "page.yml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=rf"^page\.yml,? {re.escape(sentence)}"):
        questions(path)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a--b", "a b", "-a", 'a"b'])
def test_an_id_is_one_that_a_page_can_hold(name: str) -> None:
    assert wrong(name, GOOD) == "an id is of small letters, digits and hyphens"


def test_a_page_with_faults_is_not_built_and_each_is_named(tmp_path: Path) -> None:
    bad = {
        "questions/intro.yml": yaml.safe_dump({"one": GOOD | {"right": 1}, "two": GOOD}),
        "questions/plain.yml": yaml.safe_dump({"one": GOOD | {"right": 7}}),
        "intro.md": """# Faults

```{predict} one
```

```{predict} one
```

```{predict} two
:later:
```

```{answer} one
```

```{predict} nobody
```

```{quiz}
```

```{interactive} nothing-of-the-kind
:caption: Words.
Still.
```

```{interactive} mask-painter
:caption: Words.
```
""",
        "plain.md": "# Plain\n\n```{predict} one\n```\n",
    }
    done = small_book.make(tmp_path, bad)
    assert done.returncode != 0
    told = " ".join((done.stderr + done.stdout).split())
    for sentence in (
        "the question 'one' is asked twice",
        "the answer to 'two' never comes",
        "no {predict} one with :later: stands above this answer",
        "intro.yml has no question 'nobody'",
        "a quiz names its questions, one a line",
        "there is no interactive figure 'nothing-of-the-kind'",
        "an interactive figure has a :caption: and, below it, what print shows",
        "plain.yml, one: right is the number of an option, 1 to 2: got 7",
    ):
        assert sentence in told


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("def f(x):\n    return x\n", True),
        ("@checked\ndef f(x):\n    return x\n\ndef g(): pass\n", True),
        ("class A:\n    pass\n", True),
        ("def is a word\n", False),
        ("def f(x):\n    return x\nf(2)\n", False),
        ("@ 3 of 4\n", False),
        ("[[0.5 0.5]]\n", False),
        ("", False),
    ],
)
def test_printed_source_is_known_by_its_text(text: str, source: bool) -> None:
    assert is_source(text) is source
