"""Pelvis, belly, chest, shoulders and neck, with the clothes on them."""

from sapiens2_lit.synthetic.body.bones import SIDES
from sapiens2_lit.synthetic.body.clothes import Outfit
from sapiens2_lit.synthetic.body.physique import Physique
from sapiens2_lit.synthetic.body.sculpt import Sculptor, sided
from sapiens2_lit.synthetic.dataset.classes import BodyClass

_TRUNK = {BodyClass.TORSO, BodyClass.UPPER_CLOTHING, BodyClass.APPAREL}
_HIPS = {BodyClass.TORSO, BodyClass.UPPER_CLOTHING, BodyClass.LOWER_CLOTHING, BodyClass.APPAREL}


def add_trunk(sculptor: Sculptor, body: Physique, outfit: Outfit) -> None:
    """Add everything between hips and neck.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        outfit: gives clothes and paints.
    """
    h, t, paint = body.height, body.trunk, outfit.trunk
    girth, ease = body.girth, outfit.upper_ease
    hips = ease + max(0.0, outfit.lower_ease - 0.008)
    wide = 1.46 * body.hips
    waist = sculptor.local("pelvis", sculptor.point("lumbar", (0.0, 0.10 * t, 0.0)))
    chest = sculptor.local("lumbar", sculptor.point("thorax", (0.0, 0.25 * t, -0.002 * h)))
    slim = 1 - 0.07 * body.feminine
    sculptor.cone(
        "pelvis",
        (0.0, 0.03 * t, -0.003 * h),
        waist,
        (girth(0.060) + hips, girth(0.0525) * slim + ease),
        paint,
        stretch=(wide, 1.0),
    )
    sculptor.cone(
        "lumbar",
        (0.0, 0.09 * t, 0.0),
        chest,
        (girth(0.053) * slim + ease, girth(0.059) + 0.004 * h * body.muscle + ease),
        paint,
        stretch=(1.40 * body.shoulders, 1.0),
    )
    belly = max(0.0, body.fat)
    sculptor.ellipsoid(
        "lumbar",
        (0.0, 0.03 * t, 0.018 * h),
        (girth(0.072) * slim + ease, 0.085 * h, girth(0.043) + 0.016 * h * belly + ease),
        paint,
    )
    for side in SIDES:
        _add_half(sculptor, body, outfit, side)


def _add_half(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str) -> None:
    """Add one side's shoulder, breast, trapezius and buttock, and the landmarks of shoulder and hip."""
    h, t, paint = body.height, body.trunk, outfit.trunk
    girth, ease = body.girth, outfit.upper_ease
    shoulder = body.limb(0.0305) + ease
    clavicle = f"{side}_clavicle"
    joint = sculptor.local(clavicle, sculptor.point(f"{side}_shoulder", (0.0, 0.0, 0.0)))
    sculptor.cone(
        clavicle,
        (0.004 * h, -0.030 * t, -0.012 * h),
        (joint[0] - 0.008 * h, joint[1] - 0.002 * h, joint[2]),
        (0.044 * h + ease, shoulder),
        paint,
    )
    blade = sculptor.local(clavicle, sculptor.point("neck", (0.012 * h, 0.055 * t, -0.002 * h)))
    sculptor.cone(
        clavicle,
        blade,
        (0.072 * h, -0.012 * t, -0.016 * h),
        (0.022 * h + 0.006 * h * body.muscle + ease, 0.030 * h + ease),
        paint,
    )
    sign = 1.0 if side == "left" else -1.0
    f = max(0.0, 1.6 * body.feminine - 0.6) * (1 - body.child)
    sculptor.ellipsoid(
        "thorax",
        (sign * 0.043 * h, (0.245 - 0.025 * f) * t, girth(0.038) + 0.006 * h * f),
        (
            girth(0.038) + ease,
            girth(0.036) + ease,
            girth(0.019) + (0.013 * f + 0.004 * body.muscle) * h + ease,
        ),
        paint,
    )
    loose = ease + max(0.0, outfit.lower_ease - 0.006)
    _add_buttock(sculptor, body, outfit, side, loose)
    sculptor.mark(
        f"{side}_shoulder",
        f"{side}_shoulder",
        (0.0, 0.0, 0.0),
        shoulder + 0.018,
        _TRUNK | {sided(side, "UPPER_ARM")},
    )
    sculptor.mark(
        f"{side}_acromion",
        clavicle,
        (joint[0] - 0.006 * h, joint[1] + shoulder, joint[2]),
        0.028,
        _TRUNK | {sided(side, "UPPER_ARM")},
    )
    sculptor.mark(
        f"{side}_hip",
        f"{side}_hip",
        (0.0, 0.0, 0.0),
        girth(0.060) + loose + 0.02,
        _HIPS | {sided(side, "UPPER_LEG")},
    )


