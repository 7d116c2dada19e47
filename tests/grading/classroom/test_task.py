"""A class graded with a memory has the records that it has without."""

import random

import made_class
import pytest

from attncourse.course.contents import CHAPTERS
from attncourse.grading.classroom import task
from attncourse.grading.classroom.task import Task, grade_submission
from attncourse.grading.judge import judging
from attncourse.grading.judge.allowance import Limits
from attncourse.grading.judge.memory.dialogues import Dialogues

CHAPTER = next(iter(CHAPTERS))
ODD = {
    "a stub": made_class.STUB,
    "exits": "import os\ndef softmax(x):\n    os._exit(0)\n",
    "raises": "def softmax(x):\n    raise ValueError(x)\n",
    "greedy": "import torch\ndef softmax(x):\n    return torch.zeros(10**12)\n",
    "forbidden": "import torch\ndef softmax(x):\n    return torch.softmax(x, -1)\n",
    "not alike": "import random\ndef softmax(x):\n    return x * random.random()\n",
    "a number": "def softmax(x):\n    return 1.5\n",
    "unreadable": "def softmax(x:\n",
}


@pytest.fixture
def tasks(zygote):
    """Submissions of every kind, some of them alike."""
    whole = {f"{n}.ipynb": made_class.answered(n % 3)[CHAPTER] for n in range(5)}
    texts = whole | {f"{name}.py": text for name, text in ODD.items()}
    files = sorted(texts) * 2
    random.Random(0).shuffle(files)
    limits = Limits(seconds=2.0)
    return [
        Task(f, f, "", f, texts[f].encode(), limits, zygote.level, secret=b"secret") for f in files
    ]


class Forgetful:
    """Grades as a memory does that has none."""

    def __init__(self, secret):
        self.secret = secret

    def grade(self, submission, worker, exercise):
        return judging.grade(submission, worker, exercise, self.secret)


def test_the_same_submissions_have_the_same_records_with_a_memory_and_without(
    tasks, zygote, monkeypatch
):
    known = []
    of = Dialogues.run
    monkeypatch.setattr(Dialogues, "run", lambda *a: known.append(of(*a)) or known[-1])
    monkeypatch.setattr(task, "own_zygote", lambda level: zygote)
    task.own_memory.cache_clear()
    remembered = [grade_submission(one).records for one in tasks]
    assert len({id(result) for result in known}) < len(known)  # some were not concluded anew
    monkeypatch.setattr(task, "own_memory", Forgetful)
    plain = [grade_submission(one).records for one in tasks]
    assert remembered == plain
    states = {record["state"] for records in plain for record in records[:-1]}
    assert states == {"passed", "failed", "not attempted"}
