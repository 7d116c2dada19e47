"""The cache folder: what took seconds to compute from a package, kept for the next time."""

import contextlib
import json
import os
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

VARIABLE = "ATTNCOURSE_CACHE"

Contents = tuple[dict[str, Tensor], dict[str, str]]


def cache_folder() -> Path:
    """The folder that the variable ATTNCOURSE_CACHE names, or the platform's for this user."""
    if os.environ.get(VARIABLE):
        return Path(os.environ[VARIABLE]).expanduser()
    import platformdirs

    return platformdirs.user_cache_path("attncourse")


def kept(path: Path, make: Callable[[], Contents]) -> Contents:
    """Tensors and texts from the file, memory-mapped; where there is none, made and kept there.

    A file that is not what was written is made anew, with a warning. So is one that cannot be
    written: the contents are returned all the same.
    """
    if path.exists():
        try:
            return _read(path)
        except Exception as error:
            warnings.warn(f"{path} was broken ({error}) and is made anew", stacklevel=2)
    contents = make()
    try:
        _write(path, contents)
    except OSError as error:
        where = f"set {VARIABLE} to a folder with room"
        warnings.warn(f"{path} cannot be written ({error}): {where}", stacklevel=2)
        return contents
    return _read(path)


def _read(path: Path) -> Contents:
    """What `_write` wrote. Raises ValueError, or what safetensors raises, for anything else."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        texts = dict(file.metadata() or {})
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    expected = json.loads(texts.pop("sums", "{}"))
    if expected != _sums(tensors):
        raise ValueError("its numbers are not those that were written")
    return tensors, texts


def _write(path: Path, contents: Contents) -> None:
    """Write a draft beside the file and put it in its place at once."""
    from safetensors.torch import save_file

    tensors, texts = contents
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        save_file(tensors, draft, texts | {"sums": json.dumps(_sums(tensors))})
        draft.replace(path)
    except Exception as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise OSError(error) from error


def _sums(tensors: dict[str, Tensor]) -> dict[str, int]:
    """For each tensor the sum of its bits, read as integers: any one changed number changes it.

    At the speed of memory, where a hash of half a gigabyte takes most of a second.
    """
    return {name: _bits(x).sum(dtype=torch.int64).item() for name, x in sorted(tensors.items())}  # type: ignore[misc]


def _bits(x: Tensor) -> Tensor:
    flat = x.flatten()
    return flat.view(torch.int64 if flat.numel() % 2 == 0 else torch.int32)