def _add_buttock(sculptor: Sculptor, body: Physique, outfit: Outfit, side: str, loose: float) -> None:
    """Add a buttock to one half of the pelvis."""
    h, girth = body.height, body.girth
    sign = 1.0 if side == "left" else -1.0
    round_ = 0.038 + 0.006 * body.feminine
    sculptor.ellipsoid(
        "pelvis",
        (sign * 0.040 * h * body.hips, -0.018 * h, -girth(0.026)),
        (girth(0.046) + loose, girth(0.054) + loose, girth(round_) + loose),
        outfit.trunk,
    )


def add_neck(sculptor: Sculptor, body: Physique, outfit: Outfit) -> None:
    """Add the neck up to the skull's pivot, a collar or a scarf, a backpack, and the neck's landmark.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        outfit: gives clothes and paints.
    """
    h, t = body.height, body.trunk
    radius = body.limb(0.0335) * (1 - 0.12 * body.feminine + 0.10 * body.muscle)
    top = sculptor.local("neck", sculptor.point("skull", (0.0, -0.004 * h, -0.004 * h)))
    sculptor.cone("neck", (0.0, -0.04 * t, 0.012 * h), top, (radius, radius * 0.94), outfit.skin["neck"])
    if outfit.collar is not None:
        sculptor.cone(
            "neck",
            (0.0, 0.0, 0.0),
            (0.0, 0.065 * t, 0.002 * h),
            (radius * 1.45, radius * 1.12 + 0.004),
            outfit.collar,
            flat=0.25,
        )
    if outfit.scarf is not None:
        sculptor.ellipsoid(
            "neck", (0.0, 0.035 * t, 0.004 * h), (radius * 1.75, 0.026 * h, radius * 1.75), outfit.scarf
        )
        sculptor.cone(
            "thorax",
            (0.020 * h, 0.455 * t, body.girth(0.030)),
            (0.030 * h, 0.16 * t, body.girth(0.068)),
            (0.020 * h, 0.026 * h),
            outfit.scarf,
            stretch=(1.0, 0.5),
            flat=0.3,
        )
    if outfit.backpack is not None:
        sculptor.ellipsoid(
            "thorax", (0.0, 0.20 * t, -body.girth(0.085)), (0.075 * h, 0.115 * h, 0.050 * h), outfit.backpack
        )
    thick = radius * (1.5 if outfit.collar is not None else 1.75 if outfit.scarf is not None else 1.1)
    sculptor.mark("neck", "neck", (0.0, 0.0, 0.0), thick + 0.02, _TRUNK | {BodyClass.FACE_NECK})


def add_skirt(sculptor: Sculptor, body: Physique, outfit: Outfit) -> None:
    """Add a skirt over both thighs: a cone along each and one between them.

    Args:
        sculptor: collects the parts.
        body: gives the size.
        outfit: gives the skirt's length and paint; without a skirt nothing is added.
    """
    if not outfit.skirt:
        return
    h = body.height
    hems = []
    bent = any(_knee_bend(sculptor, side) > 0.5 for side in SIDES)  # a long skirt slides up
    for side in SIDES:
        sign = 1.0 if side == "left" else -1.0
        length = min(outfit.skirt, 0.9) if bent else outfit.skirt
        hem = sculptor.point(f"{side}_hip", (-0.008 * h, -min(length, 1.0) * body.thigh, 0.0))
        if length > 1.0:
            hem = sculptor.point(f"{side}_knee", (-0.008 * h, -(length - 1.0) * body.shank, 0.0))
        hems.append(hem)
        sculptor.cone(
            "pelvis",
            (sign * 0.045 * h * body.hips, 0.02 * h, 0.0),
            sculptor.local("pelvis", hem),
            (body.girth(0.061), body.limb(0.050) + 0.006 * h + outfit.flare),
            outfit.skirt_paint,
            flat=0.3,
        )
    middle = sculptor.local("pelvis", (hems[0] + hems[1]) / 2)
    sculptor.cone(
        "pelvis",
        (0.0, 0.02 * h, 0.0),
        middle,
        (body.girth(0.056), body.limb(0.050) + outfit.flare),
        outfit.skirt_paint,
        stretch=(1.25, 1.0),
        flat=0.3,
    )


def _knee_bend(sculptor: Sculptor, side: str) -> float:
    """Return 1 minus the cosine of a knee's flexion."""
    return 1.0 - float(sculptor.bones[f"{side}_hip"][:3, 1] @ sculptor.bones[f"{side}_knee"][:3, 1])
