"""junit.xml: a suite for each student and exercise, a case for each check."""

from collections.abc import Iterator
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from attncourse.course import report
from attncourse.grading.classroom import words
from attncourse.grading.classroom.files import printable
from attncourse.grading.classroom.gradebook import Gradebook
from attncourse.grading.classroom.rows import Row

COUNTS = {"failure": "failures", "error": "errors", "skipped": "skipped"}


def text(book: Gradebook) -> str:
    """The whole class as JUnit XML; what the grader failed at, or could not read, is an error."""
    root = Element("testsuites", name=book.scheme.title)
    for row in book.rows:
        suite = SubElement(root, "testsuite", name=printable(str(row.student)))
        for case in _cases(book, row):
            suite.append(case)
        _count(suite, suite)
    _count(root, root)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _cases(book: Gradebook, row: Row) -> Iterator[Element]:
    for name in book.exercises:
        record = row.scores[name].record
        if record is None:
            continue
        if record["state"] == "needs-regrade":
            yield _case(row, name, name, "error", f"needs-regrade: {record['fault']}")
        for check in words.result(record, show_expected=True).checks:
            kind = {"passed": "", "skipped": "skipped"}.get(check.state, "failure")
            yield _case(row, name, check.name, kind, "\n".join(report.advice(check)))
    for name in book.exercises:
        score = row.scores[name]
        told = score.unclear or score.hidden
        if told and row.state not in ("unreadable", "no exercise found"):
            yield _case(row, name, score.state, "error", f"{score.state}: {', '.join(told)}")
    if row.state != "graded":
        yield _case(row, row.state, row.state, "error", " ".join(row.notes) or row.state)


def _case(row: Row, exercise: str, name: str, kind: str, message: str) -> Element:
    case = Element("testcase", classname=printable(f"{row.student}.{exercise}"), name=name)
    if kind:
        told = SubElement(case, kind, message=printable(message.partition("\n")[0]))
        told.text = printable(message)
    return case


def _count(element: Element, where: Element) -> None:
    element.set("tests", str(len(list(where.iter("testcase")))))
    for kind, name in COUNTS.items():
        element.set(name, str(len(list(where.iter(kind)))))
