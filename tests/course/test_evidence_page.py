"""The page of evidence has every experiment that the claims rest on, once, each with its cell."""

import json
import re
from itertools import pairwise
from pathlib import Path

PAGE = Path(__file__).parents[2] / "book" / "evidence.ipynb"
CELLS = json.loads(PAGE.read_text(encoding="utf-8"))["cells"]
ENTRY = re.compile(r"\(ev-(\w+)\)=\n\*\*E(\w+)\*\* \S")
GAPS = {9, 29, 41, 43, 44, 45, 49, 50, 51, 54, 63}  # numbers that no experiment has
IDS = {f"{n:02}" for n in range(1, 71) if n not in GAPS} | {"12b", "12c", "34b", "56b"}


def entries():
    """Each entry's id, with the cell below its line."""
    for cell, below in pairwise(CELLS):
        if found := ENTRY.search("".join(cell["source"])):
            yield found[1], found[2], below


def test_every_experiment_is_there_once():
    found = [identity for _, identity, _ in entries()]
    assert len(found) == len(set(found)) == 63
    assert set(found) == IDS


def test_each_can_fail_and_says_what_came_out():
    for anchor, identity, below in entries():
        source = "".join(below["source"])
        assert anchor == identity
        assert below["cell_type"] == "code"
        assert "assert" in source, identity
        assert below["outputs"], identity
        assert "hide-input" in below["metadata"]["tags"], identity
