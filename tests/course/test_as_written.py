"""YAML that people write: read as it stands, as the plain loader reads it, and no key twice."""

from pathlib import Path

import pytest
import yaml

from attncourse.course import as_written
from attncourse.course.as_written import BadYaml

BOOK = Path(__file__).parents[2] / "book"
FILES = [
    path for kind in ("claims", "interview", "questions") for path in BOOK.glob(f"{kind}/*.yml")
]


@pytest.fixture
def file(tmp_path):
    def make(text):
        path = tmp_path / "x.yml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


def test_every_file_of_the_book_is_read_as_by_the_plain_loader():
    assert len(FILES) > 60
    for path in FILES:
        assert as_written.read(path) == yaml.load(path.read_text("utf-8"), yaml.BaseLoader)


@pytest.mark.parametrize("libyaml", [True, False])
def test_values_stay_as_they_stand(file, monkeypatch, libyaml):
    if not libyaml:
        monkeypatch.delattr(yaml, "CBaseLoader", raising=False)
    text = f"a: no\nb: [0.10, 1e3, 2026-01-01]\nc: ~\n# {libyaml}\n"
    assert as_written.read(file(text)) == {"a": "no", "b": ["0.10", "1e3", "2026-01-01"], "c": "~"}


def test_an_empty_file_is_nothing(file):
    assert as_written.read(file("# no more than this\n")) is None


@pytest.mark.parametrize(
    "text", ["a: 1\nb: 2\na: 3", "x:\n  a: 1\n  a: 2", "- {a: 1}\n- {a: 1, a: 2}"]
)
def test_a_key_that_is_there_twice_is_refused(file, text):
    with pytest.raises(BadYaml, match=r"^x.yml: a is there twice$"):
        as_written.read(file(text))


def test_what_is_no_yaml_is_told_with_its_place(file):
    for _ in range(2):  # a failure is not remembered as a value
        with pytest.raises(BadYaml, match=r"^x.yml is no YAML: .*line 2, column 1"):
            as_written.read(file("a: [b\n"))


def test_what_was_read_is_ones_own(file):
    path = file("a: [b]")
    as_written.read(path)["a"].append("c")
    assert as_written.read(path) == {"a": ["b"]}
