"""`sapiens2-lit plan`: tell what memory and time a training takes, before it is launched."""

import sys
from dataclasses import replace

from sapiens2_lit.cli.parsers import plan_parser
from sapiens2_lit.cli.plan_hours import duration_line, known_card
from sapiens2_lit.cli.plan_settings import read_case_and_trainer
from sapiens2_lit.errors import SettingError
from sapiens2_lit.memory.advice import MemoryQuery, advice_text
from sapiens2_lit.memory.batch_size import largest_batch
from sapiens2_lit.memory.launch import TrainingSetup
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.memory.table import GPUS, SIZES, memory_table


def plan(args: list[str]) -> int:
    """Print what a training with these options of `fit` takes on each device; return 0, or 1 if it does not fit.

    Raises:
        SettingError: A card is unknown, or a number is out of its range.
    """
    parser = plan_parser()
    own, options = parser.parse_known_args(args)
    if own.table:
        for line in memory_table(own.sizes or SIZES, own.gpus or GPUS):
            write(line)
        return 0
    if own.memory is None:
        parser.error("--memory is missing: give the memory of each GPU, in GiB")
    card = known_card(own.card)
    if own.images_per_second is not None and not own.images_per_second > 0:
        raise SettingError(f"--images_per_second: found {own.images_per_second:g}, expected a number above 0")
    case, trainer = read_case_and_trainer(options, own.devices)
    fits = report(case, own.memory)
    if card is not None or own.images_per_second is not None:
        write(duration_line(case, trainer.max_steps, card, own.images_per_second))
    return 0 if fits else 1


def report(case: MemoryQuery, memory: float) -> bool:
    """Print the plan; return whether it fits."""
    launch, networks = case.launch, empty_networks(case.module)
    found = case.estimate()
    height, width = launch.image_size
    write(
        f"{type(networks.backbone).__name__} of {networks.backbone.embed_dim} channels, {networks.mode}; "
        f"{launch.devices} x {launch.strategy}, {launch.precision}, {height} x {width}, "
        f"{launch.batch_size} images on each device"
        + (f", {launch.accumulate} batches a step" if launch.accumulate > 1 else "")
    )
    write(found.table())
    if found.fits(memory):
        most = largest_batch(networks, launch, memory)
        write(
            f"It fits {memory:g} GiB. The largest batch on each device: {most.launch.batch_size if most else 1}."
        )
        return True
    write(f"It does not fit {memory:g} GiB.")
    fitting = largest_batch(networks, launch, memory)
    if fitting is not None:
        step = launch.batch_size * launch.accumulate
        size = max(n for n in range(1, fitting.launch.batch_size + 1) if step % n == 0)
        whole = replace(launch, batch_size=size, accumulate=step // size)
        write(
            f"The largest batch that does: {fitting.launch.batch_size}; as many images a step with {options(whole)}"
        )
    write(advice_text(case, memory))
    return False


def options(launch: TrainingSetup) -> str:
    """Return the options for a batch size and an accumulation."""
    return f"--data.batch_size {launch.batch_size} --trainer.accumulate_grad_batches {launch.accumulate}"


def write(text: str) -> None:
    """Write a line on standard output at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
