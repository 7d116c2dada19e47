"""What every run of the tests sets: annotations checked, one thread, no screen for figures."""

import os
from pathlib import Path

import jaxtyping

import attncourse.grading.table  # noqa: F401  (hooks of pytest's, which must stay generators)

# Without a CUDA device, Triton interprets the kernels; it reads this when a kernel is defined.
os.environ.setdefault("TRITON_INTERPRET", "0" if os.path.exists("/dev/nvidiactl") else "1")

# Not by pytest's own --jaxtyping-packages: that wants a package nobody has imported, and pytest
# has imported ours already, for `--grade`. What it imported holds no annotated shapes. Triton reads
# a kernel's source, which must be as it was written: these files are left alone. Nor do exercises,
# their checks and the course's machinery hold annotated shapes; mypy sees their types, and every
# call of theirs would take five times as long.
PACKAGE = Path(__file__).parent.parent / "attncourse"
LEFT_ALONE = {"kernels", "exercises", "testing", "course", "__init__", "__pycache__"}
CHECKED = [f"attncourse.{x.stem}" for x in PACKAGE.iterdir() if x.stem not in LEFT_ALONE]
CHECKED += [f"attncourse.kernels.{name}" for name in ("flash", "linear", "launch")]
jaxtyping.install_import_hook(sorted(CHECKED), "typechecker.check")

import matplotlib
import torch

pytest_plugins = ["machinery", "turns"]

matplotlib.use("Agg")
torch.set_num_threads(1)
