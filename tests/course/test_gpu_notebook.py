"""The notebook for a reader's own card: generated, asking for a GPU, and its cells run.

There is no card here: PyTorch says that there is, and the file is one that a stand-in wrote.
"""

import ast

import matplotlib.pyplot as plt
import nbformat
import pytest
import torch

from attncourse.course import build, gpu
from attncourse.measure.bench.case import Shape, Suite
from attncourse.measure.bench.exact import CASES, SDPA
from attncourse.measure.bench.files import card_file
from attncourse.measure.bench.instrument import Instrument
from attncourse.measure.bench.provenance import provenance
from attncourse.measure.bench.report import Report, to_json
from attncourse.measure.bench.runner import run
from attncourse.measure.roofline import Ceilings
from attncourse.measure.timing import Effort
from pages import ROOT


def notebook():
    return nbformat.reads((ROOT / gpu.PATH).read_text(encoding="utf-8"), as_version=4)


def test_it_is_as_generated_and_no_stray():
    assert gpu.PATH not in build.strays(ROOT)
    assert (ROOT / gpu.PATH).read_text(encoding="utf-8") == gpu.text(ROOT)
    nbformat.validate(notebook())


def test_it_asks_for_a_gpu_and_installs_the_course_first():
    made = notebook()
    assert made.metadata["accelerator"] == "GPU"
    assert made.metadata["colab"]["gpuType"] == "T4"
    assert [cell.cell_type for cell in made.cells[:2]] == ["markdown", "code"]
    assert made.cells[1].id == "bootstrap"


def test_without_a_book_there_is_none(tmp_path):
    assert gpu.files(tmp_path) == {}


def written_by_a_stand_in(path):
    """A file as the quick suite writes it, from calls that take no time to speak of."""
    wanted = ("full", "full, causal")
    cases = tuple(case for case in CASES if case.mechanism in wanted)
    shape = Shape(h=2, d=64, dtype=torch.float16)
    suites = [Suite(n, SDPA, cases, (16, 32), (16, 32), (shape,)) for n in ("scaling", "roofline")]
    top = {"float16": Ceilings(5e13, 2.5e11), "float32": Ceilings(7e12, 2.5e11)}
    device = Instrument(top, peak=lambda call: 1, effort=Effort(2, 2, 0.0))
    rows = tuple(row for suite in suites for row in run(suite, device))
    path.write_text(to_json(Report("attncourse-bench/2", provenance("x"), top, rows)))


@pytest.mark.parametrize("card", ["Tesla T4", "NVIDIA GeForce RTX 2060"])
def test_its_cells_run_on_a_stand_in(card, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: card)
    path = card_file(card, "quick")
    known = {}
    for cell in notebook().cells[2:]:
        if cell.source.startswith("!"):
            assert cell.source == "!attncourse bench --device cuda --quick --out {path}"
            written_by_a_stand_in(tmp_path / path)
        elif cell.cell_type == "code":
            exec(compile(ast.parse(cell.source), cell.id, "exec"), known)
    plt.close("all")
    said = capsys.readouterr().out
    assert f"mv {path} book/data/ && git add book/data/{path}" in said
    assert "measured: 50.0 TFLOP/s in float16, 250 GB/s" in said
    if card == "Tesla T4":
        assert "its maker says: 320 GB/s, half precision in torch.float16, 65 TFLOP/s" in said
        assert "published: 65.0 TFLOP/s, 320 GB/s" in said
    else:
        assert "a card must be in data/devices.yml for its ceilings to be known" in said


def test_without_a_card_it_says_where_to_get_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    cell = next(cell for cell in notebook().cells if cell.id == "gpu-card")
    with pytest.raises(RuntimeError, match="Runtime, Change runtime type, T4 GPU"):
        exec(cell.source, {})


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ("Tesla T4", "cuda-tesla-t4-quick.json"),
        ("NVIDIA A100-SXM4-40GB", "cuda-a100-sxm4-40gb-quick.json"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", "cuda-rtx-4090-laptop-gpu-quick.json"),
        ("AMD Instinct MI300X", "cuda-instinct-mi300x-quick.json"),
    ],
)
def test_a_file_is_called_by_its_card(card, name):
    assert card_file(card, "quick") == name
