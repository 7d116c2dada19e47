"""What an attack is: what a submission holds, and the most that an honest grader would give it.

A body stands after `import os, sys, torch`. {canary} is a file of the teacher's that holds a
secret, {port} a server on this machine, WRONG a function that gives zeros, WASTE a right one that
computes thirty times too much.
"""

from dataclasses import dataclass

WRONG = """
def weights(q, k):
    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)
"""

WASTE = """
def weights(q, k):
    wide_q, wide_k = torch.cat([q] * 30, -1), torch.cat([k] * 30, -1)
    e = (wide_q @ wide_k.mT / 30).exp()
    return e / e.sum(-1, keepdim=True)
"""

RIGHT = """
def weights(q, k):
    e = (q @ k.mT).exp()
    return e / e.sum(-1, keepdim=True)
"""


USES_X = """
def weights(q, k):
    X
    return torch.zeros(q.shape[0], k.shape[0], dtype=q.dtype)
"""


@dataclass(frozen=True)
class Attack:
    """What is handed in, and the most checks of three that it may pass.

    confined: it does harm, or reads what it should not, unless the level is at least "kernel".
    told: words that must be in what the learner is told. file: the name under which it is handed
    in; what is no .py stands as it is.
    neighbour: its function of that name is graded before, as of an exercise that forbids the same.
    """

    source: str
    most: int = 0
    confined: bool = False
    told: str = ""
    file: str = "answer.py"
    neighbour: bool = False


def call(*lines: str) -> str:
    """A function that does this when it is called, and gives zeros."""
    body = "\n    ".join(lines)
    return f"def weights(q, k):\n    {body}\n    return torch.zeros(q.shape[0], k.shape[0])\n"


def tell(expression: str) -> str:
    """A function that tells what it finds, in the three ways there are."""
    return (
        "def weights(q, k):\n"
        f"    found = str({expression})\n"
        "    print(found)\n"
        "    raise ValueError(found)\n"
    )


FRAME = (
    "import struct, json\n"
    "def frame(text, body=b''):\n    head = json.dumps(text).encode()\n"
    "    return struct.pack('<IQ', len(head), len(body)) + head + body\n"
    "def everywhere(data):\n    for number in range(0, 40):\n        left = data\n"
    "        while left:\n"
    "            try: left = left[os.write(number, left[:4096]):]\n"
    "            except BlockingIOError: pass\n"
    "            except OSError: break\n"
)
