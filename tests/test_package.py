"""The package as a user meets it: names, documentation, and what importing it costs."""

import importlib
import inspect
import json
import pkgutil
import subprocess
import sys

import jaxtyping
import pytest

import attncourse

MODULES = [
    module.name
    for module in pkgutil.walk_packages(attncourse.__path__, "attncourse.")
    if not module.name.startswith("attncourse.exercises.")  # checks take any function
]

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
print(json.dumps({"seconds": loaded - torch_loaded, "import": after_import, "use": after_use}))
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


def test_a_function_loads_its_own_module_and_no_other_mechanism(fresh_interpreter):
    assert "attncourse.mechanisms.dense.softmax" not in fresh_interpreter["import"]
    assert "attncourse.mechanisms.dense.softmax" in fresh_interpreter["use"]
    assert "attncourse.mechanisms.dense.cosine" not in fresh_interpreter["use"]
    assert not [name for name in fresh_interpreter["use"] if name.startswith("attncourse.course")]


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
