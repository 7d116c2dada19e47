"""The notebook that measures the reader's own card: for Colab, whose runtime it asks for a GPU.

It runs the quick suite, draws what it found, and gives the file that the book takes.
"""

from pathlib import Path
from typing import Any

from attncourse.course.bootstrap import bootstrap_cell, repository_url
from attncourse.course.plain import FOLDER

PATH = Path(FOLDER, "gpu", "your-gpu.ipynb")
RUNTIME = {"accelerator": "GPU", "colab": {"gpuType": "T4", "provenance": []}}

CELLS = (
    (
        "about",
        """\
# Your GPU

This notebook times the attentions of *Attention, executed* on the card that it runs on: five
minutes, of which it uses three at most for measuring. In Colab, a T4 is free: *Runtime*, *Change
runtime type*, *T4 GPU*.

It writes one file. The book draws every committed file of this kind, so yours can become a line in
its figures: the last cell says how.""",
    ),
    (
        "card",
        """\
import torch

from attncourse.measure.bench.files import card_file
from attncourse.measure.devices import named

if not torch.cuda.is_available():
    raise RuntimeError("there is no GPU here: Runtime, Change runtime type, T4 GPU, then run again")
card = torch.cuda.get_device_name()
path = card_file(card, "quick")
print(f"{card}, to be measured into {path}")
try:
    published = named(card)
    print(f"its maker says: {published.bandwidth / 1e9:.0f} GB/s, half precision in", end=" ")
    print(f"{published.half}, {published.peak(published.half) / 1e12:.0f} TFLOP/s")
except ValueError as unknown:
    published = None
    print(unknown)""",
    ),
    (
        "measure-words",
        """\
## Measure

Each form is first compared with its definition; one that differs is not timed. What finds no time,
would not fit into the memory, or needs another card, is left out and counted below the tables.""",
    ),
    ("measure", "!attncourse bench --device cuda --quick --out {path}"),
    (
        "read",
        """\
from attncourse.measure.bench.budget import left_out
from attncourse.measure.bench.files import pick, read_report, roofline_points

report = read_report(path)
measured = pick(report.rows, direction="forward")
print(f"{len(pick(report.rows))} measurements; left out: {left_out(report.rows) or 'nothing'}")
print("ceilings measured:", ", ".join(report.ceilings))""",
    ),
    (
        "time-words",
        """\
## Time over length

Time over that of PyTorch's own attention at the same length, in the same round: below 1 is faster.
Half precision, heads of 64.""",
    ),
    (
        "time",
        """\
import matplotlib.pyplot as plt

half = next(name for name in report.ceilings if name != "float32")
names = ("full, causal", "window 256, causal", "linear, causal", "Linformer 256", "linear")
figure, axes = plt.subplots(figsize=(6, 4))
for name in names:
    rows = pick(measured, mechanism=name, suite="scaling", dtype=half, d=64)
    for maker in dict.fromkeys(row.implementation for row in rows):
        line = [row for row in rows if row.implementation == maker and row.ratio]
        lengths, ratios = [row.n for row in line], [row.ratio.median for row in line]
        axes.plot(lengths, ratios, "o-", label=f"{name}, {maker}")
axes.axhline(1, color="gray", linewidth=1)
axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel="time over PyTorch's attention")
axes.set_xticks(sorted({row.n for row in pick(measured, suite="scaling")}), minor=False)
axes.xaxis.set_major_formatter("{x:g}")
axes.minorticks_off()
axes.legend(fontsize=7)
plt.show()""",
    ),
    (
        "roofline-words",
        """\
## Under the ceilings

Across, FLOPs per byte of inputs and outputs; up, FLOPs per second. The line is what this card
reached in a large matrix product and in a copy. Your card's published numbers, if they are known,
are printed below: a measured ceiling lies under them.""",
    ),
    (
        "roofline",
        """\
from attncourse.plots import roofline

longest = max(row.n for row in pick(measured, suite="roofline", dtype=half, d=64))
points = roofline_points(pick(measured, suite="roofline", dtype=half, d=64, n=longest))
top = report.ceilings[half]
roofline(points, peak_flops=top.flops, peak_bandwidth=top.bandwidth)
plt.show()
print(f"measured: {top.flops / 1e12:.1f} TFLOP/s in {half}, {top.bandwidth / 1e9:.0f} GB/s")
if published is not None:
    peak = published.peak(half)
    print(f"published: {peak / 1e12:.1f} TFLOP/s, {published.bandwidth / 1e9:.0f} GB/s")""",
    ),
    (
        "give-words",
        """\
## Give it to the book

The file holds the card's name, versions, the date and the times; no name of a person, a host or a
folder. Download it, put it into `book/data/` of a checkout of the course, and send it in as
CONTRIBUTING says under *Send in your GPU*:""",
    ),
    (
        "give",
        """\
try:
    from google.colab import files
except ImportError:
    print(f"not in Colab: the file is {path}")
else:
    files.download(path)
print(f"mv {path} book/data/ && git add book/data/{path}")
print("pytest tests/measure/test_bench_files.py")""",
    ),
)


def files(root: Path) -> dict[Path, str]:
    """The notebook's text, by its path under `root`; nothing where there is no book."""
    return {PATH: text(root)} if (root / "book").is_dir() else {}


def text(root: Path) -> str:
    """The notebook, as GitHub and Colab read it."""
    import nbformat

    cells = [_cell(name, source) for name, source in CELLS]
    cells.insert(1, bootstrap_cell(repository_url(root)))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, **RUNTIME}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    return nbformat.writes(notebook, version=4).rstrip("\n") + "\n"


def _cell(name: str, source: str) -> Any:
    """A cell of code, or of words where its name is `about` or ends so."""
    import nbformat

    if name == "about" or name.endswith("-words"):
        return nbformat.v4.new_markdown_cell(source, id=f"gpu-{name}")
    return nbformat.v4.new_code_cell(source, id=f"gpu-{name}")
