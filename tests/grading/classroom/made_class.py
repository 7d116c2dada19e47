"""A made class: notebooks with right, wrong and missing answers, in every layout."""

import functools
import json
import random
import zipfile
from pathlib import Path

from attncourse.course import render, source
from attncourse.course.checking import LocalAnswer, run
from attncourse.course.exercise import all_exercises, chapters
from attncourse.grading.classroom import task
from attncourse.grading.judge import submission as submissions
from attncourse.grading.judge.memory.grading import Memory
from attncourse.grading.judge.zygote import Zygote
from attncourse.testing import secret_inputs

FIRST = ("Ada", "Bert", "Chloé", "Dan", "Emmy", "Fritz", "Grace", "Hugo", "Ines", "Jörg")
LAST = ("Lovelace", "Noether", "Turing", "Curie", "Hopper", "Gauss", "Ramanujan", "Euler")

SOFTMAX = (
    "def softmax(x):\n"
    "    exponentials = (x - x.amax(dim=-1, keepdim=True)).exp()\n"
    "    return exponentials / exponentials.sum(dim=-1, keepdim=True)\n"
)
DIVIDED = "def softmax(x):\n    return x / x.sum(dim=-1, keepdim=True)\n"
STUB = "def softmax(x):\n    raise NotImplementedError\n"


def people(count):
    """Names, all different."""
    return [f"{FIRST[i % 10]} {LAST[i // 10 % 8]}{i // 80 or ''}" for i in range(count)]


def notebook(*cells, **metadata):
    """The text of a notebook with these code cells."""
    made = [
        {"cell_type": "code", "id": f"c{i}", "metadata": {}, "outputs": [], "execution_count": None}
        | {"source": cell}
        for i, cell in enumerate(cells)
    ]
    whole = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole)


@functools.cache
def answered(number):
    """Notebooks of all chapters as a learner hands them in: the same for the same number."""
    dice = random.Random(number)
    careful = dice.random()
    return {chapter: _chapter(chapter, dice, careful) for chapter in chapters()}


def _chapter(chapter, dice, careful):
    made = json.loads(_blank()[chapter])
    cells = []
    for cell in made["cells"]:
        exercise = all_exercises().get(cell["id"].replace("-", "_"))
        if exercise and cell["cell_type"] == "code":
            cell = cell | {"source": _answer(exercise, dice, careful)}
        cells.append(cell)
    note = {"cell_type": "markdown", "id": "note", "metadata": {}, "source": str(dice.random())}
    return json.dumps(made | {"cells": [*cells, note]})


def _answer(exercise, dice, careful):
    """Right, one of the known mistakes (the first more often), or nothing."""
    thrown = dice.random()
    if thrown < 0.35 + 0.6 * careful:
        needed = [source.whole(f) for f in source.needs(exercise.solution)]
        return "\n\n".join([*needed, source.whole(exercise.solution)])
    if thrown < 0.92:
        name, wrong = dice.choice(list(exercise.wrong.items())[: 1 + int(3 * dice.random())])
        text = source.whole(wrong).replace(f"def wrong_{name}(", f"def {exercise.name}(")
        return "\n\n".join([*_helpers(wrong), text])
    return source.stub(exercise.solution)


def _helpers(wrong):
    """The private functions that a wrong answer calls, those needed first first."""
    found = []
    for name in wrong.__code__.co_names:
        value = wrong.__globals__.get(name)
        if name.startswith("_") and callable(value):
            found += [*_helpers(value), source.whole(value)]
        elif callable(value) and getattr(value, "__module__", "").startswith("attncourse.mech"):
            found += [source.whole(f) for f in [*source.needs(value), value]]
    return list(dict.fromkeys(found))


@functools.cache
def _blank():
    """The exercises' notebooks by chapter."""
    return {c: render._text(c, "exercises", "https://example.org/x") for c in chapters()}


def lay(folder, layout, handed):
    """Write (name, {file name: text}) pairs in a layout; returns what to give to the grader."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, files) in enumerate(handed, 1):
        for file, text in files.items():
            path = folder / LAYOUTS[layout](name, number, file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            if layout == "github":
                (folder / path.relative_to(folder).parts[0] / ".git").mkdir(exist_ok=True)
    return folder


def zipped(folder, path):
    """The folder as a zip that holds it."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for file in sorted(Path(folder).rglob("*")):
            made.write(file, Path(folder).name / file.relative_to(folder))
    return path


def canvas_name(name):
    """As Canvas writes it: lastnamefirst."""
    first, last = name.lower().split()
    return last + first


def _canvas(name, number, file):
    late = "_LATE" if number % 4 == 0 else ""
    return f"{canvas_name(name)}{late}_{1000 + number}_{5000 + number}_{file}"


def trust(setattr):
    """Let submissions be graded in this process: fast, for texts that are our own."""
    setattr(task, "own_zygote", lambda level: Zygote("limits"))  # never started
    setattr(task, "read", lambda path, zygote: submissions.read(path))
    setattr(Memory, "grade", _grade)


def _grade(memory, submission, worker, exercise):
    names = {}
    for cell in submission.cells:
        exec(cell.source, names)
    with secret_inputs(memory.secret):
        return run(exercise, LocalAnswer(names[exercise.name], exercise.forbidden))


LAYOUTS = {
    "notebooks": lambda name, number, file: f"{name}.ipynb",
    "folders": lambda name, number, file: f"{name}/{file}",
    "nbgrader": lambda name, number, file: f"submitted/{name}/week-2/{file}",
    "canvas": _canvas,
    "moodle": lambda name, n, file: f"{name}_{7000 + n}_assignsubmission_file_/{file}",
    "moodle files": lambda name, n, file: f"{name}_{7000 + n}_assignsubmission_file_{file}",
    "github": lambda name, number, file: f"week-2-{name.replace(' ', '-').lower()}/{file}",
}
