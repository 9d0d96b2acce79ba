"""Estimate how long a training takes, as far as the speed of the card tells."""

from sapiens2_lit.cli.choose_steps import MOST
from sapiens2_lit.errors import SettingError
from sapiens2_lit.memory.advice import MemoryQuery
from sapiens2_lit.memory.cards import CARDS, Card, find_card, peak_flops
from sapiens2_lit.memory.flops import training_flops
from sapiens2_lit.memory.networks import empty_networks
from sapiens2_lit.visualization.words import duration

USUAL = (
    0.2,
    0.45,
)  # share of a card's peak that trainings of transformers reach: an assumption, not a measurement


def known_card(name: str | None) -> Card | None:
    """Return the card that `--card` names; None without a name.

    Raises:
        SettingError: It is not in the table.
    """
    if name is None or (found := find_card(name)) is not None:
        return None if name is None else found
    known = ", ".join(card.name for card in CARDS)
    raise SettingError(
        f"--card {name}: its speed is not known; expected one of {known}, or --images_per_second"
    )


def duration_line(case: MemoryQuery, max_steps: int, card: Card | None, rate: float | None) -> str:
    """Return a line with the duration of the training, without validation.

    Args:
        case: The training.
        max_steps: `trainer.max_steps`; below 1 if the number of samples will decide.
        card: Its peak rate gives a rough duration.
        rate: Measured images per second over all devices, which wins over `card`; None if unknown.
    """
    launch = case.launch
    steps = max_steps if max_steps > 0 else MOST
    images = steps * launch.batch_size * launch.accumulate * launch.devices
    what = f"{steps:,} steps, {images:,} images"
    if max_steps <= 0:
        what += " (the most by default; 100 epochs of few samples are fewer)"
    if rate is not None:
        return f"{what}: {duration(images / rate)} at {rate:g} images/s, validation apart"
    assert card is not None
    networks = empty_networks(case.module, checkpointing=False, head_checkpointing="none")
    flops = training_flops(networks, launch.image_size)
    work = flops.of(flops.heads)
    peak = peak_flops(card, launch.precision, tf32=True) * launch.devices
    slow, fast = (share * peak / work for share in USUAL)
    return (
        f"{what}: {duration(images / fast)} to {duration(images / slow)} on {launch.devices} x {card.name}, "
        f"{work / 1e12:.1f} TFLOP an image at {USUAL[0]:.0%} to {USUAL[1]:.0%} of its peak, {slow:.3g} to {fast:.3g} "
        "images/s, if the data come fast enough; --images_per_second of a short run says it better"
    )
