"""What a quick run chooses, and what takes turns."""

import subprocess
import sys
from pathlib import Path

import pytest

import touched
import turns

MECHANISM = "attncourse/mechanisms/content/top_k.py"


def test_a_mechanism_touches_its_own_tests_before_those_of_who_uses_it():
    found = touched.touched({MECHANISM})
    own = ["tests/mechanisms/content/test_top_k.py", "tests/mechanisms/test_every_mechanism.py"]
    assert found.index(own[0]) < found.index(own[1])
    assert "tests/grading/wire/test_channel.py" not in found


def test_a_name_of_the_front_is_its_homes():
    assert "tests/mechanisms/test_every_mechanism.py" in touched.touched({"tests/rows/top_k.py"})
    assert "tests/core/test_masks.py" in touched.touched({"attncourse/core/masks.py"})


def test_what_every_test_depends_on_touches_all():
    assert touched.touched({"pyproject.toml", MECHANISM}) == ["tests"]


def test_a_page_touches_those_who_read_it():
    assert touched.touched({"book/masks.ipynb"}) == ["tests/test_book.py", "tests/test_chapters.py"]


def test_what_nothing_reads_touches_no_test():
    assert touched.touched({"LICENSE"}) == []


def test_every_file_that_it_names_is_there():
    everything = {path.relative_to(touched.ROOT).as_posix() for path in touched.files().values()}
    for path in touched.touched(everything - {*touched.ALL}):
        assert (touched.ROOT / path).is_file()
    for readers in touched.READERS.values():
        assert all((touched.ROOT / reader).is_file() for reader in readers)


def run(tmp_path, *words):
    """A run of seventy long tests and a short one."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["turns"]\n')
    (tmp_path / "test_long.py").write_text(
        "import pytest\n"
        "@pytest.mark.by_turns\n@pytest.mark.parametrize('n', range(70))\ndef test_one(n): pass\n"
        "def test_short(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-c", "/dev/null", "-p", "no:cacheprovider", "-p"]
    command += ["no:attncourse", "--rootdir", tmp_path, *words, "-q", tmp_path]
    place = {"PYTHONPATH": str(Path(turns.__file__).parent), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=place)


def ran(text):
    """How many tests passed."""
    return next(
        int(line.split(" passed")[0].split()[-1]) for line in text.splitlines() if " passed" in line
    )


def test_every_test_has_one_turn(tmp_path):
    assert ran(run(tmp_path).stdout) == 71
    parts = [turns.part(f"test_long.py::test_one[{n}]") for n in range(70)]
    assert set(parts) == set(range(1, turns.PARTS + 1))
    assert ran(run(tmp_path, "--turn", "5").stdout) == parts.count(5) + 1


@pytest.mark.parametrize("words", [(), ("-n", "2")], ids=["one process", "two"])
def test_a_run_tells_its_part(tmp_path, words):
    text = run(tmp_path, "--turn", "3", *words).stdout
    count = ran(text) - 1
    told = (
        f"by turns: part 3 of {turns.PARTS}, {count} of 70 long tests ran; `make nightly` runs all"
    )
    assert told in text


def test_a_turn_that_is_none_is_refused(tmp_path):
    none = f"{turns.PARTS + 1}"
    told = f"--turn takes 1 to {turns.PARTS}, today or all: got {none}"
    assert told in run(tmp_path, "--turn", none).stderr


def test_what_has_not_begun_in_time_is_skipped_and_said(tmp_path):
    text = run(tmp_path, "--within", "0", "-rs").stdout
    assert "71 skipped" in text
    assert "not begun within 0 s" in text
