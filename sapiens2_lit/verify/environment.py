"""Compare the machine and its packages with those that this release was tested with."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from importlib.resources import files

import torch
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from sapiens2_lit.errors import SettingError
from sapiens2_lit.verify.rows import CannotRun, Check, Found
from sapiens2_lit.verify.setting import Setting, free_memory

PACKAGE = "sapiens2-lit"
REINSTALL = "pip install --upgrade sapiens2-lit"


def environment_checks(setting: Setting) -> list[Check]:
    """Return checks of Python, packages, torch, memory and cards."""
    return [
        Check("Python", python),
        Check("packages", packages),
        Check("torch", torch_build),
        Check("processor", processor),
        Check("card", lambda: cards(setting)),
    ]


@cache
def tested() -> dict[str, dict[str, str]]:
    """Return the package versions with which the tests of this release passed, below `newest`."""
    text = files("sapiens2_lit.verify").joinpath("tested.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, str]] = json.loads(text)
    return found


def python() -> Found:
    """Compare the interpreter with the bounds of the package."""
    bounds = metadata(PACKAGE)["Requires-Python"]
    here = platform.python_version()
    wrong = (
        "" if here in SpecifierSet(bounds, prereleases=True) else "Make an environment with such a Python."
    )
    return Found(
        f"{platform.python_implementation()} {here}, {platform.system()} {platform.machine()}", bounds, wrong
    )


def requirements() -> Iterator[tuple[Requirement, bool]]:
    """Yield the packages that this one needs, and whether only an extra needs each."""
    for line in requires(PACKAGE) or []:
        one = Requirement(line)
        if one.name != PACKAGE:
            yield one, one.marker is not None and "extra" in str(one.marker)


def versions() -> dict[str, str]:
    """Return the installed versions of the packages that this one names."""
    found = {}
    for one, _ in requirements():
        try:
            found[one.name] = version(one.name)
        except PackageNotFoundError:
            continue
    return dict(sorted(found.items()))


def packages() -> Found:
    """Compare every installed package with its bounds and the newest tested version."""
    here, newest = versions(), tested()["newest"]
    outside = [
        f"{one.name} {here[one.name]} (expected {one.specifier})"
        for one, _ in requirements()
        if one.name in here and not one.specifier.contains(here[one.name], prereleases=True)
    ]
    missing = [one.name for one, extra in requirements() if not extra and one.name not in here]
    later = sorted(
        name for name, own in here.items() if name in newest and Version(own) > Version(newest[name])
    )
    figure = f"{len(here)} installed"
    if later:
        figure += f", newer than tested: {', '.join(f'{name} {here[name]}' for name in later)}"
    wrong = "; ".join([*outside, *(f"{name} is missing" for name in missing)])
    return Found(figure, "within the bounds of the package", f"{wrong}: {REINSTALL}" if wrong else "")


def torch_build() -> Found:
    """Return the build of torch, and check that torchvision fits it.

    Raises:
        SettingError: torchvision cannot be imported.
    """
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "no CUDA"
    if torch.version.hip:
        build = f"ROCm {torch.version.hip}"
    try:
        import torchvision

        beside = f"torchvision {torchvision.__version__}"
    except Exception as error:  # a torchvision built for another torch fails with various errors
        raise SettingError(
            f"torchvision cannot be imported ({type(error).__name__}): install the one that belongs to this torch: "
            f"pip install --upgrade torch torchvision, both from the same index"
        ) from error
    return Found(f"torch {torch.__version__}, {build}, {beside}")


def processor() -> Found:
    """Return cores and memory, for information."""
    memory = free_memory()
    free = "" if memory is None else f", {memory / 1e9:.3g} GB of memory free"
    return Found(f"{os.cpu_count()} logical cores{free}")


def cards(setting: Setting) -> Found:
    """Return the cards, their memory and their driver.

    Raises:
        CannotRun: There is no card, or it is not to be used.
        SettingError: There is a card, but this torch cannot use it.
    """
    if not torch.cuda.is_available():
        if driver():
            raise SettingError(
                "There is a card with a driver, but this torch cannot use it: install a build of torch for a CUDA "
                "version that the driver supports, see the first page of pytorch.org."
            )
        raise CannotRun("No CUDA card: all other checks run on the processor.")
    if not setting.gpu:
        raise CannotRun(f"Not used: --device {setting.device}.")
    found = [torch.cuda.get_device_properties(number) for number in range(torch.cuda.device_count())]
    names = [
        f"{one.name} with {one.total_memory / 2**30:.0f} GiB, capability {one.major}.{one.minor}"
        for one in found
    ]
    counts = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
    return Found(
        f"{', '.join(counts)}, driver {driver() or 'unknown'}, cuDNN {torch.backends.cudnn.version()}"
    )


def driver() -> str:
    """Return the version of NVIDIA's driver; empty if there is none."""
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.split()
    return lines[0] if done.returncode == 0 and lines else ""


def device_name(setting: Setting) -> str:
    """Return the name of the device that the networks run on."""
    return torch.cuda.get_device_name(setting.device) if setting.gpu else f"{setting.device} ({sys.platform})"
