"""Compare planned with measured memory, and measure images per second and the share of the card's peak."""

import statistics
from functools import partial

import torch

from sapiens2_lit.memory.batch_size import largest_batch
from sapiens2_lit.memory.cards import find_card, peak_flops
from sapiens2_lit.memory.estimate import GIB
from sapiens2_lit.memory.flops import training_flops
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.training.adaptation import Mode
from sapiens2_lit.verify.rows import CannotRun, Check, Found
from sapiens2_lit.verify.training import Size
from sapiens2_lit.verify.trial import run_trial

WITHIN = 0.15  # share of the measured memory
WARM_UP, MEASURED = 3, 8  # steps
LARGEST_BATCH = 16
NO_CARD = "No CUDA card (or --device cpu): memory is planned for cards."


def memory_checks(size: Size) -> list[Check]:
    """Return one check of planned and measured memory; without a card it tells why it cannot run."""
    if not size.setting.gpu:
        return [Check(f"memory {size.name}: planned and measured", no_card)]
    return [Check(f"memory {size.name}: planned and measured", partial(compare_peaks, size))]


def no_card() -> Found:
    """Skip the check for lack of a card.

    Raises:
        CannotRun: Always.
    """
    raise CannotRun(NO_CARD)


def compare_peaks(size: Size) -> Found:
    """Return the training whose plan is furthest from the measured memory.

    Raises:
        CannotRun: No training has run.
    """
    if not size.peaks:
        raise CannotRun("No training step has run, see above.")
    ratios = {key: planned / max(measured, 1) for key, (planned, measured) in size.peaks.items()}
    furthest = max(ratios, key=lambda key: abs(ratios[key] - 1))
    planned, measured = size.peaks[furthest]
    figure = (
        f"{', '.join(furthest)}: planned {planned / GIB:.2f} GiB, measured {measured / GIB:.2f} GiB "
        f"({ratios[furthest]:.2f}), furthest of {len(ratios)}"
    )
    wrong = ""
    if abs(ratios[furthest] - 1) > WITHIN:
        wrong = "The plan is wrong for this card: leave more memory free than planned, and report it with verify.json."
    return Found(figure, f"{1 - WITHIN:.2f} to {1 + WITHIN:.2f} of the measured memory", wrong)


def speed_checks(size: Size) -> list[Check]:
    """Return a check of images per second, and the share of the peak."""
    task = next((task for task in size.setting.tasks), "pose")
    return [Check(f"speed {size.name}: {task}", partial(measure, size, task))]


def measure(size: Size, task: str) -> Found:
    """Train for some steps with as much of the backbone, and as large a batch, as fits.

    Raises:
        CannotRun: Not even the head fits the card.
    """
    mode, batch = choose(size, task)
    launch = size.launch(batch)
    steps = 3 if not size.setting.gpu else WARM_UP + MEASURED
    trial = run_trial(size.make(task, mode), launch, steps)
    seconds = statistics.median(trial.seconds[WARM_UP - 1 :] or trial.seconds)
    height, width = size.image_size
    said = f"{batch / seconds:.3g} images/s, {mode}, batch {batch}, {height} x {width}, {launch.precision}"
    return Found(f"{said}; {utilization(size, task, mode, batch / seconds, launch.precision)}")


def choose(size: Size, task: str) -> tuple[Mode, int]:
    """Return the mode that trains most of the backbone and fits, and its batch size.

    Raises:
        CannotRun: Not even the head fits the card.
    """
    card = size.setting.card_memory()
    if card is None:
        return "full", 1
    modes: tuple[Mode, ...] = ("full", "last_blocks", "frozen")
    for mode in modes:
        found = largest_batch(empty_networks(size.make(task, mode)), size.launch(), card)
        if found is not None:
            return mode, min(found.launch.batch_size, LARGEST_BATCH)
    raise CannotRun(
        f"Not even the head fits this card of {card:.0f} GiB: use several cards, by strategy/fsdp2.yaml."
    )


def utilization(size: Size, task: str, mode: Mode, images: float, precision: str) -> str:
    """Return the share of the card's peak (MFU) in words, or why it is unknown.

    Args:
        size: Of the backbone.
        task: Of the head.
        mode: Of the training.
        images: Per second.
        precision: Of the training.
    """
    if not size.setting.gpu:
        return "MFU not known without a CUDA card"
    name = torch.cuda.get_device_name(size.setting.device)
    card = find_card(name)
    if card is None:
        return f"MFU not known: no peak of this card ({name}) in the table"
    networks = empty_networks(size.make(task, mode), checkpointing=False, head_checkpointing="none")
    share = images * training_flops(networks, size.image_size).of([task]) / peak_flops(card, precision)
    return f"MFU {share:.1%} of the peak of {card.name}"
