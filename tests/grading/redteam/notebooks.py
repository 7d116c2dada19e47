"""Attacks that are files: what is to be read is hostile before a line of it runs."""

import json

from attack import Attack

WEIGHTS = "import torch\ndef weights(q, k):\n    return torch.zeros(q.shape[0], k.shape[0])\n"


def _cell(source: object = WEIGHTS, **changes: object) -> dict[str, object]:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    return cell | {"id": "a", "source": source} | changes


def _notebook(*cells: object, **changes: object) -> str:
    whole = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}
    return json.dumps(whole | changes)


def _file(text: str, **told: str) -> Attack:
    return Attack(text, file="answer.ipynb", **told)


_UNREADABLE = {"told": "is not a Jupyter notebook"}

NOTEBOOKS = {
    "deep JSON": _file("[" * 200_000 + "]" * 200_000, told="answer.ipynb"),
    "deep metadata": _file(
        _notebook(_cell(), metadata={"x": 0}).replace("0}", "[" * 90_000 + "]" * 90_000 + "}", 1),
        told="answer.ipynb",
    ),
    "no object at all": _file("[1, 2, 3]", **_UNREADABLE),
    "a number that has no end": _file('{"nbformat": ' + "9" * 100_000 + "}", **_UNREADABLE),
    "not a number": _file('{"nbformat": NaN, "cells": []}', **_UNREADABLE),
    "a version of tomorrow": _file(_notebook(_cell(), nbformat=999), **_UNREADABLE),
    "cells that are no list": _file(_notebook(cells={"a": 1}), **_UNREADABLE),
    "a cell without an end to its kinds": _file(_notebook(_cell(cell_type="evil"), _cell())),
    "a source that is a number": _file(_notebook(_cell(7), _cell(None), _cell({}))),
    "thousands of cells": _file(_notebook(*[_cell("x = 1")] * 4000, _cell())),
    "keys twice": _file('{"nbformat": 4, "cells": [], ' + _notebook(_cell())[1:]),
    "half a character": _file(_notebook(_cell("x = '\\ud800'\n" + WEIGHTS), _cell("\ud800"))),
    "a null in the source": _file(_notebook(_cell("x = 1\0\n"), _cell())),
    "directions turned in a name": _file(_notebook(_cell("\u202edef evil(): pass\n"), _cell())),
    "outputs that say passed": _file(
        _notebook(_cell(outputs=[{"output_type": "stream", "name": "stdout", "text": "3 of 3"}]))
    ),
    "a chapter that is a path": _file(
        _notebook(_cell(), metadata={"attncourse": {"chapter": "../../../etc/passwd"}})
    ),
    "a chapter that is no text": _file(
        _notebook(_cell(), metadata={"attncourse": {"chapter": {"a": [1]}}})
    ),
    "metadata that is a list": _file(_notebook(_cell(), metadata=["attncourse"]), told="answer"),
    "a magic that runs a shell": _file(
        _notebook(_cell("!touch {canary}.pwned\n%system touch {canary}.pwned\n"), _cell())
    ),
    "a cell for the shell": _file(_notebook(_cell("%%bash\ntouch {canary}.pwned\n"), _cell())),
    "patterns in a magic": _file(_notebook(_cell("%" + "\\\n" * 50_000), _cell())),
    "a pickle": Attack("\x80\x04cos\nsystem\n(S'touch {canary}.pwned'\ntR.", file="answer.ipynb"),
    "a program of another kind": Attack("#!/bin/sh\ntouch {canary}.pwned\n", file="answer.py"),
    "code of an unknown encoding": Attack("# -*- coding: evil -*-\n" + WEIGHTS, file="answer.py"),
}
