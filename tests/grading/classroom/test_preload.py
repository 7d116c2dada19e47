"""The server that judges come from starts in any folder for temporary files."""

import os
import subprocess
import sys

PROGRAM = """
import tempfile
from attncourse.grading.classroom import preload

process = preload.context().Process(target=print, args=("here",))
process.start()
process.join()
print(process.exitcode, tempfile.gettempdir() == {folder!r})
"""


def test_a_folder_with_a_long_name_is_no_obstacle(tmp_path):
    folder = tmp_path / ("a" * 140)
    folder.mkdir()
    started = PROGRAM.format(folder=str(folder)).replace(
        "process = ", 'preload._NEEDED = "json"\nprocess = '
    )
    done = subprocess.run(
        [sys.executable, "-c", started],
        env=os.environ | {"TMPDIR": str(folder)},
        capture_output=True,
        text=True,
    )
    assert (done.stdout.splitlines(), done.stderr) == (["here", "0 True"], "")
    assert list(folder.iterdir()) == []
