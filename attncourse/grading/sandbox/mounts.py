"""Which files a worker may read: Python, its packages, and of this one what holds no answer."""

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
NAME = PACKAGE.name

# All that a worker sees of this package: modules, and packages with all that is in them.
VISIBLE = (
    "",
    "core",
    "core.autocast",
    "core.dtypes",
    "core.errors",
    "core.numbers",
    "core.probes",
    "core.rules",
    "core.shapes",
    "course",
    "course.clock",
    "course.execution",
    "course.forbidden",
    "course.forbidden_python",
    "course.kinds",
    "course.library",
    "course.places",
    "grading",
    "grading.confined.*",
    "grading.parsing.*",
    "grading.sandbox.*",
    "grading.wire.*",
    "measure",
    "measure.cost",
    "measure.small_models",
    "measure.queue_model",
    "measure.weights",
    "plots.*",
    "testing",
)

# The installed packages that a worker is given: PyTorch and what it and notebooks stand on.
LIBRARIES = (
    "torch",
    "torchgen",
    "functorch",
    "triton",
    "nvidia",
    "numpy",
    "einops",
    "opt_einsum",
    "jaxtyping",
    "wadler_lindig",
    "safetensors",
    "typing_extensions",
    "sympy",
    "mpmath",
    "networkx",
    "jinja2",
    "markupsafe",
    "filelock",
    "fsspec",
    "packaging",
)

NULL = Path("/dev/null")
_RANDOM = ("/dev/urandom", "/dev/random", "/dev/zero")
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache")


def hidden(module: str) -> bool:
    """Is this a module of the package that a worker may not see?"""
    package, _, inside = module.partition(".")
    if package != NAME:
        return False
    whole = tuple(name.removesuffix("*") for name in VISIBLE if name.endswith(".*"))
    return inside not in VISIBLE and not f"{inside}.".startswith(whole)


def visible() -> list[Path]:
    """The files and folders of this package that a worker may read."""
    return [path for name in VISIBLE for path in _files(name) if path.exists()]


def _files(module: str) -> Iterator[Path]:
    place = PACKAGE.joinpath(*module.removesuffix(".*").split(".")) if module else PACKAGE
    if module.endswith(".*"):
        yield place
    else:
        yield from (place.with_suffix(".py"), place / "__init__.py", place / "__init__.pyi")


def roots() -> list[Path]:
    """The folders and files that Python and its packages are in."""
    python = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    libraries = {str(Path(sys.base_prefix, "lib"))}
    found = (Path(path).resolve() for path in python | libraries | {*_SYSTEM, *_RANDOM})
    return sorted({path for path in found if path.exists()})


def readable() -> list[Path]:
    """The roots, of installed packages the `LIBRARIES` alone, and what is visible of this one."""
    opened = {PACKAGE, *_package_folders()}
    return [path for root in roots() for path in _parts(root, opened)] + visible()


def _package_folders() -> set[Path]:
    """The folders that packages are installed in."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    pythons = (f"{base}/lib/{version}" for base in (sys.base_prefix, "/usr", "/usr/local"))
    system = (f"{python}/{kind}-packages" for python in pythons for kind in ("site", "dist"))
    own = (sysconfig.get_path(name) for name in ("purelib", "platlib"))
    places = (Path(p).resolve() for p in (*own, *system, "/usr/lib/python3/dist-packages"))
    return {place for place in places if place.is_dir()}


def _parts(path: Path, opened: set[Path]) -> Iterator[Path]:
    """The path, or where something to be opened lies inside, its entries, and so on.

    Links are left out there: what they lead to is allowed where it lies, or not at all.
    """
    if path == PACKAGE:
        return
    inside = {place for place in opened if place.is_relative_to(path)}
    if not inside:
        yield path
        return
    for entry in sorted(path.iterdir()):
        if not entry.is_symlink() and (path not in inside or _wanted(entry.name)):
            yield from _parts(entry, inside)


def _wanted(entry: str) -> bool:
    """Does a file or folder among the installed packages belong to one of the libraries?"""
    name = entry.lower().lstrip("_").replace("-", ".").partition(".")[0]
    return name in LIBRARIES


def interpreter() -> str:
    """Python's path without the folders that it was called through, which are not mounted."""
    return os.path.abspath(sys.executable)


def bubblewrap(program: str, folder: str) -> list[str]:
    """The command that runs what follows it in namespaces of its own, seeing only `readable`.

    No network, no other process, no home, no environment; what can be written to is a folder in
    memory.
    """
    words = [
        os.path.abspath(program),
        "--unshare-all",
        "--unshare-user",
        "--uid",
        "65534",
        "--gid",
        "65534",
    ]
    words += ["--hostname", "worker", "--cap-drop", "ALL", "--proc", "/proc"]
    words += ["--size", str(16 * 2**20), "--tmpfs", "/tmp", "--dir", folder]
    for device in (str(NULL), *_RANDOM):
        words += ["--dev-bind-try", device, device]
    for path in _mounted():
        words += ["--ro-bind-try", path, path]
    words += ["--tmpfs", str(PACKAGE)]
    for place in visible():
        words += ["--ro-bind", str(place), str(place)]
    return [*words, "--remount-ro", str(PACKAGE), "--remount-ro", "/", "--chdir", folder]


def _mounted() -> list[str]:
    """What is mounted: the roots and the folders of the interpreter itself, outermost first."""
    own = {sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent)}
    wanted = {str(path) for path in roots()} - {*_RANDOM} | own - {"/", "/usr"}
    wanted |= {path for path in _SYSTEM if Path(path).exists()}
    wanted |= {"/usr/bin"} if sys.base_prefix == "/usr" else set()
    return sorted(wanted, key=lambda path: (len(Path(path).parts), path))
