"""Find configurations by name: first in the working directory, then among those shipped with the package."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path

from sapiens2_lit.errors import SettingError

PRETRAINING = "pretrain/"
OBJECTIVE = {"mae", "contrast", "anchor", "decoder_first_steps"}  # keys of `model` in `pretrain` only
OVERLAYS = ("pretrain/from_scratch.yaml",)
COMMANDS = {"probe.yaml", "select.yaml"}  # of commands without a Trainer: neither runs nor overlays
OLD_NAMES = {"size/test.yaml": "size/smoke.yaml"}


def shipped_folder() -> Path:
    """Return the folder of the shipped configurations."""
    return Path(str(files("sapiens2_lit.configs")))


def shipped_configs(commands: bool = False) -> list[str]:
    """Return the names of the shipped configurations, complete runs before overlays.

    Args:
        commands: Whether to include configurations of commands without a Trainer.
    """
    folder = shipped_folder()
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*.yaml")]
    names = [name for name in names if commands or name not in COMMANDS]
    return sorted(names, key=lambda name: (name.count("/"), name))


def complete_configs(command: str = "fit") -> list[str]:
    """Return the configurations that are a complete run of `fit` or `pretrain`; the others are overlays."""
    if command == "pretrain":
        return [name for name in shipped_configs() if name.startswith(PRETRAINING) and name not in OVERLAYS]
    return [name for name in shipped_configs() if "/" not in name]


def find_config(name: str) -> Path:
    """Return the file that `--config NAME` means.

    Raises:
        SettingError: There is no such file here or among the shipped ones.
    """
    for path in (Path(name), shipped_folder() / OLD_NAMES.get(name, name)):
        if path.is_file():
            return path
    near = get_close_matches(name, shipped_configs(commands=True), 1)
    raise SettingError(
        f"--config {name}: no such file in the working directory, nor shipped under that name. "
        + (f"Did you mean {near[0]}? " if near else "")
        + "Shipped:\n  "
        + "\n  ".join(shipped_configs(commands=True))
    )


def resolve_configs(args: list[str]) -> list[str]:
    """Replace the value of every `--config` by the path of its file."""
    return list(_resolved(args))


def _resolved(args: list[str]) -> Iterator[str]:
    expecting = False
    for arg in args:
        if expecting:
            expecting = False
            yield str(find_config(arg))
        elif arg.startswith("--config="):
            yield f"--config={find_config(arg.removeprefix('--config='))}"
        else:
            expecting = arg in ("--config", "-c")
            yield arg


def summary(name: str) -> str:
    """Return the first comment line of a shipped configuration."""
    first = (shipped_folder() / name).read_text().splitlines()[0]
    return first.removeprefix("#").strip()
