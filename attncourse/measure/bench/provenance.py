"""What there is to know about a measurement besides its numbers."""

import json
import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import torch

import attncourse
from attncourse.measure.bench.report import Provenance
from attncourse.measure.gpu import description, settings_as_found


def provenance(command: str, packages: Iterable[str] = (), *, device: str = "cpu") -> Provenance:
    """Date, machine and versions now; packages are those whose versions matter besides.

    Of absolute paths in the command what lies in the checkout, or the name: the rest is nobody's
    business. On a CUDA device also its name, memory and settings, and the versions of CUDA and
    Triton.
    """
    versions = {name: version(name) for name in packages}
    settings, name = {}, processor()
    if device != "cpu":
        found, settings = description(device), settings_as_found()
        name = f"{found['name']} ({found['memory'] / 2**30:.0f} GiB), {name}"
        versions |= {"cuda": found["cuda"], **_version_of("triton")}
    return Provenance(
        date=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        command=" ".join(map(_portable, command.split(" "))),
        commit=commit(Path(attncourse.__file__).parent),
        device=name,
        cores=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        torch=torch.__version__,
        attncourse=attncourse.__version__,
        packages=versions,
        settings=settings,
    )


def _portable(word: str) -> str:
    """An absolute path from the root of the checkout on, or its name; other words as they are."""
    option, sign, value = word.rpartition("=")
    path, root = Path(value), Path(attncourse.__file__).parents[1]
    if not path.is_absolute():
        return word
    inside = path.is_relative_to(root)
    return option + sign + (path.relative_to(root).as_posix() if inside else path.name)


def _version_of(package: str) -> dict[str, str]:
    try:
        return {package: version(package)}
    except PackageNotFoundError:
        return {}


def commit(folder: Path) -> str:
    """The commit checked out around a folder, with "+changes" where files differ from it.

    Of an installed package the one that pip took from the repository; "unknown" where none is.
    """
    try:
        head = _git(folder, "rev-parse", "HEAD")
        changed = _git(folder, "status", "--porcelain", "--", ".")
    except (OSError, subprocess.CalledProcessError):
        return _installed_commit()
    return head + ("+changes" if changed else "")


def _installed_commit() -> str:
    """The commit that pip wrote down when it installed from a repository (PEP 610)."""
    try:
        told = distribution("attncourse").read_text("direct_url.json")
        return str(json.loads(told or "{}")["vcs_info"]["commit_id"])
    except (PackageNotFoundError, KeyError, ValueError):
        return "unknown"


def processor() -> str:
    """The processor's name, as the system gives it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
