"""Mutated notebooks: the same for the same number, each as bytes that somebody might hand in."""

import json
import random

import made_class

ODD = (
    None,
    True,
    -1,
    0.5,
    10**30,
    "",
    "x",
    [],
    {},
    [[]],
    {"a": 1},
    "\ud800",
    "\0",
    "\u202e",
    "é" * 9,
)
CODE = (
    "while True: pass",
    "raise SystemExit",
    "import os; os._exit(3)",
    "x = " + "(" * 300 + ")" * 300,
    "x = " + "1+" * 5000 + "1",
    "def f(:\n  pass",
    "\tif True:\n  x = 1",
    "%%bash\nrm -rf /",
    "!ls",
    "x = '" + "a" * 100_000 + "'",
    "lambda: (yield)",
    "class softmax: pass",
    "softmax = 3",
    "from attncourse import *",
    "del softmax",
    "return 1",
    "x = '\\N{DIGIT ONE}'",
    "import torch; torch.set_default_device('meta')",
    "def softmax(*args, **kwargs): return softmax(*args)",
    "print('y' * 10**7)",
    "# coding: latin-1\nß = 1",
)


def mutant(number: int) -> bytes:
    """A notebook with one to four mutations."""
    dice = random.Random(number)
    made = made_class.answered(dice.randrange(20))
    notebook = json.loads(made[dice.choice(sorted(made))])
    for _ in range(dice.randint(1, 3)):
        notebook = dice.choice(STRUCTURES)(notebook, dice)
    text = json.dumps(notebook, ensure_ascii=dice.random() < 0.5)
    data = text.encode("utf-8", "surrogatepass")
    return dice.choice(BYTES)(data, dice) if dice.random() < 0.4 else data


def _cells(notebook):
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    return [c for c in cells if isinstance(c, dict)] if isinstance(cells, list) else []


def _replaced(notebook, dice):
    """A value somewhere becomes another."""
    places = list(_places(notebook))
    if places:
        holder, key = dice.choice(places)
        holder[key] = dice.choice(ODD)
    return notebook


def _removed(notebook, dice):
    places = list(_places(notebook))
    if places:
        holder, key = dice.choice(places)
        del holder[key]
    return notebook


def _places(value):
    """Every (container, key) in plain data."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


def _nested(notebook, dice):
    """Something lies very deep."""
    deep = 0
    for _ in range(dice.choice((50, 500, 900))):
        deep = [deep]
    if isinstance(notebook, dict):
        notebook[dice.choice(("metadata", "cells", "extra"))] = deep
    return notebook


def _shuffled(notebook, dice):
    if isinstance(notebook, dict) and isinstance(notebook.get("cells"), list):
        dice.shuffle(notebook["cells"])
    return notebook


def _multiplied(notebook, dice):
    if isinstance(notebook, dict) and isinstance(notebook.get("cells"), list):
        notebook["cells"] *= dice.choice((2, 20))
    return notebook


def _added(notebook, dice):
    """A cell of hostile or broken code."""
    cells = _cells(notebook)
    if cells:
        cell = {"cell_type": "code", "id": "new", "metadata": {}, "outputs": []}
        cell |= {"execution_count": None, "source": dice.choice(CODE)}
        notebook["cells"].insert(dice.randrange(len(notebook["cells"]) + 1), cell)
    return notebook


def _edited(notebook, dice):
    """Characters of a cell's source are removed, doubled or replaced."""
    cells = [cell for cell in _cells(notebook) if isinstance(cell.get("source"), str)]
    if cells:
        cell = dice.choice(cells)
        source = cell["source"]
        for _ in range(dice.randint(1, 8)):
            at, to = sorted(dice.randrange(len(source) + 1) for _ in range(2))
            to = min(to, at + 12)
            middle = dice.choice(
                ("", source[at:to] * 2, "\n", "(", ":", "\\", "'''", "ｓ", "\0", "\t")
            )
            source = source[:at] + middle + source[to:]
        cell["source"] = source
    return notebook


def _lined(notebook, dice):
    """Sources as lists of lines, some of which are none."""
    for cell in _cells(notebook):
        if isinstance(cell.get("source"), str):
            cell["source"] = cell["source"].splitlines(keepends=True)
            if dice.random() < 0.1:
                cell["source"].append(dice.choice(ODD))
    return notebook


def _versioned(notebook, dice):
    if isinstance(notebook, dict):
        notebook["nbformat"] = dice.choice((1, 2, 3, 4, 5, "4", None, 10**9))
        notebook["nbformat_minor"] = dice.choice((0, 2, 5, 99, "x", None))
    return notebook


STRUCTURES = (
    *(_replaced, _removed, _nested, _shuffled, _multiplied, _added, _added, _edited, _edited),
    *(_lined, _versioned),
)


def _flipped(data, dice):
    changed = bytearray(data)
    for _ in range(dice.randint(1, 30)):
        changed[dice.randrange(len(changed))] = dice.randrange(256)
    return bytes(changed)


def _cut(data, dice):
    return data[: dice.randrange(len(data))]


def _doubled(data, dice):
    at, to = sorted(dice.randrange(len(data)) for _ in range(2))
    return data[:to] + data[at:]


def _filled(data, dice):
    at = dice.randrange(len(data))
    piece = dice.choice((b"[", b"{", b'"', b"9", b"\\", b"\0", b"\xff", b" ", b"\xed\xa0\x80"))
    return data[:at] + piece * dice.choice((1, 100, 100_000)) + data[at:]


def _encoded(data, dice):
    text = data.decode("utf-8", "replace")
    return text.encode(dice.choice(("utf-16", "utf-8-sig", "latin-1", "utf-7")), "replace")


BYTES = (_flipped, _cut, _doubled, _filled, _encoded)
