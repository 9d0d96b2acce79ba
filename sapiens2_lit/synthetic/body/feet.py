"""Feet, bare, in socks or in shoes, with their landmarks."""

from sapiens2_lit.synthetic.body.bones import SIDES
from sapiens2_lit.synthetic.body.clothes import Outfit
from sapiens2_lit.synthetic.body.parts import Paint
from sapiens2_lit.synthetic.body.physique import Physique
from sapiens2_lit.synthetic.body.sculpt import Sculptor, sided
from sapiens2_lit.synthetic.body.textures import above, layered, painted


def add_feet(sculptor: Sculptor, body: Physique, outfit: Outfit) -> None:
    """Add both feet or shoes.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        outfit: gives the footwear.
    """
    for side in SIDES:
        _add_foot(sculptor, body, outfit, side)


def _add_foot(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str) -> None:
    shod = outfit.footwear == "shoe"
    if shod:
        _add_shoe(sculptor, body, outfit, side)
    else:
        bare = outfit.footwear == "bare"
        paint = outfit.skin[f"{side}_FOOT"] if bare else painted(outfit.sock, sided(side, "SOCK"))
        _add_bare(sculptor, body, side, paint, toes=bare)
    _mark(sculptor, body, side, outfit.footwear)


def _add_bare(sculptor: Sculptor, body: Physique, side: str, paint: Paint, toes: bool) -> None:
    """Add heel, instep, the outer edge and the ball, and five toes or the end of a sock."""
    f, a = body.foot, body.ankle
    ankle, front = f"{side}_ankle", f"{side}_toes"
    heel, ball = 0.125 * f, 0.085 * f
    low, top = ball - a, heel - a
    for start, end, radii in (
        ((0.0, 0.006, -0.01 * f), (0.0, top, -0.10 * f), (body.limb(0.0188), heel)),
        ((0.0, -0.10 * a, 0.02 * f), (-0.045 * f, low + 0.03 * f, 0.48 * f), (body.limb(0.0185), 0.095 * f)),
        ((0.01 * f, top, -0.09 * f), (0.09 * f, low, 0.42 * f), (heel * 0.98, ball)),
        ((-0.085 * f, low, 0.47 * f), (0.10 * f, low - 0.008 * f, 0.42 * f), (ball, 0.075 * f)),
    ):
        sculptor.cone(ankle, start, end, radii, paint)
    down = low + 0.68 * a  # share of the ball's height, in the frame of the toes
    for (x, z), (end_x, end_z), (radius, end_radius) in _TOES if toes else _SOCK_ENDS:
        start = (x * f, down - (0.02 * f if toes else 0.0), z * f)
        end = (end_x * f, down - ball + end_radius * f, end_z * f)
        sculptor.cone(front, start, end, (radius * f, end_radius * f), paint)


# As fractions of the foot's length: (x, z) of a toe's root and of its tip, and its radii there.
_TOES = (
    ((-0.095, 0.0), (-0.105, 0.225), (0.060, 0.052)),
    ((-0.022, 0.0), (-0.025, 0.225), (0.045, 0.034)),
    ((0.027, 0.0), (0.03, 0.20), (0.045, 0.032)),
    ((0.072, 0.0), (0.08, 0.165), (0.045, 0.030)),
    ((0.105, -0.05), (0.125, 0.12), (0.045, 0.029)),
)
_SOCK_ENDS = (((-0.07, 0.0), (-0.03, 0.17), (0.087, 0.07)), ((0.07, -0.06), (0.03, 0.14), (0.078, 0.065)))


def _add_shoe(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str) -> None:
    """Add a sole, heel and instep with the shaft around the ankle, and the toe box that bends."""
    f, a = body.foot * 1.04, body.ankle
    ankle, front = f"{side}_ankle", f"{side}_toes"
    height = sculptor.rest_height(ankle)
    shoe, sole = (painted(texture, sided(side, "SHOE")) for texture in (outfit.shoe, outfit.sole))
    sock = painted(outfit.sock, sided(side, "SOCK"))
    paint = layered(shoe, (lambda p: p[:, 1] < height - a + 0.007, sole))
    shaft = layered(paint, (above(height + 0.012), sock))
    neck, heel, ball = body.limb(0.0188) + 0.007, 0.140 * f, 0.112 * f
    sculptor.cone(ankle, (0.0, 0.0, -0.01 * f), (0.0, heel * 0.9 - a, -0.11 * f), (neck, heel), shaft)
    toes = (-0.02 * f, 0.13 * f - a, 0.44 * f)
    sculptor.cone(ankle, (0.0, -0.10 * a, 0.0), toes, (neck * 0.98, 0.125 * f), shaft)
    bottom, down = 0.040 * f - a, 0.68 * a
    up, flat = (0.0, 1.0, 0.0), (1.22, 0.64)
    start, end = (0.0, bottom, -0.115 * f), (0.005 * f, bottom, 0.46 * f)
    sculptor.cone(ankle, start, end, (heel * 0.80, ball), paint, front=up, stretch=flat)
    start, end = (0.0, bottom + down, -0.04 * f), (-0.03 * f, bottom + down + 0.004 * f, 0.155 * f)
    sculptor.cone(front, start, end, (ball * 1.01, ball * 0.80), paint, front=up, stretch=flat)
    start, end = (0.0, 0.10 * f - a + down, -0.08 * f), (-0.03 * f, 0.060 * f - a + down, 0.15 * f)
    sculptor.cone(front, start, end, (0.118 * f, 0.085 * f), paint, front=up, stretch=(1.12, 0.86))


def _mark(sculptor: Sculptor, body: Physique, side: str, footwear: str) -> None:
    """Mark the tips of big and small toe, and the heel's rear, inside the shoe, sock or skin."""
    f, a = body.foot, body.ankle
    labels = {sided(side, name) for name in ("FOOT", "SOCK", "SHOE")}
    down = -a + 0.06 * f + 0.68 * a
    big, small, depth = {
        "bare": ((-0.105 * f, down, 0.255 * f), (0.125 * f, down - 0.015 * f, 0.125 * f), 0.020),
        "sock": ((-0.050 * f, down, 0.200 * f), (0.060 * f, down - 0.010 * f, 0.150 * f), 0.028),
        "shoe": ((-0.065 * f, down, 0.215 * f), (0.055 * f, down, 0.160 * f), 0.040),
    }[footwear]
    sculptor.mark(f"{side}_big_toe", f"{side}_toes", big, depth, labels)
    sculptor.mark(f"{side}_small_toe", f"{side}_toes", small, depth, labels)
    heel = (0.0, -a + 0.12 * f, (-0.215 if footwear != "shoe" else -0.235) * f)
    sculptor.mark(f"{side}_heel", f"{side}_ankle", heel, 0.024, labels)
