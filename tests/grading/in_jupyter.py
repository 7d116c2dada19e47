"""Run notebooks in a real IPython shell, and write down what `check` told: FILE of cells, FILE."""

import contextlib
import json
import os
import sys
import warnings

from IPython.core.interactiveshell import InteractiveShell

from attncourse.course import notebook, progress, report


def main():
    given, out = sys.argv[1:]
    with open(given) as file:
        notebooks = json.load(file)
    told = []
    notebook._show = lambda result: told.append((result.state, report.text(result)))
    progress.record = lambda result: None
    warnings.simplefilter("ignore")
    shell = InteractiveShell.instance()
    results = {}
    for name, cells in notebooks.items():
        told.clear()
        shell.reset(new_session=True)
        with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
            for cell in cells:
                shell.run_cell(cell, store_history=True)
        results[name] = told[-1] if told else None
    with open(out, "w") as file:
        json.dump(results, file)


main()
