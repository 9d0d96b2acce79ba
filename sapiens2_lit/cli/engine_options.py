"""The options by which a command runs its parts on Ray, as Ray Data calls them."""

from argparse import Namespace
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from sapiens2_lit.cli.options import Parser
from sapiens2_lit.errors import SettingError

if TYPE_CHECKING:  # which is imported by nobody who does not ask for it
    from sapiens2_lit.engines.ray_engine import RayEngine

OPTIONS = ("concurrency", "num_cpus", "num_gpus")


def add_engine_options(parser: Parser) -> None:
    """Add the options of every command that can run on Ray."""
    group = parser.add_argument_group("engine")
    group.add_argument(
        "--engine",
        choices=("local", "ray"),
        default="local",
        help="what runs the work: this command alone, or Ray, on this machine or on the cluster of RAY_ADDRESS "
        "(docs/many-images.md) (%(default)s)",
    )
    group.add_argument(
        "--concurrency", type=int, metavar="N", help="workers of Ray (one on each GPU, else on each CPU)"
    )
    group.add_argument("--num_cpus", type=float, metavar="F", help="CPUs that each of them reserves (1)")
    group.add_argument(
        "--num_gpus",
        type=float,
        metavar="F",
        help="GPUs that each of them has, or a share of one (1 where there are)",
    )


def check_engine_options(options: Namespace, *without: str) -> None:
    """Check options that mean something only together.

    Args:
        options: of the command.
        without: options of the command that mean nothing beside Ray; None where they are not given.

    Raises:
        SettingError: one has no meaning beside another, or is out of its range.
    """
    given = [name for name in OPTIONS if getattr(options, name) is not None]
    if options.engine != "ray":
        if given:
            raise SettingError(f"--{given[0]} is for workers of Ray; it means nothing without --engine ray")
        return
    for name in without:
        if getattr(options, name) is not None:
            raise SettingError(f"--{name} means nothing beside --engine ray, which takes --concurrency")
    for name, least in (("concurrency", 1), ("num_cpus", 0.01), ("num_gpus", 0)):
        value = getattr(options, name)
        if value is not None and value < least:
            raise SettingError(f"--{name} {value}: expected {least} or more")
    device = getattr(options, "device", "auto")
    if device not in ("auto", "cpu", "cuda"):
        raise SettingError(
            f"--device {device}: expected auto, cuda or cpu beside --engine ray: workers have their own"
        )
    if device == "cpu" and options.num_gpus:
        raise SettingError(f"--num_gpus {options.num_gpus:g} means nothing beside --device cpu")


def engine_of(
    options: Namespace, output: Path, places: Sequence[Path | None] = (), networks: bool = True
) -> "AbstractContextManager[RayEngine | None]":
    """Start the engine that the options ask for; give None for work in this process.

    Args:
        options: Of the command.
        output: Existing folder of the results.
        places: Files and folders that workers read; None is left out.
        networks: Whether the work can use GPUs.
    """
    if options.engine != "ray":
        return nullcontext()
    from sapiens2_lit.engines.ray_engine import RayOptions, ray_engine

    gpus = options.num_gpus
    if gpus is None and (not networks or getattr(options, "device", "auto") == "cpu"):
        gpus = 0
    workers = RayOptions(options.concurrency, 1 if options.num_cpus is None else options.num_cpus, gpus)
    return ray_engine(workers, output, [place for place in places if place is not None and place.exists()])
