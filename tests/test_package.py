"""The package as a user meets it: names, documentation, and what importing it costs."""

import importlib
import inspect
import json
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import jaxtyping
import pytest

import attncourse

MODULES = [
    module.name
    for module in pkgutil.walk_packages(attncourse.__path__, "attncourse.")
    if not module.name.startswith("attncourse.exercises.")  # checks take any function
]

ROOT = Path(__file__).parent.parent
STUB = (ROOT / "attncourse" / "__init__.pyi").read_text()

IMPORT = """
import json, sys, time
start = time.perf_counter()
import torch
torch_loaded = time.perf_counter()
import attncourse
loaded = time.perf_counter()
after_import = sorted(sys.modules)
attncourse.attention
after_use = sorted(sys.modules)
from attncourse import check, hint
found = {"import": after_import, "use": after_use, "check": sorted(sys.modules)}
print(json.dumps(found | {"seconds": loaded - torch_loaded}))
"""


@pytest.fixture(scope="module")
def fresh_interpreter():
    """What a new Python found when it imported torch, then attncourse."""
    command = [sys.executable, "-c", IMPORT]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def public_functions(module):
    """The functions and the methods that a module defines under a public name."""
    for name, item in vars(module).items():
        if name.startswith("_") or getattr(item, "__module__", None) != module.__name__:
            continue
        if inspect.isfunction(item):
            yield name, item
        elif inspect.isclass(item):
            yield name, item
            for method, function in vars(item).items():
                if inspect.isfunction(function) and not method.startswith("_"):
                    yield f"{name}.{method}", function


@pytest.mark.parametrize("name", attncourse.__all__)
def test_every_public_name_is_found_and_documented(name):
    item = getattr(attncourse, name)
    assert callable(item)
    assert item.__doc__
    assert item.__name__ == name


@pytest.mark.parametrize("name", attncourse.__all__)
def test_the_stub_names_the_module_that_defines_a_name(name):
    homes = re.findall(rf"^from (\S+) import \(?\s*{name} as {name}\b", STUB, flags=re.MULTILINE)
    assert homes == [getattr(attncourse, name).__module__]


def test_the_stub_names_nothing_else():
    assert sorted(re.findall(r"(\w+) as \w+", STUB)) == attncourse.__all__
    assert sorted(attncourse._read_stub()) == attncourse.__all__


SIGNATURES = """
import attncourse
from attncourse import *
reveal_type(attncourse.attention)
reveal_type(causal_mask)
reveal_type(KVCache)
attncourse.nothing
"""


