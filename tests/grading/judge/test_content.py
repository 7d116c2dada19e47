"""The bytes of a submission: a notebook may be large by its outputs, and by nothing else."""

import json
import time

import pytest

from attncourse.grading.judge import content
from attncourse.grading.judge.content import LARGEST_FILE, UnreadableError, plain, without_outputs
from attncourse.grading.judge.submission import read

SOFTMAX = 'def softmax(x):\n    "outputs: [1]"\n    return x\n'
PICTURE = "A" * (9 * 2**20)


def notebook(**changes):
    cell = {"cell_type": "code", "metadata": {}, "execution_count": 1, "source": SOFTMAX}
    output = {"output_type": "display_data", "metadata": {}, "data": {"image/png": "]}\"['"}}
    made = {"cells": [cell | {"outputs": [output]}], "nbformat": 4, "nbformat_minor": 4}
    return made | {"metadata": {}} | changes


@pytest.mark.parametrize("indent", [None, 1])
def test_outputs_attachments_and_widgets_are_cut_and_nothing_else(indent):
    note = {"cell_type": "markdown", "metadata": {}, "source": "", "attachments": {"a": {}}}
    whole = notebook(metadata={"widgets": {"state": {"outputs": 3}}})
    whole["cells"] += [note, notebook()["cells"][0]]
    left = json.loads(without_outputs(json.dumps(whole, indent=indent).encode()))
    for cell in whole["cells"]:
        cell |= {"outputs": []} if "outputs" in cell else {"attachments": {}}
    assert left == whole | {"metadata": {"widgets": {}}}


@pytest.mark.parametrize(
    "text",
    ["", "my homework", '{"outputs": [', '{"outputs": [1', '"outputs" : {}', '"outputs"', "]"],
)
def test_what_is_no_notebook_stays_as_it_is(text):
    assert without_outputs(text.encode()) == text.encode()


def test_a_notebook_of_large_outputs_is_read(tmp_path):
    whole = notebook()
    whole["cells"][0]["outputs"][0]["data"] = {"image/png": PICTURE}
    path = tmp_path / "answer.ipynb"
    path.write_text(json.dumps(whole))
    assert path.stat().st_size > LARGEST_FILE
    assert read(path).defined == {"softmax"}


def test_what_is_large_without_outputs_is_refused_with_the_reason(tmp_path, monkeypatch):
    path = tmp_path / "answer.ipynb"
    path.write_text(json.dumps(notebook(metadata={"name": PICTURE})))
    with pytest.raises(UnreadableError) as refusal:
        read(path)
    assert str(refusal.value) == "answer.ipynb is larger than 8 MiB, even without its outputs"
    monkeypatch.setattr(content, "LARGEST_NOTEBOOK", 2**20)
    with pytest.raises(UnreadableError, match=r"^answer.ipynb is larger than 1 MiB$"):
        read(path)


@pytest.mark.parametrize("text", ["[" * 10**7, '"\\' * 10**6, '"outputs":[' * 10**6, '"' * 10**7])
def test_hostile_bytes_take_bounded_time(text):
    began = time.process_time()
    without_outputs(text.encode())
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("name", "read_as"),
    [
        ("a.PY", "a.py"),
        ("a.IPYNB", "a.ipynb"),
        ("a.ipynb.txt", "a.ipynb"),
        ("a.ipynb.json", "a.ipynb"),
        ("A.Py.TXT.txt", "A.py"),
        ("notes.txt", "notes.txt"),
        ("a.json", "a.json"),
        ("txt", "txt"),
        (".py", ".py"),
    ],
)
def test_a_name_is_read_as_what_is_meant(name, read_as):
    assert plain(name) == read_as


@pytest.mark.parametrize("name", ["answer.PY", "answer.py.txt"])
def test_a_file_is_read_under_the_name_that_is_meant(tmp_path, name):
    (tmp_path / name).write_text(SOFTMAX)
    assert read(tmp_path / name).defined == {"softmax"}
