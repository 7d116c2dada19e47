"""What is kept in the cache folder comes back as it was, or is made anew."""

import platformdirs
import pytest
import torch

from attncourse.models.pretrained.cache import cache_folder, kept

CONTENTS = ({"w": torch.arange(12.0).reshape(3, 4), "odd": torch.ones(3)}, {"sizes": "{}"})


@pytest.fixture
def made():
    return []


@pytest.fixture
def make(made):
    def once():
        made.append(1)
        return CONTENTS

    return once


def same(contents):
    tensors, texts = contents
    assert texts == CONTENTS[1]
    assert {name: x.tolist() for name, x in tensors.items()} == {
        name: x.tolist() for name, x in CONTENTS[0].items()
    }


def test_it_is_made_once(tmp_path, make, made):
    path = tmp_path / "deep" / "model.safetensors"
    same(kept(path, make))
    same(kept(path, make))
    assert made == [1]
    assert [p.name for p in path.parent.iterdir()] == ["model.safetensors"]


def flip(data):
    """One bit of the last number."""
    return data[:-1] + bytes([data[-1] ^ 1])


def hole(data):
    """Zeros where numbers were, as after a crash."""
    return data[:-24] + bytes(24)


BROKEN = {
    "cut": lambda data: data[:-4],
    "empty": lambda data: b"",
    "another file": lambda data: b"not a model",
    "one bit": flip,
    "a hole": hole,
    "without sums": lambda data: data.replace(b'"sums"', b'"sumx"'),
}


@pytest.mark.parametrize("spoil", BROKEN.values(), ids=BROKEN)
def test_a_broken_file_is_made_anew_and_it_is_said(tmp_path, make, made, spoil):
    path = tmp_path / "model.safetensors"
    kept(path, make)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.warns(UserWarning, match=r"model.safetensors was broken \(.+\) and is made anew"):
        same(kept(path, make))
    same(kept(path, make))
    assert made == [1, 1]


def test_a_folder_that_cannot_be_written_costs_time_and_nothing_else(tmp_path, make, made):
    (tmp_path / "file").write_text("no folder")
    path = tmp_path / "file" / "model.safetensors"
    for _ in range(2):
        with pytest.warns(UserWarning, match="cannot be written .*: set ATTNCOURSE_CACHE to a fol"):
            same(kept(path, make))
    assert made == [1, 1]


def test_a_variable_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNCOURSE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.setenv("ATTNCOURSE_CACHE", "~/here")
    assert "~" not in str(cache_folder())
    monkeypatch.delenv("ATTNCOURSE_CACHE")
    assert cache_folder() == platformdirs.user_cache_path("attncourse")


def test_xdgs_variable_is_respected(tmp_path, monkeypatch):
    monkeypatch.delenv("ATTNCOURSE_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "attncourse"
