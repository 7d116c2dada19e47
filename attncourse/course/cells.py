"""The cells that a learner ran, as Jupyter remembers them."""

import ast
import re
import sys
from typing import Any


def unreadable(*names: str) -> str:
    """Why the newest cell that defines one of the names could not be run, in a sentence.

    Where its code is no Python, the function that is there is an older one. Empty where the cell
    was read, and outside of Jupyter.
    """
    shell: Any = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    cells = getattr(shell, "user_ns", {}).get("In", [])
    known = "|".join(map(re.escape, filter(None, names)))
    definition = re.compile(rf"^[ \t]*(?:async +)?def +(?:{known})\b|^(?:{known}) *=(?!=)", re.M)
    for number in range(len(cells) - 1, 0, -1):
        if definition.search(cells[number]):
            return _fault(shell, cells[number], number)
    return ""


def _fault(shell: Any, source: str, number: int) -> str:
    try:
        ast.parse(shell.transform_cell(source))
    except SyntaxError as error:
        line = (error.text or "").strip()
        shown = f": `{line}`" if line else ""
        return (
            f"the cell In [{number}] could not be read: line {error.lineno}: {error.msg}{shown}. "
            "Nothing was checked: what stands there is not your function yet."
        )
    except Exception:
        return ""
    return ""
