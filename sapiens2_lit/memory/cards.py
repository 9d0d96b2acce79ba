"""What graphics cards can compute: the dense peak of their matrix units, from the manufacturer's data sheets."""

from dataclasses import dataclass

TERA = 1e12


@dataclass(frozen=True)
class Card:
    """A card's peak in TFLOPS without sparsity, accumulated in float32.

    Attributes:
        name: A part of what `torch.cuda.get_device_name` returns.
        half: Peak in bfloat16, or in float16 on cards without bfloat16.
        tf32: Peak in float32 rounded to TF32; 0 if the card has none.
        full: Peak in full float32, outside the matrix units.
    """

    name: str
    half: float
    tf32: float
    full: float


# From NVIDIA's data sheets. More specific names come first, since the first match is used.
CARDS = (
    Card("B200", 2250, 1100, 75),
    Card("GH200", 989, 494, 67),
    Card("H200 NVL", 835, 417, 60),
    Card("H200", 989, 494, 67),
    Card("H100 NVL", 835, 417, 60),
    Card("H100 PCIe", 756, 378, 51),
    Card("H100", 989, 494, 67),
    Card("A100", 312, 156, 19.5),
    Card("A40", 150, 75, 37),
    Card("A30", 165, 82, 10),
    Card("A10G", 70, 35, 31),
    Card("A10", 125, 62, 31),
    Card("L40S", 362, 183, 92),
    Card("L40", 181, 90.5, 90.5),
    Card("L4", 121, 60, 30),
    Card("RTX 6000 Ada", 364, 182, 91),
    Card("RTX A6000", 155, 77, 39),
    Card("RTX 5090", 210, 105, 105),
    Card("RTX 4090", 165, 83, 83),
    Card("RTX 3090 Ti", 80, 40, 40),
    Card("RTX 3090", 71, 36, 36),
    Card("V100", 125, 0, 15.7),
    Card("T4", 65, 0, 8.1),
)


def find_card(name: str) -> Card | None:
    """Return the card that a device's name, or a user, means; None if it is not in the table."""
    words = name.lower().replace("-", " ").replace("_", " ").split()
    for card in CARDS:
        wanted = card.name.lower().split()
        if all(word in words for word in wanted):
            return card
    return None


def peak_flops(card: Card, precision: str, tf32: bool = False) -> float:
    """Return the most floating-point operations per second that the card can do.

    Args:
        card: The card.
        precision: `trainer.precision`.
        tf32: float32 may be rounded to TF32 (`torch.set_float32_matmul_precision`).
    """
    if precision.startswith(("bf16", "16")):
        return card.half * TERA
    return (card.tf32 if tf32 and card.tf32 else card.full) * TERA
