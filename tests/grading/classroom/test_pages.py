"""The reports in HTML: what they tell, what they must not, and that they stand alone."""

import re
from html.parser import HTMLParser

import pytest
from made_class import DIVIDED, SOFTMAX, STUB, notebook

from attncourse.course.exercise import get
from attncourse.grading.classroom.names import Student
from attncourse.grading.classroom.pages import heatmap
from attncourse.grading.classroom.pages.naming import page_names

VOID = {"meta", "rect", "br", "hr", "img", "link"}
EVIL = "def softmax(x):\n    raise ValueError('<script>alert(1)</script>')\n"


class Reader(HTMLParser):
    """Collects tags and text, and sees that every tag is closed in its turn."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "title"} & set(self.open):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def out(tmp_path_factory, trusted):
    """The reports of a class."""
    root = tmp_path_factory.mktemp("pages")
    folder = root / "class"
    folder.mkdir()
    texts = {"ada": SOFTMAX, "bob": DIVIDED, "eve": STUB, "mal": EVIL, "zoe": SOFTMAX}
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "<b>x.ipynb").write_text("my homework")
    (folder / "lovelaceada_LATE_1_2_softmax.ipynb").write_text(notebook(DIVIDED))
    trusted(folder, root / "out")
    return root / "out"


def page(out, name):
    return (out / "students" / f"{name}.html").read_text(encoding="utf-8")


def everything(out):
    return [*(out / "students").iterdir(), out / "class.html"]


def test_a_page_for_each_student_and_one_for_the_class(out):
    assert len(list((out / "students").iterdir())) == 7
    for path in everything(out):
        Reader(path.read_text(encoding="utf-8"))


def test_pages_stand_alone_without_scripts(out):
    for path in everything(out):
        text = path.read_text(encoding="utf-8")
        tags = Reader(text).tags
        assert not [tag for tag, _ in tags if tag in ("script", "link", "img", "iframe")]
        links = [told["href"] for tag, told in tags if tag == "a"]
        assert not [link for link in links if "://" in link]
        assert "url(" not in text
        assert ("meta", {"name": "color-scheme", "content": "light dark"}) in tags


def test_links_lead_somewhere(out):
    for path in everything(out):
        tags = Reader(path.read_text(encoding="utf-8")).tags
        known = {told["id"] for _, told in tags if "id" in told}
        for link in (told["href"] for tag, told in tags if tag == "a"):
            name, _, place = link.partition("#")
            assert (path.parent / name).is_file() if name else place in known
        named = [told["aria-labelledby"] for _, told in tags if "aria-labelledby" in told]
        assert set(named) <= known


def test_a_learner_is_told_the_mistake_the_hint_and_sees_the_result(out):
    read = Reader(page(out, "bob"))
    assert "You divided the scores by their sum." in read.text
    assert f"Hint 1 of {len(get('softmax').hints)}: {get('softmax').hints[0]}" in read.text
    drawn = [told for tag, told in read.tags if tag == "rect"]
    assert len(drawn) == 5 * 24  # of 5 by 37
    caption = "“equals exp(x) over its sum, row by row”, 5 by 37 (here the first 5 by 24): blue"
    assert caption in read.text
    assert "Everything passed. Well done." in Reader(page(out, "ada")).text


def test_a_learner_is_told_no_expected_value_and_no_other_student(out):
    for path in (out / "students").iterdir():
        text = Reader(path.read_text(encoding="utf-8")).text
        assert not re.search(r"expected (-?\d|True|False)", text)
        others = {"ada", "bob", "eve", "mal", "zoe"} - {path.stem}
        assert not [name for name in others if re.search(rf"\b{name}\b", text)]


def test_what_a_submission_says_is_text(out):
    for path in everything(out):
        assert "<script" not in path.read_text(encoding="utf-8")
    assert "<script>alert(1)</script>" in Reader(page(out, "mal")).text
    assert "&lt;b&gt;x" in (out / "class.html").read_text(encoding="utf-8")


def test_the_class_page_tells_what_a_teacher_acts_on(out):
    text = Reader((out / "class.html").read_text(encoding="utf-8")).text
    assert "7 students" in text
    assert re.search(r"in softmax · 2 students You divided the scores by their sum\.", text)
    reason = "<b>x : <b>x.ipynb is not a Jupyter notebook: it is not JSON."
    assert (
        f"Unreadable or missing 1 What is not known has no points, and is never 0. {reason}" in text
    )
    assert (
        "Exceptions 1 The answer raises. The first one of each. mal : softmax: your function"
        in text
    )
    assert "Late 1 lovelaceada (1)" in text
    assert re.search(
        r"The same file from several students 1 ada \(ada.py\)\s?, zoe \(zoe.py\)", text
    )


def test_what_to_look_at_stands_first_and_cells_lead_to_their_section(out):
    read = Reader((out / "class.html").read_text(encoding="utf-8"))
    assert next(told["id"] for tag, told in read.tags if tag == "h2") == "look"
    links = {told["href"] for tag, told in read.tags if tag == "a"}
    assert "students/bob.html#softmax" in links


def test_what_decided_who_is_who_is_told(out):
    text = Reader((out / "class.html").read_text(encoding="utf-8")).text
    who = text.partition("Who is who")[2]
    assert "6 by the name of the file" in who
    assert "1 by Canvas's names of files lovelaceada (1) : softmax.ipynb" in who


def test_no_two_students_share_a_page():
    names = [Student("Zoë"), Student("Zoe"), Student("zoe"), Student("zoe", "1"), Student("李")]
    found = page_names(names)
    assert len(set(found.values())) == 5
    assert all(re.fullmatch(r"[a-z0-9-]+\.html", name) for name in found.values())
    assert found[Student("zoe", "1")] == "zoe-1.html"


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("Ada Lovelace", "ada-lovelace.html"),
        ("Lovelace, Ada", "lovelace-ada.html"),
        ("Łukasz Strauß", "lukasz-strauss.html"),
        ("Jörg Ångström", "jorg-angstrom.html"),
        ("Анна Щукина", "anna-shchukina.html"),
        ("Σοφία", "sofia.html"),
    ],
)
def test_a_page_is_called_as_its_student(name, file):
    assert page_names([Student(name)]) == {Student(name): file}


@pytest.mark.parametrize("name", ["李明", "../../etc", "<b>", "1"])
def test_a_name_without_letters_of_its_own_gets_a_hash(name):
    (file,) = page_names([Student(name)]).values()
    assert re.fullmatch(r"(student-[0-9a-f]{8}|etc|b)\.html", file)


def test_a_picture_marks_what_is_not_finite():
    figure = {"check": "c", "shape": [1, 4], "values": [[1.0, -0.5, "nan", "-inf"]]}
    drawn = str(heatmap.svg(figure, "a < b"))
    assert re.findall(r'class="(\w+)" x', drawn) == ["plus", "minus", "odd", "odd"]
    assert re.findall(r"<text[^>]*>([^<]*)", drawn) == ["1", "-0.5", "NaN", "-∞"]
    assert "<title>a &lt; b</title>" in drawn
