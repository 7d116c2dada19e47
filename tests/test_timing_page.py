"""The chapter on timing where there is a CUDA device: its cells, run with a stand-in for one.

The stand-in is torch.cuda as the page and the clock ask it; tensors of it are on the CPU.
"""

from pathlib import Path
from time import perf_counter
from types import SimpleNamespace

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pytest
import torch
from torch.overrides import TorchFunctionMode

from attncourse.measure import placing
from attncourse.measure.roofline import Ceilings

BOOK = Path(__file__).parents[1] / "book"


class Card:
    """torch.cuda with a card of a given name; events keep the time of the wall."""

    def __init__(self, name):
        self.name = name
        self.synchronised = 0

    def is_available(self):
        return True

    def get_device_name(self):
        return self.name

    def get_device_properties(self, device):
        return SimpleNamespace(L2_cache_size=1024)

    def synchronize(self, device=None):
        self.synchronised += 1

    def Event(self, *, enable_timing):
        assert enable_timing
        card = self

        class Event:
            def record(self):
                self.at, self.waits = perf_counter(), card.synchronised

            def elapsed_time(self, other):
                assert card.synchronised > other.waits, "the time is read before it is there"
                return 1e3 * (other.at - self.at)

        return Event()


class OnTheCPU(TorchFunctionMode):
    """What is asked for on the card is made here."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = {k: "cpu" if v == "cuda" else v for k, v in (kwargs or {}).items()}
        args = ["cpu" if isinstance(x, str) and x == "cuda" else x for x in args]
        return function(*args, **kwargs)


@pytest.fixture
def page(monkeypatch):
    """What the first cells of the page define, in the folder that it is read in."""
    monkeypatch.chdir(BOOK)
    matplotlib.use("Agg")
    cells = [c for c in nbformat.read("timing.ipynb", as_version=4).cells if c.cell_type == "code"]
    names = {}
    needed = ("matplotlib.pyplot", "def event_seconds", "def under_the_roof")
    for cell in cells:
        if any(word in cell.source for word in needed):
            exec(cell.source, names)
    names["cuda"] = [c.source for c in cells if "cuda" in c.metadata.get("tags", ())]
    yield names
    plt.close("all")


@pytest.fixture
def small(monkeypatch):
    """Sizes that a test has time for."""
    monkeypatch.setattr(placing, "SIZE", 8)
    monkeypatch.setattr(placing, "measured_ceilings", lambda **_: Ceilings(1e12, 1e11))


def run(source, names, monkeypatch, card):
    """A cell on a machine with this card: the figures that it draws."""
    plt.close("all")
    asked = ("is_available", "get_device_name", "get_device_properties", "synchronize", "Event")
    for name in asked:
        monkeypatch.setattr(torch.cuda, name, getattr(card, name))
    monkeypatch.setattr(plt, "show", lambda: None)
    names["panels"] = lambda *figures: None
    with OnTheCPU():
        exec(source, names)
    monkeypatch.undo()
    return [plt.figure(number) for number in plt.get_fignums()]


def test_a_product_is_timed_three_ways_on_a_card(page, small, monkeypatch, capsys):
    product, _ = page["cuda"]
    card = Card("Tesla T4")
    (figure,) = run(product.replace("8192", "32"), page, monkeypatch, card)
    assert [x.get_text() for x in figure.axes[0].get_yticklabels()] == [
        "read at once",
        "waited",
        "events",
    ]
    assert "Tesla T4" in figure.axes[0].get_xlabel()
    assert card.synchronised > 2 * 9
    assert capsys.readouterr().out == "Timed on this machine's card; nothing of it is kept.\n"


@pytest.mark.parametrize(
    ("name", "said", "published"),
    [
        ("Tesla T4", "", ["published"]),
        ("NVIDIA Imaginary 9000", "a card must be in data/devices.yml for its ceilings", []),
    ],
)
def test_live_points_of_a_card_stand_beside_what_is_published_of_it(
    page, small, monkeypatch, capsys, name, said, published
):
    _, roofs = page["cuda"]
    page["STEPS"] = {}  # of SmolLM2, which the page times on a CPU
    source = "\n".join(x for x in roofs.splitlines() if not x.startswith(("assert", "reached")))
    cpu, card = run(source, page, monkeypatch, Card(name))
    assert card.axes[0].get_title() == f"measured now, on {name}"
    words = [text.get_text() for text in card.axes[0].texts]
    assert {"matrix product", "one query"} <= set(words)
    assert [word for word in words if word == "published"] == published
    assert "published" not in [text.get_text() for text in cpu.axes[0].texts]
    assert capsys.readouterr().out.startswith(said)
