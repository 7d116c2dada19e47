"""What every run of the tests sets: annotations checked, one thread, no screen for figures."""

import jaxtyping

# Not by pytest's own --jaxtyping-packages: that wants a package nobody has imported, and pytest
# has imported ours already, for `--grade`. What it imported holds no annotated shapes.
jaxtyping.install_import_hook("attncourse", "typechecker.check")

import matplotlib
import torch

matplotlib.use("Agg")
torch.set_num_threads(1)
