"""The secret of a run: made once, kept to its owner, and what an answer that knows inputs meets."""

import math
import stat

import pytest

from attncourse.course import checking
from attncourse.course.checking import LocalAnswer
from attncourse.course.exercise import get
from attncourse.grading.classroom import secret
from attncourse.grading.classroom.manifest import manifest
from attncourse.grading.judge.allowance import Limits


def test_a_folder_of_results_makes_its_secret_once(tmp_path):
    first = secret.own(tmp_path)
    assert len(first) == 64
    assert secret.own(tmp_path) == first == secret.read(tmp_path / "secret")
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_two_folders_have_two_secrets(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    assert secret.own(tmp_path / "a") != secret.own(tmp_path / "b")


def test_a_secret_that_is_none_is_refused(tmp_path):
    path = tmp_path / "short"
    with pytest.raises(secret.SecretError, match=r"^the secret .* cannot be read: No such file"):
        secret.read(path)
    path.write_text("0123456789abcde\n")
    with pytest.raises(secret.SecretError, match="must have at least 16 characters: got 15 in "):
        secret.read(path)


def test_the_manifest_tells_another_secret_apart_and_none_of_it():
    told = [manifest("kernel", Limits(), s)["seed"] for s in (b"", b"one" * 10, b"two" * 10)]
    assert told[0] == "public"
    assert len(set(told)) == 3
    assert "one" not in str(told)


LOOKED_UP = """
KNOWN = {known}

def softmax(x):
    if round(float(x.detach().sum()), 6) not in KNOWN:
        return x * 0
    exponentials = (x - x.amax(dim=-1, keepdim=True)).exp()
    return exponentials / exponentials.sum(dim=-1, keepdim=True)
"""


def public_sums():
    """The sums of all inputs of the public checks of softmax."""
    exercise, sums = get("softmax"), []

    def spy(x):
        sums.append(round(float(x.detach().sum()), 6))
        return exercise.solution(x)

    assert all(check.state == "passed" for check in checking.run(exercise, LocalAnswer(spy)).checks)
    return [total for total in sums if math.isfinite(total)]


def test_an_answer_that_knows_the_public_inputs_passes_with_them_and_fails_with_a_secret(
    tmp_path, graded
):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "ada.py").write_text(LOOKED_UP.format(known=public_sums()))
    points = {}
    for name, hidden in (("public", b""), ("own", None)):
        [row] = graded(tmp_path / "class", tmp_path / name, secret=hidden).book.rows
        points[name] = row.points
    assert (tmp_path / "own" / "secret").is_file()
    assert not (tmp_path / "public" / "secret").exists()
    assert points["own"] < points["public"]
    told = {"public": "on the same inputs.", "own": "on inputs drawn for this class."}
    for name, words in told.items():
        assert words in (tmp_path / name / "class.html").read_text()
