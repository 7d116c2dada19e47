"""The script that kills a run sees what is lost and what stands twice."""

import sys
from pathlib import Path

import pytest

from pages import ROOT

# appends the records that are missing, as fast as it can
HONEST = """
import json, pathlib, sys
path = pathlib.Path(sys.argv[1]) / "journal.jsonl"
path.parent.mkdir(exist_ok=True)
done = path.read_bytes().count(b"\\n") if path.exists() else 0
with path.open("a") as file:
    for number in range(FIRST, 500):
        file.write(json.dumps({"record": {"type": "submission", "job": str(number)}}) + "\\n")
        file.flush()
"""
RUNS = {
    "": HONEST.replace("FIRST", "done"),
    "twice: ": HONEST.replace("FIRST", "0"),
    "lost: ": HONEST.replace("FIRST", "done").replace('open("a")', 'open("w")'),
}


@pytest.fixture
def kill(monkeypatch):
    """The script."""
    monkeypatch.syspath_prepend(ROOT / "bench")
    import kill

    return kill


@pytest.mark.parametrize("fault", RUNS)
def test_what_is_lost_and_what_stands_twice_is_seen(tmp_path, kill, fault):
    out = tmp_path / "out"
    command = [sys.executable, "-c", RUNS[fault], out]
    kill.finish(command)
    assert len(kill.closed(out)) == 500
    if fault:
        with pytest.raises(AssertionError, match=f"^{fault}"):
            list(kill.survived(command, out, 3, 500, 1.0, seed=0))
    else:
        assert list(kill.survived(command, out, 3, 500, 0.1, seed=0)) == [500] * 3


def test_a_torn_line_does_not_count(tmp_path, kill):
    line = '{"record":{"type":"submission","job":"a"}}\n'
    (tmp_path / "journal.jsonl").write_text(line + line.replace('"a"', '"b"')[:-1])
    assert kill.closed(tmp_path) == {"a": 1}
    assert kill.closed(Path("nowhere")) == {}


def test_a_file_that_differs_is_named(tmp_path, kill):
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        for name in kill.SAME:
            (tmp_path / folder / name).write_text(folder if name == "results.json" else "x")
    assert kill.different(tmp_path / "one", tmp_path / "two") == ["results.json"]
