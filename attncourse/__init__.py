"""A course on attention: mechanisms, measurements and exercises that name your mistake.

``core`` has the blocks that all stand on (masks, positions, errors), ``mechanisms`` the attentions
by family, ``models`` whole networks, ``measure`` what a call costs; ``check`` and ``hint`` are for
the exercises. All that a reader needs is named here.

- q (..., n, d), k (..., m, d), v (..., m, e) give (..., n, e): n queries, m keys, d and e the
  widths of keys and values; heads h are a leading axis. g is the number of key/value heads, r a
  rank or a number of features, d_x the width of tokens before they are projected.
- Weights are applied from the right, x @ w. `proj_k` and `proj_v` of `linformer_attention` are not
  weights: they act on positions, from the left.
- A mask is Boolean, and True means *may attend*; a query that may attend to nothing gets zeros.
- Tensors are positional: a state or a cache first, then q, k, v, then what a mechanism has of its
  own. Sizes are positional where they are what a function is about, in masks, biases and formulas
  (``causal_mask(n, m)``), and by keyword in attentions, behind the tensors (``window=256``).
- ``causal=True`` is the same computation over fewer pairs. A function ``causal_...`` stands beside
  another where causality is another computation, with sizes of its own: sums of the past, cut into
  chunks, where without it one sum serves all queries.

Names are loaded when first used, so that ``import attncourse`` costs little more than torch. The
stub beside this file says where each of them lives, to editors, to mypy and to this module.
"""

import ast
from importlib import import_module
from pathlib import Path
from typing import Any

__version__ = "0.1.0"


def _read_stub() -> dict[str, str]:
    """The home of every public name, from the lines of the stub beside this file."""
    lines = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    imports = [line for line in lines if isinstance(line, ast.ImportFrom)]
    return {name.name: str(line.module) for line in imports for name in line.names}


_HOME_OF = _read_stub()

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'attncourse' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME_OF])
