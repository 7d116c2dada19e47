"""Every mechanism, function and model runs on a device without float64, and on no other beside it.

The device is the stand-in of tests/elsewhere.py. Whoever makes a tensor without saying where, or a
table in float64 where there is none, fails here.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from attncourse.core.dtypes import float64_device
from rows import MECHANISMS

TESTS = Path(__file__).parent.parent
NOT_THERE = {"of_arguments: flexible_attention": "FlexAttention is only supported on CUDA, CPU"}

pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def found():
    """What went wrong with each of them, in a process that knows the stand-in."""
    rooms = os.pathsep.join(str(TESTS / room) for room in ("", "core", "models"))
    done = subprocess.run(
        [sys.executable, str(TESTS / "elsewhere.py")],
        capture_output=True,
        text=True,
        check=False,
        cwd=TESTS.parent,
        env=os.environ | {"PYTHONPATH": rooms},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_all_run_on_a_device_without_float64(found):
    assert len(found) > 3 * len(MECHANISMS)
    wrong = {name: why for name, why in found.items() if why and name not in NOT_THERE}
    assert not wrong


def test_what_pytorch_does_not_offer_there_is_known(found):
    for name, why in NOT_THERE.items():
        assert why in found[name]


def test_float64_is_computed_where_there_is_one():
    for name in ("cpu", "meta"):
        assert float64_device(torch.device(name)) == torch.device(name)
    assert float64_device(torch.device("mps")) == torch.device("cpu")