def test_a_type_checker_sees_signatures_and_knows_a_name_that_is_none(tmp_path):
    """With the cache of `make types` this takes a second, without it twenty."""
    (tmp_path / "learner.py").write_text(SIGNATURES)
    command = [sys.executable, "-m", "mypy", "--no-error-summary", str(tmp_path / "learner.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    found = [line.split(": ", 1)[1] for line in done.stdout.splitlines()]
    tensor, cache = "torch._tensor.Tensor", "attncourse.mechanisms.serving.cache.KVCache"
    qkv = ", ".join(f"{name}: {tensor}" for name in "qkv")
    assert found == [
        f'note: Revealed type is "def ({qkv}, *, mask: {tensor} | None =) -> {tensor}"',
        f'note: Revealed type is "def (n: int, m: int) -> {tensor}"',
        f'note: Revealed type is "def (*, capacity: int =) -> {cache}"',
        'error: Module has no attribute "nothing"  [attr-defined]',
    ]


def test_what_is_built_from_the_package_holds_the_stub_and_the_marker(tmp_path):
    """Without the one a name is not found, without the other mypy looks at neither."""
    build = "from setuptools import setup; setup()"
    words = ["-q", "egg_info", "--egg-base", tmp_path, "build_py", "--build-lib", tmp_path / "lib"]
    command = [sys.executable, "-c", build, *map(str, words)]
    subprocess.run(command, capture_output=True, cwd=ROOT, check=True)
    built = {path.name for path in (tmp_path / "lib" / "attncourse").iterdir()}
    assert {"__init__.py", "__init__.pyi", "py.typed"} <= built


def test_no_script_hides_a_module_of_the_standard_library():
    folders = (ROOT / "bench", ROOT / "tests", ROOT / "tests" / "site")
    names = {path.stem for folder in folders for path in folder.glob("*.py")}
    assert names & sys.stdlib_module_names == set()


def test_no_two_files_of_tests_have_one_name():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_public_names_are_sorted_and_listed():
    assert attncourse.__all__ == sorted(set(attncourse.__all__))
    assert set(attncourse.__all__) <= set(dir(attncourse))
    assert "__version__" in dir(attncourse)


def test_the_names_of_the_first_three_chapters_are_there():
    mechanisms = {"additive_scores", "attention", "bilinear_scores", "cosine_scores", "softmax"}
    helpers = {"causal_mask", "padding_mask", "masked_softmax", "soft_lookup", "weighted_mean"}
    measures = {"entropy", "flops", "largest_tensor", "operators", "scaling_exponent"}
    assert set(attncourse.__all__) >= mechanisms | helpers | measures | {"check", "hint"}


def test_a_name_is_the_one_of_its_module():
    from attncourse.mechanisms.dense.softmax import attention

    assert attncourse.attention is attention


def test_an_unknown_name_is_an_attribute_error_that_names_it():
    with pytest.raises(AttributeError) as caught:
        attncourse.atention  # noqa: B018
    assert str(caught.value) == "module 'attncourse' has no attribute 'atention'"
    assert not hasattr(attncourse, "torch_attention")


def test_the_version_is_the_one_that_is_installed():
    from importlib.metadata import version

    assert attncourse.__version__ == version("attncourse")


def test_importing_costs_at_most_100_ms_more_than_torch(fresh_interpreter):
    assert fresh_interpreter["seconds"] < 0.1


@pytest.mark.parametrize("heavy", ["matplotlib", "rich", "nbformat", "click", "pytest", "IPython"])
def test_heavy_packages_load_only_when_used(fresh_interpreter, heavy):
    assert heavy not in fresh_interpreter["import"]
    assert heavy not in fresh_interpreter["use"]
    assert heavy not in fresh_interpreter["check"]


def test_a_function_loads_its_own_module_and_no_other_mechanism(fresh_interpreter):
    assert "attncourse.mechanisms.dense.softmax" not in fresh_interpreter["import"]
    assert "attncourse.mechanisms.dense.softmax" in fresh_interpreter["use"]
    assert "attncourse.mechanisms.dense.cosine" not in fresh_interpreter["use"]
    assert not [name for name in fresh_interpreter["use"] if name.startswith("attncourse.course")]


def test_check_loads_the_learners_side_and_neither_an_exercise_nor_the_grader(fresh_interpreter):
    new = set(fresh_interpreter["check"]) - set(fresh_interpreter["use"])
    assert "attncourse.course.notebook" in new
    below = ("attncourse.exercises.", "attncourse.grading", "attncourse.cli", "attncourse.mech")
    assert not [name for name in new if name.startswith(below)]


@pytest.mark.parametrize("name", MODULES)
def test_every_public_function_is_documented_and_fully_annotated(name):
    module = importlib.import_module(name)
    assert module.__doc__, f"{name} has no docstring"
    for label, item in public_functions(module):
        assert item.__doc__, f"{label} has no docstring"
        if inspect.isclass(item):
            continue
        signature = inspect.signature(item)
        for parameter in signature.parameters.values():
            if parameter.name not in ("self", "cls"):
                assert parameter.annotation is not parameter.empty, f"{label}: {parameter.name}"
        assert signature.return_annotation is not signature.empty, f"{label} has no return type"


def test_annotations_are_checked_in_this_run():
    """Without the import hook, a wrong shape in an annotation would go unseen."""
    from attncourse.core.dtypes import accumulation_dtype

    with pytest.raises(jaxtyping.TypeCheckError):
        accumulation_dtype("float32")
