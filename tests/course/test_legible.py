"""Signs that an encoding lacks are written as the nearest that it has, one for one."""

import io
import subprocess
import sys

import pytest

from attncourse.course import legible
from attncourse.course.report import MARKS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("✔ ✘ ○ –", "+ x o -"),
        ("★★☆☆☆", "**..."),
        ("Chloé’s “n × m” ≤ 3…", 'Chloe\'s "n x m" < 3.'),
        ("ﬁ α 注 \ud800 \U0001f600", "f ? ? ? ?"),
        ("plain", "plain"),
    ],
)
def test_the_nearest_sign_stands_in_the_place_of_each(text, shown):
    assert text.encode("ascii", legible.ERRORS).decode() == shown
    assert len(shown) == len(text)


def test_signs_that_are_there_are_kept():
    text = "é – ✔"
    assert text.encode("cp1252", legible.ERRORS).decode("cp1252") == "é – +"


def test_marks_stay_different():
    assert len({mark.encode("ascii", legible.ERRORS) for mark in MARKS.values()}) == len(MARKS)


def test_bytes_that_cannot_be_read_are_still_an_error():
    with pytest.raises(UnicodeDecodeError):
        b"\xff".decode("utf-8", legible.ERRORS)


def test_a_stream_without_an_encoding_is_left_alone():
    legible.tolerate(None)
    legible.tolerate(io.StringIO())


def test_check_prints_on_any_terminal(tmp_path):
    program = "from attncourse import check; check('softmax', lambda x: x)"
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", program],
        env={"PYTHONIOENCODING": "cp1252", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.stderr == b""
    assert done.stdout.startswith(b"x softmax: ")
